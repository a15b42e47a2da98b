-- Units that are only held: nothing is ever spent, so that no state of it is written.
-- Mirrors algorithms/concurrency: concurrency

local concurrency = { letter = "n" }

function concurrency.used()
  return 0
end

function concurrency.free_after_ms()
  return 0
end

function concurrency.book(limit, state, cost, now_ms)
  return { algorithm = concurrency, expires_at_ms = now_ms }
end
