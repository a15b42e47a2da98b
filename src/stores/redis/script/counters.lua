-- Counters as the fast path has them: units and an end, both plain numbers.
-- Mirrors algorithms/rules/counter: counterFreeAfterMs, spentIn, withSpent
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

local function used_unknown()
  return nil
end

-- Units used of a counter, or nil where the fast path cannot tell. The first request that asks for a key takes it for the fast
-- path.
local function counter_used(limit, key)
  local units, end_ms = counts[key], ends[key]
  if not units then
    if states[key] ~= nil or levels[key] then
      return nil
    end
    local text = values[key]
    units, end_ms = 0, 0
    if text then
      units = number_of[text]
      if not units then
        return nil
      end
      end_ms = call("PEXPIRETIME", keys[key])
      expiries[key] = end_ms
      if end_ms == -1 or end_ms > MAX_INSTANT_MS then
        return nil
      elseif end_ms <= now_ms then
        units, end_ms = 0, 0
      end
    end
    counts[key], ends[key] = units, end_ms
  end
  -- Only the general path shortens an end that a clock wrote which was ahead.
  if end_ms <= limit.latest_end_ms then
    return units
  end
  return nil
end

-- Charges a counter that the fast path has. Returns the units used, in how many ms all are free, and in how many ms `needed`
-- units are free (0 now, -1 never), where that is given.
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
  if not needed then
    return units, left_ms
  end
  return units, left_ms, needed <= limit.capacity - before and 0 or needed > limit.capacity and -1 or left_ms
end
