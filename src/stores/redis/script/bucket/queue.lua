-- The queue of calls that wait for a bucket: when the next turn is, and what is in the bucket after a place was taken.
-- Mirrors bucket/queue: heldFrom, queued, turnAfterMs
-- Uses bucket/contents: free_after_ms; bucket/holds: changed_hold, first_kept, with_hold; bucket/late: charged

-- Milliseconds until units are free behind all places, whatever becomes of holds; INFINITY where there is no room for a place.
local function turn_after_ms(limit, spent, holds, units, now_ms)
  local places = {}
  for _, hold in ipairs(holds) do
    if hold.waits then
      if hold.becomes then
        hold = changed_hold(hold, hold.expires_at_ms, nil, false)
        hold.becomes = nil
      end
      places[#places + 1] = hold
    end
  end
  if #places >= MAX_QUEUED then
    return INFINITY
  end
  return (free_after_ms(limit, spent, places, units, now_ms))
end

-- A charge that waits until `at_ms`: its units are spent then.
local function queued(limit, spent, holds, id, units, at_ms, now_ms)
  if units == 0 or limit.algorithm.needs_no_cost then
    return charged(limit, spent, units, now_ms), holds
  end
  local place = {
    id = id,
    units = units,
    expires_at_ms = at_ms,
    lease_ms = at_ms - now_ms,
    charges = true,
    waits = true,
    expired = false,
  }
  return spent, with_hold(holds, first_kept(holds), place)
end

-- A hold of a call that waits until `at_ms`: on a token bucket a place that becomes the hold then; elsewhere the units are held
-- from now on, and the lease begins then.
local function held_from(limit, spent, holds, new_hold, at_ms, now_ms)
  if new_hold.units == 0 then
    return spent, holds
  end
  local hold = changed_hold(new_hold, at_ms + new_hold.lease_ms, nil, false)
  if limit.algorithm.flows then
    hold.expires_at_ms, hold.lease_ms = at_ms, at_ms - now_ms
    hold.charges, hold.waits = true, true
    hold.becomes = { charges = new_hold.charges, lease_ms = new_hold.lease_ms }
  else
    hold.lease_ms = at_ms - now_ms + new_hold.lease_ms
  end
  return spent, with_hold(holds, first_kept(holds), hold)
end
