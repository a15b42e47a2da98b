-- Mirrors src/kernel/bucket/late.ts: what is booked afterwards, each into the window of its own instant, and nothing where
-- that is over.

-- The earliest instant whose bookings may be in a state.
local function began_at_ms(limit, spent)
  local algorithm, end_ms = limit.algorithm, spent.expires_at_ms
  if algorithm == fixed_window or (algorithm == budget and limit.c == 1) then
    return end_ms - limit.b
  elseif algorithm ~= calendar_window then
    return 0
  end
  return limit.d < end_ms and limit.d or limit.c < end_ms and limit.c or limit.b < end_ms and limit.b or 0
end

-- What is spent after units were that had been admitted at an earlier instant: the same state where they are dropped.
local function charged_afterwards(limit, spent, cost, at_ms, now_ms)
  if limit.algorithm == sliding_window and sliding_window.has_left(limit, at_ms, now_ms) then
    return spent
  end
  if spent and at_ms < began_at_ms(limit, spent) then
    return spent
  end
  return live_at(charged(limit, spent, cost, min(at_ms, now_ms)), now_ms) or spent
end

-- What is spent after units were taken back that had been spent at an earlier instant, and whether they were.
local function unspent(limit, spent, cost, at_ms, now_ms)
  if cost == 0 or not spent or at_ms < began_at_ms(limit, spent) then
    return spent, false
  end
  local alone = limit.algorithm.book(limit, nil, cost, at_ms)
  if now_ms >= alone.expires_at_ms then
    return spent, false
  end
  if spent.kind == "counter" then
    return counter(max(0, spent.spent - cost), spent.expires_at_ms, nil, spent.seen), true
  elseif spent.kind == "sliding-window" then
    return sliding_window.without_units(spent, alone, cost), true
  elseif spent.kind == "token-bucket" then
    return token_bucket.lowered(limit, spent, token_bucket.returnable(limit, spent, alone, cost, now_ms)), true
  end
  return spent, true
end
