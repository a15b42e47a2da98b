-- Corrects instants in a bucket with holds that a clock wrote which was ahead.
-- Mirrors bucket/ahead: entryNotAhead, notAhead
-- Uses bucket/contents: end_of_held, held_state; bucket/holds: changed_hold

-- The mark of a hold whose bucket's level is `ahead_ms` ahead of now: it keeps its distance to that.
local function mark_not_ahead(mark, ahead_ms, now_ms)
  local base_ms = max(0, mark.base_ms - ahead_ms)
  if base_ms > now_ms then
    -- When it was booked is unknown: nothing of it is given back.
    return { base_ms = now_ms, level = 0, level_per_unit = mark.level_per_unit }
  elseif base_ms == mark.base_ms then
    return mark
  end
  return { base_ms = base_ms, level = mark.level, level_per_unit = mark.level_per_unit }
end

-- Sorts holds by their ends; those that end at the same instant keep their order.
local function sort_by_end(holds)
  local order = {}
  for index, hold in ipairs(holds) do
    order[hold] = index
  end
  table.sort(holds, function(one, other)
    if one.expires_at_ms == other.expires_at_ms then
      return order[one] < order[other]
    end
    return one.expires_at_ms < other.expires_at_ms
  end)
end

-- The corrected state of a bucket with holds, or the same one where nothing changes.
local function held_not_ahead(limit, state, now_ms)
  local spent = state.spent and limit.algorithm.not_ahead(limit, state.spent, now_ms)
  local ahead_ms = limit.algorithm.flows and state.spent and max(0, state.spent.base_ms - now_ms) or 0
  local is_same = spent == state.spent
  local holds = {}
  for index, hold in ipairs(state.holds) do
    local end_ms = hold.lease_ms and min(hold.expires_at_ms, now_ms + hold.lease_ms) or hold.expires_at_ms
    local mark = hold.mark and mark_not_ahead(hold.mark, ahead_ms, now_ms)
    if end_ms ~= hold.expires_at_ms or mark ~= hold.mark then
      hold, is_same = changed_hold(hold, end_ms, mark, hold.expired), false
    end
    holds[index] = hold
  end
  if is_same then
    return state
  end
  sort_by_end(holds)
  return held_state.of(state.spent_kind, spent, holds, end_of_held(limit, spent, holds))
end
