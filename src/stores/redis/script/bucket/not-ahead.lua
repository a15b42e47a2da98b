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
  local entries
  for index, entry in ipairs(state.entries) do
    local end_ms, lease_ms, level = entry.expires_at_ms, entry.lease_ms, entry.level_after
    local right_end_ms = lease_ms and end_ms > now_ms + lease_ms and now_ms + lease_ms or end_ms
    local right_level = level and level_not_ahead(level, ahead_ms, now_ms)
    if right_end_ms ~= end_ms or right_level ~= level then
      entries = entries or { unpack(state.entries) }
      entries[index] = changed_entry(entry, right_end_ms, right_level, entry.expired)
    end
  end
  if not entries and spent == state.spent then
    return state
  end
  entries = entries or state.entries
  sort_by_end(entries)
  return held_state.state(state.of, spent, entries, end_of_held(limit, spent, entries))
end
