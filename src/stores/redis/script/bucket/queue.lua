-- The queue of calls that wait for a bucket: when the next turn is, and what is in the bucket after a call was queued.
-- Mirrors bucket/queue: heldFrom, queued, turnAfterMs, withQueued
-- Uses bucket/charges: charged; bucket/contents: free_after_ms; bucket/entries: changed_entry, with_new_entry;
--   bucket/reservations: held

-- Milliseconds until units are free behind all calls that wait, whatever becomes of holds; INFINITY where no more may wait.
local function turn_after_ms(limit, spent, entries, units, now_ms)
  local queue = {}
  for _, entry in ipairs(entries) do
    if entry.kind == "queued" then
      if entry.becomes then
        entry = changed_entry(entry, entry.expires_at_ms, nil, false)
        entry.becomes = nil
      end
      queue[#queue + 1] = entry
    end
  end
  if #queue >= MAX_QUEUED then
    return INFINITY
  end
  return (free_after_ms(limit, spent, queue, units, now_ms))
end

local function with_queued(entries, id, units, at_ms, becomes, now_ms)
  local lease_ms = at_ms - now_ms
  local call = { kind = "queued", id = id, units = units, expires_at_ms = at_ms, lease_ms = lease_ms, becomes = becomes }
  return with_new_entry(entries, call)
end

-- A charge that waits until `at_ms`: its units are spent then.
local function queued(limit, spent, entries, id, units, at_ms, now_ms)
  if units == 0 or limit.algorithm.needs_no_cost then
    return charged(limit, spent, units, now_ms), entries
  end
  return spent, with_queued(entries, id, units, at_ms, nil, now_ms)
end

-- A hold of a call that waits until `at_ms`: on a token bucket a queued call that becomes the hold then; elsewhere the units are
-- held from now on, and the lease begins then.
local function held_from(limit, spent, entries, hold, at_ms, now_ms)
  if not limit.algorithm.flows then
    local later = changed_entry(hold, at_ms + hold.lease_ms, nil, false)
    later.lease_ms = at_ms - now_ms + hold.lease_ms
    return held(limit, spent, entries, later, now_ms)
  elseif hold.units == 0 then
    return spent, entries
  end
  local becomes = { charges = hold.charges, lease_ms = hold.lease_ms }
  return spent, with_queued(entries, hold.id, hold.units, at_ms, becomes, now_ms)
end
