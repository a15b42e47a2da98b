-- Which algorithm judges which limit, and which one reads which text of what is spent.
-- Mirrors algorithms/registry: algorithmOf, decodeSpent
-- Uses algorithms/concurrency: concurrency; algorithms/cooldown: cooldown; algorithms/counter: counter;
--   algorithms/elapsed: elapsed; algorithms/sliding-window: sliding_window; algorithms/streak: streak;
--   algorithms/token-bucket: token_bucket; quick/limits: limits

local algorithms = {
  [BUDGET] = counter,
  [FIXED_WINDOW] = counter,
  [SLIDING_WINDOW] = sliding_window,
  [TOKEN_BUCKET] = token_bucket,
  [CONCURRENCY] = concurrency,
  [CALENDAR_WINDOW] = counter,
  [ELAPSED] = elapsed,
  [STREAK] = streak,
  [COOLDOWN] = cooldown,
}

for _, limit in ipairs(limits) do
  limit.algorithm = algorithms[limit.code]
end

-- By the letter that a text begins with. Counters are mostly plain numbers.
local algorithms_by_letter = {}
for _, algorithm in pairs(algorithms) do
  algorithms_by_letter[algorithm.letter] = algorithm
end

-- What is spent, from its text; nil where the text is damaged.
local function decode_spent(text, expires_at_ms)
  local decode = (algorithms_by_letter[sub(text, 1, 1)] or counter).decode
  return decode and decode(text, expires_at_ms)
end
