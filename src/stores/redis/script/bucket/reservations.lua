-- What is in a bucket after units were reserved, and after a hold was settled or extended.
-- Mirrors bucket/reservations: ended, extended, givenBack, held; decide: booked
-- Uses bucket/charges: charged_at; bucket/expiry: draft_of; bucket/holds: changed_hold, first_kept, with_hold,
--   without_id; bucket/late: charged; bucket/levels: give_back, holds_of_draft

local function held(limit, spent, holds, new_hold, now_ms)
  if new_hold.units == 0 then
    return spent, holds
  end
  if limit.algorithm.flows then
    spent = charged(limit, spent, new_hold.units, now_ms)
    new_hold = changed_hold(new_hold, new_hold.expires_at_ms, spent, false)
  end
  if #holds == 0 then
    return spent, { new_hold }
  end
  return spent, with_hold(holds, first_kept(holds), new_hold)
end

-- What is in the bucket when a hold ends that took `actual` units, and how many of those still have to be spent.
local function ended(limit, spent, holds, hold, actual, now_ms)
  if not hold then
    return spent, holds, actual
  end
  local is_spent = hold.mark
  if hold.expired then
    is_spent = hold.charges
  end
  local cost = is_spent and max(0, actual - hold.units) or actual
  local others = without_id(holds, hold.id)
  if not hold.mark or hold.expired then
    return spent, others, cost
  end
  local draft = draft_of(spent, others, false)
  give_back(limit, draft, hold.mark, max(0, hold.units - actual), now_ms)
  return draft.spent, holds_of_draft(draft), cost
end

local function settled(limit, spent, holds, hold, actual, at_ms, now_ms)
  local rest, others, cost = ended(limit, spent, holds, hold, actual, now_ms)
  return charged_at(limit, rest, cost, at_ms, now_ms), others
end

-- The holds after a live one was given `lease_ms` from now, unless it has longer. A place keeps its turn.
local function extended(holds, hold, lease_ms, now_ms)
  local others = without_id(holds, hold.id)
  if hold.becomes then
    local place = changed_hold(hold, hold.expires_at_ms, nil, false)
    local later_ms = max(hold.becomes.lease_ms, now_ms + lease_ms - hold.expires_at_ms)
    place.becomes = { charges = hold.becomes.charges, lease_ms = later_ms }
    return with_hold(others, 1, place)
  end
  local longer = changed_hold(hold, max(hold.expires_at_ms, now_ms + lease_ms), hold.mark, false)
  longer.lease_ms = hold.lease_ms and max(hold.lease_ms, lease_ms)
  return with_hold(others, 1, longer)
end
