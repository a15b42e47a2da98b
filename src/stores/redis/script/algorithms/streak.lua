-- How often in a row the same outcome was reported.
-- Mirrors algorithms/streak: streak
-- Uses texts: text_of, whole_of

local streak = { letter = "k" }

function streak.state(outcome, count, expires_at_ms)
  return { algorithm = streak, outcome = outcome, count = count, expires_at_ms = expires_at_ms }
end

function streak.end_of(limit, now_ms)
  return now_ms + limit.ttl_ms
end

function streak.used(limit, state)
  return state.count
end

function streak.free_after_ms(limit, state, units, now_ms)
  return units <= limit.capacity - state.count and 0 or state.expires_at_ms - now_ms
end

-- A charge changes nothing: calls are only judged by it.
function streak.book(limit, state, cost, now_ms)
  return state or streak.state("-", 0, now_ms)
end

function streak.report(limit, state, outcome, now_ms)
  if outcome == NO_OUTCOME then
    return nil
  end
  local count = state and state.outcome == outcome and min(state.count + 1, MAX_SAFE_INTEGER) or 1
  return streak.state(outcome, count, now_ms + limit.ttl_ms)
end

function streak.not_ahead(limit, state, now_ms)
  local latest_ms = now_ms + limit.ttl_ms
  return state.expires_at_ms > latest_ms and streak.state(state.outcome, state.count, latest_ms) or state
end

function streak.encode(state)
  return "k1 " .. state.outcome .. " " .. text_of[state.count]
end

function streak.decode(text, expires_at_ms)
  local outcome, digits = match(text, "^k1 ([%w_-]+) ([1-9]%d*)$")
  local count = whole_of(digits)
  return count and #outcome <= MAX_ID_LENGTH and streak.state(outcome, count, expires_at_ms) or nil
end
