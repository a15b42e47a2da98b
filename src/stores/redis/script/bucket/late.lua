-- What is in a bucket after units were charged, taken back or given back late: each belongs to the window of its own instant,
-- and is dropped where that window is over.
-- Mirrors bucket/contents: charged; bucket/late: chargedLate, raised, takenBack
-- Uses bucket/contents: used_in; bucket/holds: first_kept, hold_in, live_at, with_hold, without

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

-- What is spent after units were taken back that had been charged at an earlier instant, and whether they were.
local function unspent(limit, spent, cost, at_ms, now_ms)
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
local function raised(limit, spent, holds, raise, now_ms)
  local units = raise.units
  if not limit.algorithm.take_back then
    return spent, holds
  end
  local memo = hold_in(holds, raise.id)
  local known = memo and memo.units or raise.lost_some and used_in(limit, spent, holds, now_ms) or 0
  if units <= known and (memo or not raise.lost_some) then
    return spent, holds
  end
  local after = spent
  if units > known then
    after = charged_late(limit, spent, units - known, raise.at_ms, now_ms)
    if after == spent then
      return spent, holds
    end
  end
  local others = without(holds, memo)
  local next_memo = {
    id = raise.id,
    units = max(units, known),
    expires_at_ms = now_ms + raise.lease_ms,
    lease_ms = raise.lease_ms,
    is_memo = true,
    expired = true,
  }
  return after, with_hold(others, first_kept(others), next_memo)
end
