-- Counters as the fast path has them: units and an end, both plain numbers.
-- Mirrors algorithms/counter: counterFacts, withSpent
-- Uses keys: changed, counts, ends, expiries, levels, states, values

-- Whole numbers by their texts; false for any other text. Each text is understood once, because the same ones come again and
-- again.
local number_of = setmetatable({}, {
  __index = function(numbers, text)
    local number = (text == "0" or find(text, "^[1-9]%d*$")) and tonumber(text)
    number = number and number <= MAX_INSTANT_MS and number or false
    numbers[text] = number
    return number
  end,
})

-- Takes a key for the fast path. Returns its units, or nil where the fast path cannot take it.
local function claim_count(key)
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
  if end_ms == -1 or end_ms > MAX_INSTANT_MS then
    return nil
  elseif end_ms <= now_ms then
    units, end_ms = 0, 0
  end
  counts[key], ends[key] = units, end_ms
  return units
end

-- Charges a counter that the fast path has. Returns the units used, in how many ms all are free, and in how many ms `needed`
-- units are free (0 now, -1 never).
local function charge_counter(limit, key, cost, needed)
  local before, end_ms = counts[key], ends[key]
  local units = before
  if cost > 0 then
    units = before + cost
    if end_ms == 0 or limit.is_extended and end_ms < limit.new_end_ms then
      end_ms = limit.new_end_ms
      ends[key] = end_ms
    end
    counts[key], changed[key] = units, true
  end
  local left_ms = units > 0 and end_ms - now_ms or 0
  return units, left_ms, needed <= limit.capacity - before and 0 or needed > limit.capacity and -1 or left_ms
end
