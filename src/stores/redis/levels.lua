-- Token buckets as the short way has them. Mirrors src/kernel/algorithms/token-bucket.ts; token-bucket.lua in algorithms has the rest.
-- A limit's numbers: a burst; b level per unit; c level per ms.

local MAX_LEVEL = MAX_INSTANT

-- When levels were so high, and the size of a unit in them; 0 where there is nothing.
local bases, sizes = {}, {}

-- What units raise a level by that stands at `level`.
local function rise_of(limit, units, level)
  return min(units, floor((MAX_LEVEL - level) / limit.b)) * limit.b
end

-- What is left of a level that was booked at `base_ms`.
local function level_after(limit, level, base_ms, at_ms)
  local elapsed_ms = max(0, at_ms - base_ms)
  -- Compared before it is multiplied: a long time times the rate may be past 2^53.
  if elapsed_ms >= ceil(level / limit.c) then
    return 0
  end
  return level - elapsed_ms * limit.c
end

-- Takes a key for the short way. Returns nil where it cannot.
local function level_in(limit, key)
  local text = values[key]
  if states[key] ~= nil or (counts[key] and ends[key] > 0) then
    return nil
  end
  local level, base_ms, size, end_ms = 0, 0, 0, 0
  if text and not counts[key] then
    base_ms, level, size = match(text, "^g1 (%d+) (%d+) ([1-9]%d*)$")
    if not base_ms then
      return nil
    end
    base_ms, level, size = instant_of(base_ms), instant_of(level), instant_of(size)
    end_ms = call("PEXPIRETIME", keys[key])
    expiries[key] = end_ms
    -- The general way tells damage, and a level that is ahead of now.
    if not base_ms or not level or not size or base_ms > end_ms or end_ms > MAX_PLAIN then
      return nil
    elseif end_ms > now_ms and base_ms > now_ms then
      return nil
    elseif end_ms <= now_ms then
      level, base_ms, size, end_ms = 0, 0, 0, 0
    end
  end
  counts[key] = nil
  levels[key], bases[key], sizes[key], ends[key] = level, base_ms, size, end_ms
  return level
end

-- Units that are not free, and the level; nil where the short way cannot tell.
local function level_used(limit, key)
  local level = levels[key] or level_in(limit, key)
  if not level or (ends[key] > 0 and sizes[key] ~= limit.b) then
    return nil
  end
  level = level_after(limit, level, bases[key], now_ms)
  return ceil(level / limit.b), level
end

local function book_level(limit, key, cost)
  local base_ms = max(bases[key], now_ms)
  local before = level_after(limit, levels[key], bases[key], now_ms)
  local level = before + rise_of(limit, cost, before)
  levels[key], bases[key], sizes[key], changed[key] = level, base_ms, limit.b, true
  ends[key] = base_ms + ceil(level / limit.c)
end

-- Milliseconds until so many units are free.
local function level_wait_ms(limit, key, level, units)
  local excess = level - (limit.a - units) * limit.b
  if ends[key] == 0 or excess <= 0 then
    return 0
  end
  return min(max(0, bases[key] - now_ms) + ceil(excess / limit.c), ends[key] - now_ms)
end

local function write_level(key)
  local text = "g1 " .. text_of[bases[key]] .. " " .. text_of[levels[key]] .. " " .. text_of[sizes[key]]
  call("SET", keys[key], text, "PXAT", text_of[ends[key]])
end
