-- Units that are only held: nothing is ever spent.
-- Mirrors algorithms/concurrency: concurrency

local concurrency = { kind = "concurrency", letter = "n" }

function concurrency.used()
  return 0
end

function concurrency.free_after_ms()
  return 0
end

function concurrency.book(limit, state, cost, now_ms)
  return { algorithm = concurrency, kind = "concurrency", expires_at_ms = now_ms }
end

function concurrency.not_ahead(limit, state)
  return state
end

function concurrency.encode()
  return ""
end
