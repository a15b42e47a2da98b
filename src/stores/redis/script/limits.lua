-- The batch's limits, and what follows from the time for each counter.
-- Mirrors algorithms/fixed-window: endOf, fixedWindow, lengthMsOf; algorithms/budget: budget
-- Uses batch: args; limits.gen: name_numbers; quick/limits: limits

-- @include limits.gen.lua

-- When a budget or a window ends that begins at `at_ms`, or that `at_ms` falls into.
local function window_end(limit, at_ms)
  if limit.code == CALENDAR_WINDOW then
    -- A hold may have ended in a window that is over by now, or may end after those that are known.
    return at_ms < limit.start_ms and limit.start_ms
      or at_ms < limit.middle_ms and limit.middle_ms
      or at_ms < limit.end_ms and limit.end_ms
      or at_ms + limit.end_ms - limit.middle_ms
  elseif limit.code == BUDGET then
    return at_ms + limit.ttl_ms
  elseif limit.is_first_use == 1 then
    return at_ms + limit.window_ms
  end
  return at_ms - at_ms % limit.window_ms + limit.window_ms
end

for number, limit in ipairs(limits) do
  local at = FIRST_LIMIT_AT + LIMIT_NUMBERS * (number - 1)
  name_numbers(limit, limit.code, args[at + 2] + 0, args[at + 3] + 0, args[at + 4] + 0)
end
