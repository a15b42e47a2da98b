-- The batch's limits, and what follows from the time for each counter.
-- Mirrors algorithms/fixed-window: endOf, fixedWindow, lengthMsOf; algorithms/budget: budget
-- Uses batch: limit_numbers; limits.gen: name_numbers

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

-- A limit: code, of its algorithm; capacity; the numbers of its algorithm by their names; algorithm, on the general path. Of
-- counters also: new_end_ms, when a counter ends that begins now; latest_end_ms, the latest end that a correct clock wrote;
-- is_extended, whether each charge moves the end; is_stale, whether now is in none of the windows.
local limits = {}
for first = 1, #limit_numbers, LIMIT_NUMBERS do
  local code = limit_numbers[first]
  local limit = { code = code, capacity = limit_numbers[first + 1] }
  name_numbers(limit, code, unpack(limit_numbers, first + 2, first + LIMIT_NUMBERS - 1))
  if code == BUDGET or code == FIXED_WINDOW or code == CALENDAR_WINDOW then
    limit.new_end_ms = window_end(limit, now_ms)
    limit.is_extended = code == BUDGET and limit.is_from_first == 0
    local length_ms = limit.ttl_ms or limit.window_ms
    if code == CALENDAR_WINDOW then
      limit.is_stale = now_ms < limit.start_ms or now_ms >= limit.end_ms
      length_ms = max(limit.middle_ms - limit.start_ms, limit.end_ms - limit.middle_ms)
    end
    limit.latest_end_ms = now_ms + length_ms
  end
  limits[#limits + 1] = limit
end
