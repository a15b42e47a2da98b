-- Made from wire.ts by `npm run lua`. Do not edit. A limit's numbers by their names.
--
-- Uses
--   wire.gen.lua: BUDGET, CALENDAR_WINDOW, CONCURRENCY, ELAPSED, FIXED_WINDOW, SLIDING_WINDOW, STREAK, TOKEN_BUCKET
-- Provides
--   limit_from

local function limit_from(code, capacity, number_1, number_2, number_3)
  if code == BUDGET then
    return { code = code, capacity = capacity, ttl_ms = number_1, starts_at_first = number_2 }
  elseif code == FIXED_WINDOW then
    return { code = code, capacity = capacity, window_ms = number_1, starts_at_first = number_2 }
  elseif code == SLIDING_WINDOW then
    return { code = code, capacity = capacity, window_ms = number_1 }
  elseif code == TOKEN_BUCKET then
    return { code = code, capacity = capacity, level_per_unit = number_1, level_per_ms = number_2 }
  elseif code == CONCURRENCY then
    return { code = code, capacity = capacity }
  elseif code == CALENDAR_WINDOW then
    return { code = code, capacity = capacity, start_ms = number_1, next_start_ms = number_2, next_end_ms = number_3 }
  elseif code == ELAPSED then
    return { code = code, capacity = capacity, ttl_ms = number_1 }
  elseif code == STREAK then
    return { code = code, capacity = capacity, ttl_ms = number_1 }
  end
end
