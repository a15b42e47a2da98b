-- What is in a bucket after units were charged, taken back or given back. What comes late belongs to the window of its own
-- instant, and is dropped where that window is over.
-- Mirrors bucket/contents: charged, isSeen, withSeen; bucket/late: chargedLate, raised, takenBack
-- Uses bucket/contents: used_in; bucket/entries: entry_in, live_at, with_new_entry, without

-- What is spent after units were charged. Where time is counted, a charge of nothing begins it.
local function charged(limit, spent, cost, now_ms)
  if cost == 0 and not limit.algorithm.needs_no_cost then
    return spent
  end
  return limit.algorithm.book(limit, spent, cost, now_ms)
end

-- Whether a booking at an earlier instant belongs to the window that a state counts.
local function is_in_window(limit, spent, at_ms, now_ms)
  local rule = limit.algorithm.is_in_window
  return not rule or rule(limit, spent, at_ms, now_ms)
end

-- What is spent after units were charged that had been admitted at an earlier instant: the same state where they are dropped.
local function charged_late(limit, spent, cost, at_ms, now_ms)
  if not is_in_window(limit, spent, at_ms, now_ms) then
    return spent
  end
  return live_at(charged(limit, spent, cost, min(at_ms, now_ms)), now_ms) or spent
end

-- What is spent after units were charged that were admitted at `at_ms`, or now where that is nil.
local function charged_at(limit, spent, cost, at_ms, now_ms)
  return (at_ms and charged_late or charged)(limit, spent, cost, at_ms or now_ms, now_ms)
end

-- Whether a bucket has counted a value.
local function is_seen(limit, spent, value_hash)
  local has_seen = limit.algorithm.has_seen
  return has_seen and spent and has_seen(spent, value_hash)
end

local function charged_for_value(limit, spent, value_hash, cost, at_ms, now_ms)
  if is_seen(limit, spent, value_hash) then
    return spent
  end
  local after, with_seen = charged_at(limit, spent, cost, at_ms, now_ms), limit.algorithm.with_seen
  -- A value of a window that is over was not seen in this one.
  if (at_ms and after == spent) or not after or not with_seen then
    return after
  end
  return with_seen(after, value_hash)
end

-- What is spent after units were taken back that had been charged at an earlier instant, and whether they were.
local function taken_back(limit, spent, cost, at_ms, now_ms)
  if cost == 0 or not spent or not is_in_window(limit, spent, at_ms, now_ms) then
    return spent, false
  end
  local alone = limit.algorithm.book(limit, nil, cost, at_ms)
  if now_ms >= alone.expires_at_ms then
    return spent, false
  end
  local take_back = limit.algorithm.take_back
  return take_back and take_back(limit, spent, alone, cost, now_ms) or spent, true
end

-- Gives back use that the store has lost. `raise`: id; units; at_ms, when they were booked; lease_ms, how long they are
-- remembered; lost_some, whether the store may have kept some of them.
local function raised(limit, spent, entries, raise, now_ms)
  local units = raise.units
  if not limit.algorithm.take_back then
    return spent, entries
  end
  local before = entry_in(entries, raise.id)
  local known = before and before.units or raise.lost_some and used_in(limit, spent, entries, now_ms) or 0
  if units <= known and (before or not raise.lost_some) then
    return spent, entries
  end
  local after = spent
  if units > known then
    after = charged_late(limit, spent, units - known, raise.at_ms, now_ms)
    if after == spent then
      return spent, entries
    end
  end
  local late = {
    kind = "late",
    id = raise.id,
    units = max(units, known),
    expires_at_ms = now_ms + raise.lease_ms,
    lease_ms = raise.lease_ms,
    expired = true,
  }
  return after, with_new_entry(without(entries, before), late)
end
