-- What is in a bucket after units were charged, taken back or given back late: each belongs to the window of its own instant,
-- and is dropped where that window is over.
--
-- Mirrors
--   src/kernel/bucket/contents.ts: charged
--   src/kernel/bucket/late.ts: chargedLate, raised, takenBack
-- Uses
--   bucket/holds.lua: first_kept, hold_in, live_at, with_hold, without
--   bucket/contents.lua: used_in
--   algorithms/counter.lua: budget, calendar_window, counter, fixed_window
--   algorithms/sliding-window.lua: sliding_window
--   algorithms/token-bucket.lua: token_bucket
--   algorithms/concurrency.lua: concurrency
--   algorithms/elapsed.lua: elapsed
--   algorithms/streak.lua: streak
-- Provides
--   charged, charged_late, raised, unspent

-- What is spent after units were charged. Time that elapses begins also with a charge of nothing.
local function charged(limit, spent, cost, now_ms)
  if cost == 0 and limit.algorithm ~= elapsed then
    return spent
  end
  return limit.algorithm.book(limit, spent, cost, now_ms)
end

-- The earliest instant whose bookings may be in a state.
local function began_at_ms(limit, spent)
  local algorithm, end_ms = limit.algorithm, spent.expires_at_ms
  if algorithm == fixed_window then
    return end_ms - limit.window_ms
  elseif algorithm == budget and limit.is_from_first == 1 then
    return end_ms - limit.ttl_ms
  elseif algorithm ~= calendar_window then
    return -INFINITY
  end
  return limit.end_ms < end_ms and limit.end_ms
    or limit.middle_ms < end_ms and limit.middle_ms
    or limit.start_ms < end_ms and limit.start_ms
    or 0
end

-- What is spent after units were charged that had been admitted at an earlier instant: the same state where they are dropped.
local function charged_late(limit, spent, cost, at_ms, now_ms)
  if limit.algorithm == sliding_window and sliding_window.has_left(limit, at_ms, now_ms) then
    return spent
  end
  if spent and at_ms < began_at_ms(limit, spent) then
    return spent
  end
  return live_at(charged(limit, spent, cost, min(at_ms, now_ms)), now_ms) or spent
end

-- What is spent after units were taken back that had been charged at an earlier instant, and whether they were.
local function unspent(limit, spent, cost, at_ms, now_ms)
  if cost == 0 or not spent or at_ms < began_at_ms(limit, spent) then
    return spent, false
  end
  local alone = limit.algorithm.book(limit, nil, cost, at_ms)
  if now_ms >= alone.expires_at_ms then
    return spent, false
  end
  if spent.kind == "counter" then
    return counter(max(0, spent.spent - cost), spent.expires_at_ms, spent.seen), true
  elseif spent.kind == "sliding-window" then
    return sliding_window.without_units(spent, alone, cost), true
  elseif spent.kind == "token-bucket" then
    return token_bucket.lowered(limit, spent, token_bucket.returnable(limit, spent, alone, cost, now_ms)), true
  end
  return spent, true
end

-- Gives back use that the store has lost. `raise`: id; units; at_ms, when they were booked; lease_ms, how long they are
-- remembered; lost_some, whether the store may have kept some of them.
local function raised(limit, spent, holds, raise, now_ms)
  local algorithm, units = limit.algorithm, raise.units
  if algorithm == concurrency or algorithm == elapsed or algorithm == streak then
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
