-- What the keys hold. All texts are read at once; what one says is found out when a request first asks for the key. The
-- short way (plain.lua) takes a counter, a level, or nothing, out of it as numbers, and the general way (general.lua) anything as
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
-- What the short way has: units that are spent, or levels, and until when; 0 and 0 where there is nothing.
local counts, levels, ends = {}, {}, {}
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
  if states[key] ~= nil or levels[key] then
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
