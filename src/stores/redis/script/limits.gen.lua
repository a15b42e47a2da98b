-- Made from wire.ts by `npm run lua`. Do not edit. A limit's numbers by their names.

local function name_numbers(limit, code, number_1, number_2, number_3)
  if code == BUDGET then
    limit.ttl_ms, limit.is_from_first = number_1, number_2
  elseif code == FIXED_WINDOW then
    limit.window_ms, limit.is_first_use = number_1, number_2
  elseif code == SLIDING_WINDOW then
    limit.window_ms = number_1
  elseif code == TOKEN_BUCKET then
    limit.level_per_unit, limit.level_per_ms = number_1, number_2
  elseif code == CALENDAR_WINDOW then
    limit.start_ms, limit.middle_ms, limit.end_ms = number_1, number_2, number_3
  elseif code == ELAPSED then
    limit.ttl_ms = number_1
  elseif code == STREAK then
    limit.ttl_ms = number_1
  elseif code == COOLDOWN then
    limit.pause_ms = number_1
  end
end
