-- What the batch has changed, written at its end: all of it or nothing. A script that fails is not rolled back, so whatever
-- the server may refuse it for (a right that the user lacks, memory) is found out before the first value is written.

-- Units in a state that is a plain counter, or nil.
local function units_of(state)
  return state and state.kind == "counter" and not state.seen and state.spent or nil
end

-- Writes nothing, and fails as a real SET and a real PEXPIREAT would: a key that exists is not set where it must be new, nor
-- a new one where it must exist, and no expiry is moved to the past by GT.
local function check_rights(key)
  local exists = values[key] or states[key] == WRONG_TYPE
  call("SET", keys[key], "", exists and "NX" or "XX")
  call("PEXPIREAT", keys[key], 1, "GT")
end

-- A counter is raised from what it was to what it is: that costs Redis a third of what writing a new value does.
local function write_counter(key, write)
  call("INCRBY", keys[key], text_of[write.units - write.had])
  if write.end_ms ~= expiries[key] then
    call("PEXPIREAT", keys[key], text_of[write.end_ms])
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

-- Writes the keys, and the batch's receipt where it has one: `booked` has a digit for each request.
local function write_keys(booked)
  local counters, others, is_one_command = {}, {}, receipt == nil
  for key = 1, #keys do
    if changed[key] then
      local state, text = states[key], values[key]
      local units = counts[key] or units_of(state)
      local had = not text and 0 or number_of[text]
      if units and had then
        local end_ms = counts[key] and ends[key] or state.expires_at_ms
        counters[#counters + 1] = { key = key, units = units, had = had, end_ms = end_ms }
        is_one_command = is_one_command and end_ms == expiries[key]
      else
        others[#others + 1] = key
        is_one_command = false
      end
    end
  end
  local first = counters[1] and counters[1].key or others[1] or receipt and receipt.key
  if not is_one_command and first then
    check_rights(first)
  end
  -- First what was not tried: where INCRBY fails, nothing is written.
  for _, write in ipairs(counters) do
    write_counter(write.key, write)
  end
  for _, key in ipairs(others) do
    if levels[key] then
      write_level(key)
    elseif states[key] then
      write_state(key, states[key])
    else
      -- Removes it, without a right of its own.
      call("PEXPIREAT", keys[key], 1)
    end
  end
  if receipt then
    write_receipt(receipt, booked)
  end
end
