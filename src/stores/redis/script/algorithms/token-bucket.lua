-- A token bucket in whole numbers: the general path's part of it.
-- Mirrors algorithms/token-bucket: flow, levelAt, tokenBucket
-- Uses quick/limits: level_left, rise_of; texts: instant_of, text_of

local token_bucket = { letter = "g", is_firm = true, queues = true, flows = true }

local function level_at(limit, state, now_ms)
  if not state then
    return 0
  end
  local level = state.level
  if state.level_per_unit ~= limit.level_per_unit then
    level = rise_of(limit, ceil(state.level / state.level_per_unit), 0)
  end
  return level_left(limit, level, state.base_ms, now_ms)
end

function token_bucket.state(level, base_ms, level_per_unit, expires_at_ms)
  return {
    algorithm = token_bucket,
    expires_at_ms = expires_at_ms,
    base_ms = base_ms,
    level = level,
    level_per_unit = level_per_unit,
  }
end

function token_bucket.end_of(limit, now_ms)
  return now_ms + ceil(limit.capacity * limit.level_per_unit / limit.level_per_ms)
end

function token_bucket.used(limit, state, now_ms)
  return ceil(level_at(limit, state, now_ms) / limit.level_per_unit)
end

function token_bucket.free_after_ms(limit, state, units, now_ms)
  local excess = level_at(limit, state, now_ms) - (limit.capacity - units) * limit.level_per_unit
  return excess <= 0 and 0 or max(0, state.base_ms - now_ms) + ceil(excess / limit.level_per_ms)
end

function token_bucket.book(limit, state, cost, now_ms)
  local base_ms = max(state and state.base_ms or 0, now_ms)
  local before = level_at(limit, state, now_ms)
  local level = before + rise_of(limit, cost, before)
  return token_bucket.state(level, base_ms, limit.level_per_unit, base_ms + ceil(level / limit.level_per_ms))
end

-- By how much the level may be lowered for units of a hold that were not needed; `level_after` is the level right after it.
function token_bucket.returnable(limit, state, level_after, units, now_ms)
  if level_after.level_per_unit ~= limit.level_per_unit or state.level_per_unit ~= limit.level_per_unit then
    return 0
  end
  local at_ms = max(now_ms, state.base_ms)
  return min(units * limit.level_per_unit, level_at(limit, level_after, at_ms), level_at(limit, state, at_ms))
end

function token_bucket.lowered(limit, state, by)
  if by == 0 then
    return state
  end
  local level = state.level - by
  return token_bucket.state(level, state.base_ms, state.level_per_unit, state.base_ms + ceil(level / limit.level_per_ms))
end

function token_bucket.take_back(limit, state, alone, units, now_ms)
  return token_bucket.lowered(limit, state, token_bucket.returnable(limit, state, alone, units, now_ms))
end

function token_bucket.not_ahead(limit, state, now_ms)
  local ahead_ms = state.base_ms - now_ms
  if ahead_ms <= 0 then
    return state
  end
  return token_bucket.state(state.level, now_ms, state.level_per_unit, state.expires_at_ms - ahead_ms)
end

function token_bucket.encode(state)
  return "g1 " .. text_of[state.base_ms] .. " " .. text_of[state.level] .. " " .. text_of[state.level_per_unit]
end

function token_bucket.decode(text, expires_at_ms)
  local base, level, unit = match(text, "^g1 (%d+) (%d+) ([1-9]%d*)$")
  base, level, unit = instant_of(base), instant_of(level), instant_of(unit)
  return base and level and unit and base <= expires_at_ms and token_bucket.state(level, base, unit, expires_at_ms) or nil
end
