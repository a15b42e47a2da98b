-- Writes at the end of a batch what it has changed: all of it or nothing. Redis does not roll back a script that fails, so the
-- script finds out before the first value is written whether the server refuses a write, for lack of a right or of memory.
-- Uses fast/counters: number_of; fast/token-buckets: write_level; keys: changed, counts, ends, expiries, levels,
--   states, values; terms: write_receipt; texts: text_of

-- Units and end of a key that will hold a plain counter; nil for another key.
local function counter_in(key)
  local units, state = counts[key], states[key]
  if units then
    return units, ends[key]
  elseif state and state.algorithm.letter == "c" and not state.seen then
    return state.spent, state.expires_at_ms
  end
  return nil
end

-- Units of a key that held a plain counter, or nothing; nil for another key.
local function units_before(key)
  local text = values[key]
  return not text and 0 or number_of[text]
end

-- Writes nothing, and fails where a real SET or PEXPIREAT would: NX does not set a key that exists, XX does not set one that is
-- new, and GT moves no expiry to the past.
local function check_rights(key)
  local exists = values[key] or states[key] == WRONG_TYPE
  call("SET", keys[key], "", exists and "NX" or "XX")
  call("PEXPIREAT", keys[key], 1, "GT")
end

-- Raises a counter by the difference: that costs Redis a third of what writing a new value costs.
local function write_counter(key)
  local units, end_ms = counter_in(key)
  call("INCRBY", keys[key], text_of[units - units_before(key)])
  if end_ms ~= expiries[key] then
    call("PEXPIREAT", keys[key], text_of[end_ms])
  end
end

local function write_other(key)
  local state = states[key]
  if levels[key] then
    write_level(key)
  elseif not state then
    -- Removes the key, and needs no right of its own for that.
    call("PEXPIREAT", keys[key], 1)
  elseif state.expires_at_ms == expiries[key] then
    call("SET", keys[key], state.algorithm.encode(state), "KEEPTTL")
  else
    call("SET", keys[key], state.algorithm.encode(state), "PXAT", text_of[state.expires_at_ms])
  end
end

-- Writes the changed keys, and the batch's receipt where it has one: `booked` has a digit for each request.
local function write_keys(booked, receipt)
  local counters, others, only_increments = {}, {}, receipt == nil
  for key = 1, #keys do
    if changed[key] then
      local units, end_ms = counter_in(key)
      if units and units_before(key) then
        counters[#counters + 1] = key
        only_increments = only_increments and end_ms == expiries[key]
      else
        others[#others + 1] = key
        only_increments = false
      end
    end
  end
  local first = counters[1] or others[1] or receipt and receipt.key
  -- Where only counters are raised, the first command that fails has nothing written before it.
  if not only_increments and first then
    check_rights(first)
  end
  -- INCRBY comes first, because its right was not checked: where it fails, nothing is written.
  for _, key in ipairs(counters) do
    write_counter(key)
  end
  for _, key in ipairs(others) do
    write_other(key)
  end
  if receipt then
    write_receipt(receipt, booked)
  end
end
