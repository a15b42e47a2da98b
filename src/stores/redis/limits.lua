-- The batch's limits. Of each: of, its algorithm's number; a, b, c and d, its numbers. Of counters also: end_ms, when one
-- ends that begins now; last_ms, when one ends at the latest that a right clock wrote; slides, whether each charge puts the end off; is_stale, whether now is in none of its windows.

-- When a window ends that begins with a charge, or that it falls into. Mirrors endOf of fixed-window.ts, and budget.ts.
local function window_end(limit, at_ms)
  if limit.of == CALENDAR_WINDOW then
    -- A hold may have ended in a window that is over by now, or may end after those that are known.
    return at_ms < limit.b and limit.b
      or at_ms < limit.c and limit.c
      or at_ms < limit.d and limit.d
      or at_ms + limit.d - limit.c
  elseif limit.of == QUOTA or limit.c == 1 then
    return at_ms + limit.b
  end
  return at_ms - at_ms % limit.b + limit.b
end

-- How long a window or a ttl is; of a calendar's windows, the longer of the two.
local function length_ms(limit)
  if limit.of ~= CALENDAR_WINDOW then
    return limit.b
  end
  return max(limit.c - limit.b, limit.d - limit.c)
end

local limits = {}
for first = 1, #limit_numbers, 5 do
  local of, a, b, c, d = unpack(limit_numbers, first, first + 4)
  local limit = { of = of, a = a, b = b, c = c, d = d, algorithm = nil, end_ms = nil, last_ms = nil, slides = nil, is_stale = nil }
  if of == QUOTA or of == FIXED_WINDOW or of == CALENDAR_WINDOW then
    limit.end_ms = window_end(limit, now_ms)
    limit.last_ms = now_ms + length_ms(limit)
    limit.slides = of == QUOTA and c == 0
    limit.is_stale = of == CALENDAR_WINDOW and (now_ms < b or now_ms >= d)
  end
  limits[#limits + 1] = limit
end
