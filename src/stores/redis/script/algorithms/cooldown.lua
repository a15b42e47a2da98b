-- A pause between two calls.
-- Mirrors algorithms/cooldown: cooldown
-- Uses texts: instant_of, text_of

local cooldown = { letter = "p", is_firm = true, queues = true }

function cooldown.state(began_ms, expires_at_ms)
  return { algorithm = cooldown, began_ms = began_ms, expires_at_ms = expires_at_ms }
end

function cooldown.end_of(limit, now_ms)
  return now_ms + limit.pause_ms
end

function cooldown.used(limit, state, now_ms)
  return now_ms < state.began_ms + limit.pause_ms and 1 or 0
end

function cooldown.free_after_ms(limit, state, units, now_ms)
  local used = cooldown.used(limit, state, now_ms)
  return units <= limit.capacity - used and 0 or state.began_ms + limit.pause_ms - now_ms
end

function cooldown.book(limit, state, cost, now_ms)
  if state and state.began_ms > now_ms then
    return state
  end
  return cooldown.state(now_ms, now_ms + limit.pause_ms)
end

function cooldown.take_back(limit, state, alone)
  return state.began_ms == alone.began_ms and cooldown.state(state.began_ms, 0) or state
end

function cooldown.not_ahead(limit, state, now_ms)
  local ahead_ms = state.began_ms - now_ms
  return ahead_ms > 0 and cooldown.state(now_ms, state.expires_at_ms - ahead_ms) or state
end

function cooldown.encode(state)
  return "p1 " .. text_of[state.began_ms]
end

function cooldown.decode(text, expires_at_ms)
  local began_ms = instant_of(match(text, "^p1 (%d+)$"))
  return began_ms and began_ms <= expires_at_ms and cooldown.state(began_ms, expires_at_ms) or nil
end
