-- Writes at the end of a batch what it has changed: all of it or nothing. Redis does not roll back a script that fails, so the
-- script finds out before the first value is written whether the server refuses a write, for lack of a right or of memory.
-- Uses counters: number_of; keys: changed, counts, ends, expiries, kept_texts, levels, states, values; quick/limits:
--   level_text; quick/terms: receipts_head, receipts_key; states: encode_state; terms: end_of_receipts; texts: text_of

-- Units and end of a state that is a plain counter; nil for any other.
local function counter_in(state)
  if state and state.kind == "counter" and not state.seen then
    return state.spent, state.expiresAtMs
  end
  return nil
end

-- Writes nothing, and fails where a real SET or PEXPIREAT would: NX does not set a key that exists, XX does not set one that is
-- new, and GT moves no expiry to the past.
local function check_rights(key)
  local exists = values[key] or states[key] == WRONG_TYPE
  call("SET", keys[key], "", exists and "NX" or "XX")
  call("PEXPIREAT", keys[key], 1, "GT")
end

local function write_other(key)
  local state = states[key]
  if levels[key] then
    call("SET", keys[key], level_text(key), "PXAT", ends[key])
  elseif kept_texts[key] then
    call("SET", keys[key], kept_texts[key], "PXAT", ends[key])
  elseif not state then
    -- Removes the key, and needs no right of its own for that.
    call("PEXPIREAT", keys[key], 1)
  elseif state.expiresAtMs == expiries[key] then
    call("SET", keys[key], encode_state(state), "KEEPTTL")
  else
    call("SET", keys[key], encode_state(state), "PXAT", text_of[state.expiresAtMs])
  end
end

-- Writes the changed keys, and the batch's receipt where it has one. `digits`: one for each request.
local function write_keys(digits)
  -- Keys of counters, and by how much they are raised: that costs Redis a third of what writing a new value costs. Those whose
  -- end changes, and to when. All other keys.
  local raised, by, count, moved, to_ms, others = {}, {}, 0, {}, {}, {}
  for key = 1, #keys do
    if changed[key] then
      local units, end_ms, text = counts[key], ends[key], values[key]
      if not units then
        units, end_ms = counter_in(states[key])
      end
      local before = not text and 0 or number_of[text]
      if units and before then
        count = count + 1
        raised[count], by[count] = key, units - before
        if end_ms ~= expiries[key] then
          moved[#moved + 1] = key
          to_ms[#moved] = end_ms
        end
      else
        others[#others + 1] = key
      end
    end
  end
  local first = moved[1] or others[1] or receipts_head and receipts_key
  -- Where only counters are raised, the first command that fails has nothing written before it.
  if first then
    check_rights(first)
  end
  -- INCRBY comes first, because its right was not checked: where it fails, nothing is written.
  for index = 1, count do
    call("INCRBY", keys[raised[index]], text_of[by[index]])
  end
  for index, key in ipairs(moved) do
    call("PEXPIREAT", keys[key], text_of[to_ms[index]])
  end
  for _, key in ipairs(others) do
    write_other(key)
  end
  if receipts_head then
    local text = receipts_head .. digits .. end_of_receipts()
    call("SET", keys[receipts_key], text, "PXAT", text_of[now_ms - now_ms % RECEIPTS_STEP_MS + RECEIPTS_STEP_MS + RECEIPTS_KEPT_MS])
  end
end
