-- What is in a bucket after units were granted on top of its capacity, and after a grant was revoked.
-- Mirrors bucket/grants: granted, isSameGrant, revoked
-- Uses bucket/entries: changed_entry, entry_in, with_entry, with_new_entry, without; bucket/sinking: at_height

-- Fills a token bucket, at most to the brim. Everything that was booked on it sinks.
local function filled_up(limit, spent, entries, units, now_ms)
  local by = limit.algorithm.returnable(limit, spent, spent, units, now_ms)
  local sunk = {}
  for index, entry in ipairs(entries) do
    local level = entry.level_after
    if level then
      entry = changed_entry(entry, entry.expires_at_ms, at_height(level, level.level - by), entry.expired)
    end
    sunk[index] = entry
  end
  return limit.algorithm.lowered(limit, spent, by), sunk
end

-- Units are granted once for an id, until the grant or the window ends.
local function granted(limit, spent, entries, id, units, lease_ms, now_ms)
  if units == 0 or entry_in(entries, id) then
    return spent, entries
  end
  local end_ms, flows = now_ms + lease_ms, limit.algorithm.flows or false
  local window_ends_at_ms = limit.algorithm.window_ends_at_ms
  if window_ends_at_ms then
    end_ms = min(end_ms, window_ends_at_ms(limit, spent, now_ms))
  end
  local grant = { kind = "grant", id = id, units = units, expires_at_ms = end_ms, lease_ms = lease_ms, expired = flows }
  local after = with_new_entry(entries, grant)
  if flows and spent then
    return filled_up(limit, spent, after, units, now_ms)
  end
  return spent, after
end

-- Whether an entry is what a grant asks for, and is still there. What fills a token bucket ends at once.
local function is_same_grant(limit, entry, units, lease_ms)
  local is_there = not entry.expired or limit.algorithm.flows
  return entry.kind == "grant" and entry.units == units and entry.lease_ms == lease_ms and is_there
end

-- The entries after a live grant ended now. It is remembered, so that it is not granted again.
local function revoked(entries, grant, now_ms)
  return with_entry(without(entries, grant), 1, changed_entry(grant, now_ms, nil, true))
end
