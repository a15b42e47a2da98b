-- What is in a bucket after units were charged, or an outcome was reported.
-- Mirrors bucket/contents: afterReport, isSeen, withSeen; decide: booked
-- Uses algorithms/counter: has_seen, with_seen; bucket/late: charged, charged_late

-- What is spent after units were charged that were admitted at `at_ms`, or now where that is nil.
local function charged_at(limit, spent, cost, at_ms, now_ms)
  if at_ms then
    return charged_late(limit, spent, cost, at_ms, now_ms)
  end
  return charged(limit, spent, cost, now_ms)
end

local function charged_for_value(limit, spent, value_hash, cost, at_ms, now_ms)
  if spent and has_seen(spent, value_hash) then
    return spent
  end
  local after = charged_at(limit, spent, cost, at_ms, now_ms)
  if at_ms and after == spent then
    -- A value of a window that is over was not seen in this one.
    return spent
  end
  return after and after.kind == "counter" and with_seen(after, value_hash) or after
end

local function after_report(limit, spent, outcome, now_ms)
  local report = limit.algorithm.report
  if not report then
    return spent
  end
  if outcome == NO_OUTCOME then
    return nil
  end
  return report(limit, spent, outcome, now_ms)
end
