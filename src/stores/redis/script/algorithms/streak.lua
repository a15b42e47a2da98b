-- How often in a row the same outcome was reported.
-- Mirrors algorithms/streak: streak
-- Uses texts: text_of, whole_of

local streak = { kind = "streak", letter = "k" }

do
  local function row(outcome, count, expires_at_ms)
    return { algorithm = streak, kind = "streak", outcome = outcome, count = count, expires_at_ms = expires_at_ms }
  end

  function streak.end_of(limit, now_ms)
    return now_ms + limit.ttl_ms
  end

  function streak.used(limit, state)
    return state.count
  end

  function streak.free_after_ms(limit, state, units, now_ms)
    if units <= limit.capacity - state.count then
      return 0
    end
    return state.expires_at_ms - now_ms
  end

  -- A charge changes nothing: calls are only judged by it.
  function streak.book(limit, state, cost, now_ms)
    return state or row("-", 0, now_ms)
  end

  function streak.report(limit, state, outcome, now_ms)
    local count = 1
    if state and state.outcome == outcome then
      count = min(state.count + 1, MAX_SAFE_INTEGER)
    end
    return row(outcome, count, now_ms + limit.ttl_ms)
  end

  function streak.not_ahead(limit, state, now_ms)
    if state.expires_at_ms <= now_ms + limit.ttl_ms then
      return state
    end
    return row(state.outcome, state.count, now_ms + limit.ttl_ms)
  end

  function streak.encode(state)
    return "k1 " .. state.outcome .. " " .. text_of[state.count]
  end

  function streak.decode(text, expires_at_ms)
    local outcome, count = match(text, "^k1 ([%w_-]+) ([1-9]%d*)$")
    count = count and whole_of(count)
    if not count or #outcome > MAX_ID_LENGTH or expires_at_ms > MAX_SAFE_INTEGER then
      return nil
    end
    return row(outcome, count, expires_at_ms)
  end
end
