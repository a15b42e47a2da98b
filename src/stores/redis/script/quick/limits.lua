-- The batch's limits, as far as the quick way looks at them.
-- Mirrors algorithms/rules/fixed-window: endOf, fixedWindowRules, lengthMsOf; algorithms/rules/budget: budgetRules
-- Uses batch: args

-- A limit: code, of its algorithm; capacity. Of counters also: new_end_ms, when a counter ends that begins now; latest_end_ms, the
-- latest end that a correct clock wrote; is_extended, whether each charge moves the end; is_stale, whether now is in none of the
-- windows. Of token buckets: level_per_unit and level_per_ms. The general path adds the numbers of its algorithm by their names, and algorithm.
local limits, has_levels = {}, false
for at = FIRST_LIMIT_AT, args[FIRST_SHAPE_AT] - 1, LIMIT_NUMBERS do
  local code, length_ms = args[at], args[at + 2]
  local new_end_ms, is_extended, is_stale
  if code == BUDGET then
    new_end_ms, is_extended = now_ms + length_ms, args[at + 3] == 0
  elseif code == FIXED_WINDOW then
    new_end_ms = (args[at + 3] == 1 and now_ms or now_ms - now_ms % length_ms) + length_ms
  elseif code == CALENDAR_WINDOW then
    local start_ms, middle_ms, end_ms = length_ms, args[at + 3], args[at + 4]
    new_end_ms, is_stale = now_ms < middle_ms and middle_ms or end_ms, now_ms < start_ms or now_ms >= end_ms
    length_ms = max(middle_ms - start_ms, end_ms - middle_ms)
  end
  local limit = {
    code = code,
    capacity = args[at + 1],
    new_end_ms = new_end_ms,
    latest_end_ms = now_ms + length_ms,
    is_extended = is_extended,
    is_stale = is_stale,
  }
  if code == TOKEN_BUCKET then
    limit.level_per_unit, limit.level_per_ms, has_levels = length_ms, args[at + 3], true
  end
  limits[#limits + 1] = limit
end

-- Made only where there is a token bucket.
local level_left, rise_of, level_used, charge_level, level_text
if has_levels then
  -- @include token-buckets.lua
end
