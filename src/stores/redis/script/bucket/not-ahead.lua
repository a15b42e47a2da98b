-- Corrects instants in a bucket with entries that a clock wrote which was ahead.
-- Mirrors bucket/ahead: entryNotAhead, notAhead; algorithms/token-bucket: flow
-- Uses bucket/entries: changed_entry; bucket/expiry: end_of_held; bucket/held: held_state

-- The level after an entry whose bucket's level is `ahead_ms` ahead of now: it keeps its distance to that.
local function level_not_ahead(level, ahead_ms, now_ms)
  local base_ms = max(0, level.base_ms - ahead_ms)
  if base_ms > now_ms then
    -- It is unknown when it was booked: nothing of it is given back.
    return { base_ms = now_ms, level = 0, level_per_unit = level.level_per_unit }
  elseif base_ms == level.base_ms then
    return level
  end
  return { base_ms = base_ms, level = level.level, level_per_unit = level.level_per_unit }
end

-- Sorts entries by their ends; those that end at the same instant keep their order. Nearly all are in order already.
local function sort_by_end(entries)
  for index, entry in ipairs(entries) do
    local at = index
    while at > 1 and entries[at - 1].expires_at_ms > entry.expires_at_ms do
      entries[at], at = entries[at - 1], at - 1
    end
    entries[at] = entry
  end
end

-- The corrected state of a bucket with entries, or the same one where nothing changes.
local function held_not_ahead(limit, state, now_ms)
  local spent = state.spent and limit.algorithm.not_ahead(limit, state.spent, now_ms)
  local ahead_ms = limit.algorithm.flows and state.spent and max(0, state.spent.base_ms - now_ms) or 0
  local is_same, entries = spent == state.spent, {}
  for index, entry in ipairs(state.entries) do
    local end_ms = entry.lease_ms and min(entry.expires_at_ms, now_ms + entry.lease_ms) or entry.expires_at_ms
    local level_after = entry.level_after and level_not_ahead(entry.level_after, ahead_ms, now_ms)
    if end_ms ~= entry.expires_at_ms or level_after ~= entry.level_after then
      entry, is_same = changed_entry(entry, end_ms, level_after, entry.expired), false
    end
    entries[index] = entry
  end
  if is_same then
    return state
  end
  sort_by_end(entries)
  return held_state.state(state.of, spent, entries, end_of_held(limit, spent, entries))
end
