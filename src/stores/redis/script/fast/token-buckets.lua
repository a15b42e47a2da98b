-- Token buckets as the fast path has them: a level, the instant of that level, and the size of a unit in it.
-- Mirrors algorithms/token-bucket: levelAt, riseOf, tokenBucket
-- Uses keys: changed, counts, ends, expiries, levels, states, values; texts: instant_of, text_of

-- Of each level: at which instant the bucket stood at it (epoch ms), and the size of a unit; 0 where the key holds nothing.
local base_instants, unit_sizes = {}, {}

-- By how much units raise a level that stands at `level`. A level saturates at MAX_INSTANT_MS.
local function rise_of(limit, units, level)
  return min(units, floor((MAX_INSTANT_MS - level) / limit.level_per_unit)) * limit.level_per_unit
end

-- What is left at `at_ms` of a level that was booked at `base_ms`.
local function level_left(limit, level, base_ms, at_ms)
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
  if states[key] ~= nil or counts[key] then
    return nil
  end
  local level, base_ms, size, end_ms = 0, 0, 0, 0
  if text then
    base_ms, level, size = match(text, "^g1 (%d+) (%d+) ([1-9]%d*)$")
    base_ms, level, size = instant_of(base_ms), instant_of(level), instant_of(size)
    end_ms = call("PEXPIRETIME", keys[key])
    expiries[key] = end_ms
    -- The general path reports damage, and corrects a level that is ahead of now.
    if not base_ms or not level or not size or end_ms == -1 or base_ms > end_ms or end_ms > MAX_INSTANT_MS then
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
local function level_used(limit, key)
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
  levels[key], base_instants[key], unit_sizes[key], changed[key] = level, base_ms, limit.level_per_unit, true
  ends[key] = base_ms + ceil(level / limit.level_per_ms)
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
local function charge_level(limit, key, cost, needed)
  local fits = not needed or needed <= limit.capacity - level_used(limit, key)
  if cost > 0 then
    book_level(limit, key, cost)
  end
  local units, level = level_used(limit, key)
  local retry_ms = fits and 0 or needed > limit.capacity and -1 or level_wait_ms(limit, key, level, needed)
  return units, level_wait_ms(limit, key, level, limit.capacity), retry_ms
end

local function write_level(key)
  local text = "g1 " .. text_of[base_instants[key]] .. " " .. text_of[levels[key]] .. " " .. text_of[unit_sizes[key]]
  call("SET", keys[key], text, "PXAT", text_of[ends[key]])
end
