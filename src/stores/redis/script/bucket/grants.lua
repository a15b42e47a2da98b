-- What is in a bucket after units were granted on top of its capacity, and after a grant was revoked.
--
-- Mirrors
--   src/kernel/bucket/grants.ts: granted, isSameGrant, revoked
-- Uses
--   bucket/holds.lua: changed_hold, first_kept, hold_in, with_hold, without
-- Provides
--   granted, is_same_grant, revoked

-- Fills a token bucket, at most to the brim. Everything that was booked on it sinks.
local function filled_up(limit, spent, holds, units, now_ms)
  local by = limit.algorithm.returnable(limit, spent, spent, units, now_ms)
  local sunk = {}
  for index, hold in ipairs(holds) do
    local mark = hold.mark
    if mark then
      mark = { base_ms = mark.base_ms, level = max(0, mark.level - by), level_per_unit = mark.level_per_unit }
      hold = changed_hold(hold, hold.expires_at_ms, mark, hold.expired)
    end
    sunk[index] = hold
  end
  return limit.algorithm.lowered(limit, spent, by), sunk
end

-- Units are granted once for an id, until the grant or the window ends.
local function granted(limit, spent, holds, id, units, lease_ms, now_ms)
  if units == 0 or hold_in(holds, id) then
    return spent, holds
  end
  local expires_at_ms = now_ms + lease_ms
  local window_ends_at_ms = limit.algorithm.window_ends_at_ms
  if window_ends_at_ms then
    expires_at_ms = min(expires_at_ms, window_ends_at_ms(limit, spent, now_ms))
  end
  local flows = limit.algorithm.flows or false
  local grant = {
    id = id,
    units = units,
    expires_at_ms = expires_at_ms,
    lease_ms = lease_ms,
    grants = true,
    expired = flows,
  }
  local after = with_hold(holds, first_kept(holds), grant)
  if flows and spent then
    return filled_up(limit, spent, after, units, now_ms)
  end
  return spent, after
end

-- Whether a hold is what a grant asks for, and is still there. What fills a token bucket ends at once.
local function is_same_grant(limit, hold, units, lease_ms)
  local is_there = not hold.expired or limit.algorithm.flows
  return hold.grants and hold.units == units and hold.lease_ms == lease_ms and is_there
end

-- The holds after a live grant ended now. It is remembered, so that it is not granted again.
local function revoked(holds, grant, now_ms)
  return with_hold(without(holds, grant), 1, changed_hold(grant, now_ms, nil, true))
end
