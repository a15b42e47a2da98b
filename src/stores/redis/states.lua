-- What keys hold as the general way has it: contents of buckets, and answers that are kept.

-- What a key holds: a state, false where there is none, or DAMAGED or WRONG_TYPE. From now on the general way has it.
local function state_in(key)
  local state, units, text = states[key], counts[key], values[key]
  if state ~= nil then
    return state
  elseif units then
    state = ends[key] > 0 and counter(units, ends[key])
    counts[key] = nil
  elseif levels[key] then
    state = ends[key] > 0 and token_bucket.state(levels[key], bases[key], sizes[key], ends[key])
    levels[key] = nil
  elseif text then
    expiries[key] = expiries[key] or call("PEXPIRETIME", keys[key])
    state = decode(text, expiries[key]) or DAMAGED
  else
    state = false
  end
  states[key] = state
  return state
end

-- A bucket's state without instants that nothing written now could name. Mirrors notAhead in src/kernel/bucket/ahead.ts.
local function not_ahead(limit, state)
  if state.holds then
    return held_not_ahead(limit, state, now_ms)
  end
  return limit.algorithm.not_ahead(limit, state, now_ms)
end

-- What a bucket holds, and its state where that is another one than the key's, because a clock was ahead. An expired state, or one of another algorithm, is no state. One that someone wrote without an
-- expiry gets one: that of a new one, or what its holds say themselves.
local function contents_of(limit, key)
  local state = state_in(key)
  if not state or (state.of or state.kind) ~= limit.algorithm.kind then
    return nil, NO_HOLDS
  end
  if state.expires_at_ms == -1 then
    local holds = state.holds
    state.expires_at_ms = holds and end_of_held(limit, state.spent, holds) or limit.algorithm.end_of(limit, now_ms)
    changed[key] = true
  end
  if now_ms >= state.expires_at_ms then
    return nil, NO_HOLDS
  end
  local right = not_ahead(limit, state)
  local righted = right ~= state and right or nil
  if now_ms >= right.expires_at_ms then
    return nil, NO_HOLDS, righted
  elseif right.holds then
    local spent, holds = contents_at(limit, right, now_ms)
    return spent, holds, righted
  end
  return right, NO_HOLDS, righted
end

-- The text of an answer that is kept and has not ended, or nil.
local function answer_in(key)
  local state = state_in(key)
  if not state or state == DAMAGED or state == WRONG_TYPE or state.kind ~= "once" then
    return nil
  end
  if state.expires_at_ms == -1 then
    state.expires_at_ms = state.answered_ms + state.wait_ms + REMEMBERED_MS
    changed[key] = true
  end
  return now_ms < state.expires_at_ms and state.text or nil
end
