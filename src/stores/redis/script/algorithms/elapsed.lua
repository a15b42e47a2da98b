-- Time on the wall clock since a scope was first seen.
-- Mirrors algorithms/elapsed: elapsed
-- Uses texts: instant_of, text_of

local elapsed = { kind = "elapsed", letter = "e", needs_no_cost = true, never_comes_back = true }

function elapsed.end_of(limit, now_ms)
  return now_ms + limit.ttl_ms
end

function elapsed.used(limit, state, now_ms)
  return max(0, now_ms - state.first_ms)
end

function elapsed.free_after_ms(limit, state, units, now_ms)
  if units <= limit.capacity - elapsed.used(limit, state, now_ms) then
    return 0
  end
  return state.expires_at_ms - now_ms
end

function elapsed.book(limit, state, cost, now_ms)
  return {
    algorithm = elapsed,
    kind = "elapsed",
    first_ms = state and state.first_ms or now_ms,
    expires_at_ms = max(state and state.expires_at_ms or 0, now_ms + limit.ttl_ms),
  }
end

local function seen_from(first_ms, expires_at_ms)
  return { algorithm = elapsed, kind = "elapsed", first_ms = first_ms, expires_at_ms = expires_at_ms }
end

function elapsed.not_ahead(limit, state, now_ms)
  local first_ms, expires_at_ms = min(state.first_ms, now_ms), min(state.expires_at_ms, now_ms + limit.ttl_ms)
  if first_ms == state.first_ms and expires_at_ms == state.expires_at_ms then
    return state
  end
  return seen_from(first_ms, expires_at_ms)
end

function elapsed.encode(state)
  return "e1 " .. text_of[state.first_ms]
end

function elapsed.decode(text, expires_at_ms)
  local first_ms = match(text, "^e1 (%d+)$")
  first_ms = first_ms and instant_of(first_ms)
  if not first_ms or expires_at_ms > MAX_SAFE_INTEGER or (expires_at_ms ~= -1 and first_ms > expires_at_ms) then
    return nil
  end
  return seen_from(first_ms, expires_at_ms)
end
