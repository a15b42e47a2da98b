-- Time on the wall clock since a scope was first seen.
-- Mirrors algorithms/elapsed: elapsed
-- Uses texts: instant_of, text_of

local elapsed = { letter = "e", needs_no_cost = true, never_comes_back = true }

function elapsed.state(first_ms, expires_at_ms)
  return { algorithm = elapsed, first_ms = first_ms, expires_at_ms = expires_at_ms }
end

function elapsed.end_of(limit, now_ms)
  return now_ms + limit.ttl_ms
end

function elapsed.used(limit, state, now_ms)
  return max(0, now_ms - state.first_ms)
end

function elapsed.free_after_ms(limit, state, units, now_ms)
  return units <= limit.capacity - elapsed.used(limit, state, now_ms) and 0 or state.expires_at_ms - now_ms
end

function elapsed.book(limit, state, cost, now_ms)
  local end_ms = now_ms + limit.ttl_ms
  return state and elapsed.state(state.first_ms, max(state.expires_at_ms, end_ms)) or elapsed.state(now_ms, end_ms)
end

function elapsed.not_ahead(limit, state, now_ms)
  local first_ms, expires_at_ms = min(state.first_ms, now_ms), min(state.expires_at_ms, now_ms + limit.ttl_ms)
  if first_ms == state.first_ms and expires_at_ms == state.expires_at_ms then
    return state
  end
  return elapsed.state(first_ms, expires_at_ms)
end

function elapsed.encode(state)
  return "e1 " .. text_of[state.first_ms]
end

function elapsed.decode(text, expires_at_ms)
  local first_ms = instant_of(match(text, "^e1 (%d+)$"))
  return first_ms and first_ms <= expires_at_ms and elapsed.state(first_ms, expires_at_ms) or nil
end
