-- What is in a bucket at an instant: what is spent (a state of its algorithm, or nil) and its holds. How many of its units are
-- used, and when they will be free.
--
-- Mirrors
--   src/kernel/bucket/contents.ts: contentsAt, rememberedAt, stateOf, usedIn
--   src/kernel/bucket/expiry.ts: endAllBy, keptUntilMs
--   src/kernel/bucket/free-after.ts: freeAfterMs, spentFreeAfterMs
-- Uses
--   wire.gen.lua: MAX_SAFE_INTEGER, REMEMBERED_MS
--   bucket/holds.lua: changed_hold, granted_in, held_units, is_kept, live_at
--   bucket/levels.lua: holds_of_draft
--   bucket/expiry.lua: draft_of, expire
-- Provides
--   contents_at, end_of_held, free_after_ms, held_state, state_of, used_in

-- The state of a bucket with holds: spent_kind, the kind of what is spent; spent; holds, at least one; expires_at_ms.
local held_state = { kind = "held" }

function held_state.of(spent_kind, spent, holds, expires_at_ms)
  return {
    algorithm = held_state,
    kind = "held",
    expires_at_ms = expires_at_ms,
    spent_kind = spent_kind,
    spent = spent,
    holds = holds,
  }
end

-- What is in a bucket with holds whose state is live and of this algorithm.
local function contents_at(limit, state, now_ms)
  if now_ms < state.holds[1].expires_at_ms then
    return live_at(state.spent, now_ms), state.holds
  end
  local draft = draft_of(state.spent, state.holds, false)
  local is_changed = false
  local index, count = 1, #draft.holds
  while index <= count do
    local hold = draft.holds[index]
    local is_replaced = false
    if now_ms >= hold.expires_at_ms then
      is_changed = is_changed or not hold.expired or not is_kept(hold, now_ms)
      is_replaced = not hold.expired and expire(limit, draft, index)
    end
    index = is_replaced and index or index + 1
  end
  local spent = live_at(draft.spent, now_ms)
  if not is_changed then
    return spent, state.holds
  end
  local holds = {}
  for _, hold in ipairs(holds_of_draft(draft)) do
    if is_kept(hold, now_ms) then
      if now_ms >= hold.expires_at_ms and not hold.expired then
        hold = changed_hold(hold, hold.expires_at_ms, hold.mark, true)
      end
      holds[#holds + 1] = hold
    end
  end
  return spent, holds
end

-- When a bucket ends after all its holds have expired, where `spent` is what is spent then.
local function end_after(spent, holds)
  local last_ms = holds[#holds].expires_at_ms
  for index = 1, #holds do
    local becomes = holds[index].becomes
    if becomes then
      last_ms = max(last_ms, holds[index].expires_at_ms + becomes.lease_ms)
    end
  end
  return max(spent and spent.expires_at_ms or 0, last_ms + REMEMBERED_MS)
end

-- When a bucket with holds ends, if nothing else happens than that they expire.
local function end_of_held(limit, spent, holds)
  local draft = draft_of(spent, holds, true)
  local index, count = 1, #holds
  while index <= count do
    local is_replaced = not draft.holds[index].expired and expire(limit, draft, index)
    index = is_replaced and index or index + 1
  end
  return end_after(draft.spent, holds)
end

-- What a store keeps: nil where there is nothing to keep. `end_ms` is when a bucket with holds ends, where that is known.
local function state_of(limit, spent, holds, end_ms, now_ms)
  if #holds == 0 then
    return live_at(spent, now_ms)
  end
  local expires_at_ms = end_ms or end_of_held(limit, spent, holds)
  return held_state.of(limit.algorithm.kind, live_at(spent, now_ms), holds, expires_at_ms)
end

-- Units that are not free.
local function used_in(limit, spent, holds, now_ms)
  local used = spent and limit.algorithm.used(limit, spent, now_ms) or 0
  if #holds == 0 then
    return used
  end
  return min(used + held_units(holds), MAX_SAFE_INTEGER)
end

-- A state that another window or rate wrote may end before its units come back by this limit.
local function wait_ms(limit, spent, units, now_ms)
  if not spent then
    return 0
  end
  return min(limit.algorithm.free_after_ms(limit, spent, units, now_ms), spent.expires_at_ms - now_ms)
end

-- Milliseconds until `units` are free, if nothing else happens than that holds expire and grants end; INFINITY where they never
-- will be. And the end of the bucket, where all its holds will have expired by then.
local function free_after_ms(limit, spent, holds, units, now_ms)
  if #holds == 0 then
    return units > limit.capacity and INFINITY or wait_ms(limit, spent, units, now_ms)
  end
  local draft = draft_of(spent, holds, true)
  -- What others hold takes from the capacity, what is granted adds to it.
  local apart = held_units(holds) - granted_in(holds)
  local at_ms = now_ms
  local index, count = 1, #holds
  while index <= count do
    local hold = draft.holds[index]
    local is_replaced = false
    if not hold.expired then
      -- Added only where the sum stays below 2^53.
      if units <= limit.capacity - apart then
        local free_at_ms = at_ms + wait_ms(limit, draft.spent, units + apart, at_ms)
        if free_at_ms < hold.expires_at_ms then
          return free_at_ms - now_ms
        end
      end
      is_replaced = expire(limit, draft, index)
      if hold.grants then
        apart = apart + hold.units
      elseif not hold.mark then
        apart = apart - hold.units
      end
      at_ms = hold.expires_at_ms
    end
    index = is_replaced and index or index + 1
  end
  if units > limit.capacity then
    return INFINITY
  end
  return at_ms - now_ms + wait_ms(limit, draft.spent, units, at_ms), end_after(draft.spent, holds)
end
