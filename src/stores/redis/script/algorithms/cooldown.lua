-- A pause between two calls.
-- Mirrors algorithms/cooldown: cooldown
-- Uses texts: instant_of, text_of

local cooldown = { kind = "cooldown", letter = "p", is_firm = true, queues = true }

local function pause_from(began_ms, expires_at_ms)
  return { algorithm = cooldown, kind = "cooldown", began_ms = began_ms, expires_at_ms = expires_at_ms }
end

function cooldown.end_of(limit, now_ms)
  return now_ms + limit.pause_ms
end

function cooldown.used(limit, state, now_ms)
  return now_ms < state.began_ms + limit.pause_ms and 1 or 0
end

function cooldown.free_after_ms(limit, state, units, now_ms)
  if units <= limit.capacity - cooldown.used(limit, state, now_ms) then
    return 0
  end
  return state.began_ms + limit.pause_ms - now_ms
end

function cooldown.book(limit, state, cost, now_ms)
  if state and state.began_ms > now_ms then
    return state
  end
  return pause_from(now_ms, now_ms + limit.pause_ms)
end

function cooldown.take_back(limit, state, alone)
  return state.began_ms == alone.began_ms and pause_from(state.began_ms, 0) or state
end

function cooldown.not_ahead(limit, state, now_ms)
  local ahead_ms = state.began_ms - now_ms
  if ahead_ms <= 0 then
    return state
  end
  return pause_from(now_ms, state.expires_at_ms - ahead_ms)
end

function cooldown.encode(state)
  return "p1 " .. text_of[state.began_ms]
end

function cooldown.decode(text, expires_at_ms)
  local began_ms = match(text, "^p1 (%d+)$")
  began_ms = began_ms and instant_of(began_ms)
  if not began_ms or expires_at_ms > MAX_SAFE_INTEGER or (expires_at_ms ~= -1 and began_ms > expires_at_ms) then
    return nil
  end
  return pause_from(began_ms, expires_at_ms)
end
