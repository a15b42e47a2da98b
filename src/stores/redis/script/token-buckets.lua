-- Token buckets as the fast path has them: a level, the instant of that level, and the size of a unit in it.
-- Mirrors algorithms/rules/token-bucket: levelAt, riseOf, tokenBucketRules
-- Uses keys: base_instants, changed, counts, ends, kept_texts, levels, states, unit_sizes, values; quick/limits:
--   charge_level, level_left, level_text, level_used, rise_of

levels, base_instants, unit_sizes = {}, {}, {}

-- By how much units raise a level that stands at `level`. A level saturates at MAX_INSTANT_MS.
function rise_of(limit, units, level)
  return min(units, floor((MAX_INSTANT_MS - level) / limit.level_per_unit)) * limit.level_per_unit
end

-- What is left at `at_ms` of a level that was booked at `base_ms`.
function level_left(limit, level, base_ms, at_ms)
  local elapsed_ms = max(0, at_ms - base_ms)
  -- Compared before it is multiplied: a long time times the rate may be past 2^53.
  if elapsed_ms >= ceil(level / limit.level_per_ms) then
    return 0
  end
  return level - elapsed_ms * limit.level_per_ms
end

-- Takes a key for the fast path. Returns its level, or nil where the fast path cannot take it.
local function claim_level(limit, key)
  local text = values[key]
  if states[key] ~= nil or counts[key] or kept_texts[key] then
    return nil
  end
  local level, base_ms, size, end_ms = 0, 0, 0, 0
  if text then
    base_ms, level, size = match(text, "^g1 (%d+) (%d+) ([1-9]%d*)$")
    base_ms, level, size = tonumber(base_ms), tonumber(level), tonumber(size)
    end_ms = call("PEXPIRETIME", keys[key])
    -- The general path reports damage, and corrects a level that is ahead of now.
    if not size or max(level, size, end_ms) > MAX_INSTANT_MS or end_ms == -1 or base_ms > end_ms then
      return nil
    elseif end_ms > now_ms and base_ms > now_ms then
      return nil
    elseif end_ms <= now_ms then
      level, base_ms, size, end_ms = 0, 0, 0, 0
    end
  end
  levels[key], base_instants[key], unit_sizes[key], ends[key] = level, base_ms, size, end_ms
  return level
end

-- Units that are not free, and the level; nil where the fast path cannot tell.
function level_used(limit, key)
  local level = levels[key] or claim_level(limit, key)
  if not level or (ends[key] > 0 and unit_sizes[key] ~= limit.level_per_unit) then
    return nil
  end
  level = level_left(limit, level, base_instants[key], now_ms)
  return ceil(level / limit.level_per_unit), level
end

local function book_level(limit, key, cost)
  local base_ms = max(base_instants[key], now_ms)
  local before = level_left(limit, levels[key], base_instants[key], now_ms)
  local level = before + rise_of(limit, cost, before)
  levels[key], base_instants[key], unit_sizes[key] = level, base_ms, limit.level_per_unit
  ends[key], changed[key] = base_ms + ceil(level / limit.level_per_ms), true
end

-- Milliseconds until `units` are free.
local function level_wait_ms(limit, key, level, units)
  local excess = level - (limit.capacity - units) * limit.level_per_unit
  if ends[key] == 0 or excess <= 0 then
    return 0
  end
  return min(max(0, base_instants[key] - now_ms) + ceil(excess / limit.level_per_ms), ends[key] - now_ms)
end

-- Charges a token bucket that the fast path has. Returns what `charge_counter` does.
function charge_level(limit, key, cost, needed)
  local fits = not needed or needed <= limit.capacity - level_used(limit, key)
  if cost > 0 then
    book_level(limit, key, cost)
  end
  local units, level = level_used(limit, key)
  local retry_ms = fits and 0 or needed > limit.capacity and -1 or level_wait_ms(limit, key, level, needed)
  return units, level_wait_ms(limit, key, level, limit.capacity), retry_ms
end

function level_text(key)
  return format("g1 %.0f %.0f %.0f", base_instants[key], levels[key], unit_sizes[key])
end
