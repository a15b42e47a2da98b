-- What the keys hold. All texts are read at once; what one says is found out when a request first asks for the key. The
-- short way (plain.lua) takes a counter, or nothing, out of it as two numbers, and the general way (general.lua) anything as
-- a state. One of them has the key at a time: the general way for good, once it has asked for it.

-- Whole numbers as they are written; false for any other text. The same ones come again and again.
local number_of = setmetatable({}, {
  __index = function(numbers, text)
    local number = (text == "0" or find(text, "^[1-9]%d*$")) and tonumber(text)
    number = number and number <= MAX_PLAIN and number
    numbers[text] = number
    return number
  end,
})

local values = #keys > 0 and call("MGET", unpack(keys)) or {}
-- When Redis will let go of a key that was there, once that was asked.
local expiries = {}
-- What the short way has: units that are spent, and until when; 0 and 0 where there is nothing.
local counts, ends = {}, {}
-- What the general way has: a state, false where there is none, or DAMAGED or WRONG_TYPE.
local states = {}
-- Keys whose value has to be written.
local changed = {}

do
  local absent = {}
  for key = 1, #keys do
    if not values[key] then
      absent[#absent + 1] = keys[key]
    end
  end
  -- MGET shows a key of another type as absent.
  if #absent > 0 and call("EXISTS", unpack(absent)) > 0 then
    for key = 1, #keys do
      if not values[key] and call("EXISTS", keys[key]) == 1 then
        states[key] = WRONG_TYPE
      end
    end
  end
end

-- Units in a key that the short way does not have yet, or nil where it cannot take them.
local function count_in(key)
  if states[key] ~= nil then
    return nil
  end
  local text = values[key]
  if not text then
    counts[key], ends[key] = 0, 0
    return 0
  end
  local units = number_of[text]
  if not units then
    return nil
  end
  local end_ms = call("PEXPIRETIME", keys[key])
  expiries[key] = end_ms
  if end_ms == -1 or end_ms > MAX_PLAIN then
    return nil
  elseif end_ms <= now_ms then
    units, end_ms = 0, 0
  end
  counts[key], ends[key] = units, end_ms
  return units
end

-- Units in a state that is a plain counter, or nil.
local function units_of(state)
  return state and state.kind == "counter" and not state.seen and state.spent or nil
end

-- A counter is raised from what it was to what it is: that costs Redis half of what writing it anew does.
local function write_counter(key, units, had, end_ms)
  call("INCRBY", keys[key], text_of[units - had])
  if end_ms ~= expiries[key] then
    call("PEXPIREAT", keys[key], text_of[end_ms])
  end
end

local function write_state(key, state)
  local text = state.algorithm.encode(state)
  if state.expires_at_ms == expiries[key] then
    call("SET", keys[key], text, "KEEPTTL")
  else
    call("SET", keys[key], text, "PXAT", text_of[state.expires_at_ms])
  end
end

local function write_keys()
  for key = 1, #keys do
    if changed[key] then
      local state, text = states[key], values[key]
      local units = counts[key] or units_of(state)
      local had = not text and 0 or number_of[text]
      if units and had then
        write_counter(key, units, had, counts[key] and ends[key] or state.expires_at_ms)
      elseif state then
        write_state(key, state)
      else
        call("DEL", keys[key])
      end
    end
  end
end
