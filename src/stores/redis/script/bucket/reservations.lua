-- What is in a bucket after units were held, and after a hold was settled or extended.
-- Mirrors bucket/reservations: ended, extended, givenBack, held; decide: booked
-- Uses bucket/charges: charged, charged_at; bucket/entries: changed_entry, with_entry, with_new_entry, without_id;
--   bucket/expiry: expiry_of; bucket/sinking: entries_of, give_back

local function held(limit, spent, entries, hold, now_ms)
  if hold.units == 0 then
    return spent, entries
  elseif limit.algorithm.flows then
    spent = charged(limit, spent, hold.units, now_ms)
    hold = changed_entry(hold, hold.expires_at_ms, spent, false)
  end
  return spent, with_new_entry(entries, hold)
end

-- What is in the bucket after an entry ended that took `actual` units, and how many of those still have to be spent.
local function ended(limit, spent, entries, entry, actual, now_ms)
  if not entry then
    return spent, entries, actual
  end
  local is_spent = entry.level_after
  if entry.expired then
    is_spent = entry.charges
  end
  local unspent = is_spent and max(0, actual - entry.units) or actual
  local others = without_id(entries, entry.id)
  if not entry.level_after or entry.expired then
    return spent, others, unspent
  end
  local expiry = expiry_of(spent, others, false)
  give_back(limit, expiry, entry.level_after, max(0, entry.units - actual), now_ms)
  return expiry.spent, entries_of(expiry), unspent
end

local function settled(limit, spent, entries, entry, actual, at_ms, now_ms)
  local rest, others, unspent = ended(limit, spent, entries, entry, actual, now_ms)
  return charged_at(limit, rest, unspent, at_ms, now_ms), others
end

-- The entries after a live one was given `lease_ms` from now, unless it has longer. A queued call keeps its turn.
local function extended(entries, entry, lease_ms, now_ms)
  local becomes, end_ms = entry.becomes, entry.expires_at_ms
  local longer = changed_entry(entry, end_ms, entry.level_after, false)
  if becomes then
    longer.becomes = { charges = becomes.charges, lease_ms = max(becomes.lease_ms, now_ms + lease_ms - end_ms) }
  else
    longer.expires_at_ms = max(end_ms, now_ms + lease_ms)
    longer.lease_ms = entry.lease_ms and max(entry.lease_ms, lease_ms)
  end
  return with_entry(without_id(entries, entry.id), 1, longer)
end
