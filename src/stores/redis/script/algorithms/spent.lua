-- Which algorithm judges which limit, and which one reads which text of what is spent.
--
-- Mirrors
--   src/kernel/algorithms/registry.ts: algorithmOf, decodeSpent
-- Uses
--   wire.gen.lua: BUDGET, CALENDAR_WINDOW, CONCURRENCY, ELAPSED, FIXED_WINDOW, SLIDING_WINDOW, STREAK, TOKEN_BUCKET
--   limits.lua: limits
--   algorithms/counter.lua: budget, calendar_window, fixed_window
--   algorithms/sliding-window.lua: sliding_window
--   algorithms/token-bucket.lua: token_bucket
--   algorithms/concurrency.lua: concurrency
--   algorithms/elapsed.lua: elapsed
--   algorithms/streak.lua: streak
-- Provides
--   decode_spent

local algorithms = {
  [BUDGET] = budget,
  [FIXED_WINDOW] = fixed_window,
  [SLIDING_WINDOW] = sliding_window,
  [TOKEN_BUCKET] = token_bucket,
  [CONCURRENCY] = concurrency,
  [CALENDAR_WINDOW] = calendar_window,
  [ELAPSED] = elapsed,
  [STREAK] = streak,
}

for _, limit in ipairs(limits) do
  limit.algorithm = algorithms[limit.code]
end

-- By the first letter of a text. Counters are plain numbers.
local decoders = { s = sliding_window.decode, g = token_bucket.decode, e = elapsed.decode, k = streak.decode }

-- What is spent, from its text; nil where the text is damaged.
local function decode_spent(text, expires_at_ms)
  return (decoders[sub(text, 1, 1)] or budget.decode)(text, expires_at_ms)
end
