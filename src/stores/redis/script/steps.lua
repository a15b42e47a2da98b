-- The steps of a request: what they ask, whether they may be booked, and what their buckets hold when they are.
-- Mirrors decide: booked, isFirm, judge, namedIn, stepFits, turnOf, unitsNeeded
-- Uses algorithms/counter: has_seen; batch: argument, position, requests, shapes; bucket/charges: after_report,
--   charged_at, charged_for_value; bucket/contents: used_in; bucket/grants: granted, revoked; bucket/holds: NO_HOLDS,
--   grant_in, granted_in, hold_in; bucket/late: raised; bucket/queue: held_from, queued, turn_after_ms;
--   bucket/reservations: extended, held, settled; fast/decide: fast_used; limits: limits; states: contents_of, put,
--   state_in

-- One record for each step of a request, which the next request uses again: to make new ones takes time.
--   What the step asks: key; limit; event; is_shadow; lists_grants, whether the reply lists them; units, of the event; needed,
--   units that must be free; id, of the hold or the grant that the event names or makes; lease_ms; of a raise at_ms, when the
--   units were booked, and lost_some, whether the store may have kept some of them; outcome; value_hash; new_hold.
--   How it stands: fast_used, units used of a charge that the fast path can make; else spent and holds, what is in the bucket,
--   and corrected, its state where that has to be written also when nothing is booked; named, the hold or the grant of the id;
--   fits; turn_ms, in how many ms its turn is, where it waits; spent_after and holds_after.
--   What is replied, where an answer is kept: used, granted, reset_ms, retry_ms, found.
local function new_step()
  return { key = 0, limit = false, event = 0, units = 0, needed = 0, is_shadow = false, fast_used = false, fits = false }
end

local steps = setmetatable({}, {
  __index = function(records, index)
    local record = new_step()
    records[index] = record
    return record
  end,
})

local function read_hold()
  local id, units, lease_ms = argument(), argument(), argument()
  return {
    id = id,
    units = units,
    expires_at_ms = now_ms + lease_ms,
    lease_ms = lease_ms,
    charges = argument() == 1,
    expired = false,
    mark = nil,
    text = nil,
  }
end

-- Reads what belongs to an event that is neither a charge of units nor a hold. Returns its units, and those that must be free.
local function read_event(step, event)
  if event == CHARGE_VALUE then
    step.value_hash = argument()
    local units = argument()
    return units, max(1, units)
  elseif event == REPORT then
    step.outcome = argument()
    return 0, -INFINITY
  elseif event == READ or event == RESET then
    return 0, -INFINITY
  end
  step.id = argument()
  if event == EXTEND then
    step.lease_ms = argument()
    return 0, INFINITY
  elseif event == REVOKE then
    return 0, -INFINITY
  end
  local units = argument()
  if event == GRANT then
    step.lease_ms = argument()
  elseif event == RAISE then
    step.at_ms, step.lease_ms, step.lost_some = argument(), argument(), argument() == 1
  end
  return units, -INFINITY
end

-- Reads the steps of a request. Returns how many there are, and the first key that cannot be judged.
--   may_reset  whether a reset may empty a damaged bucket
--   shows      whether the buckets are only read
--   may_be_fast  whether the fast path may make a charge of the request
local function read_steps(shape, may_reset, shows, may_be_fast)
  local count = shape > 0 and shapes[shape] or argument()
  local broken, new_hold
  for index = 1, count do
    local step = steps[index]
    local key, number, event = requests[position + 1], requests[position + 2], requests[position + 3]
    if shape > 0 then
      number, event = shapes[shape + 2 * index - 1], shapes[shape + 2 * index]
      position = position + 1
    else
      position = position + 3
    end
    local units, needed
    if event >= CHARGE then
      event, units, needed = CHARGE, event, max(1, event)
    elseif event == HOLD or event == SAME_HOLD then
      new_hold = event == HOLD and read_hold() or new_hold
      step.new_hold = new_hold
      event, units, needed = HOLD, new_hold.units, max(1, new_hold.units)
    else
      units, needed = read_event(step, event)
    end
    local limit = limits[max(number, -number)]
    step.lists_grants = shows or event == READ or event == RESET or event == GRANT or event == REVOKE
    if shows then
      event, needed = READ, -INFINITY
    end
    step.key, step.limit, step.event, step.units, step.needed = key, limit, event, units, needed
    step.is_shadow = number < 0
    step.fast_used = may_be_fast and event == CHARGE and units < MAX_FAST_COST and fast_used(limit, key)
    local state = not step.fast_used and state_in(key)
    if state == DAMAGED and event == RESET and may_reset then
      put(key, false)
    elseif not broken and (state == DAMAGED or state == WRONG_TYPE) then
      broken = key
    end
  end
  return count, broken
end

-- Whether a step may be booked now.
local function judge(step)
  local limit, event = step.limit, step.event
  if step.fast_used then
    step.spent, step.holds, step.corrected = nil, NO_HOLDS, nil
    return step.needed <= limit.capacity - step.fast_used
  end
  local spent, holds, corrected = contents_of(limit, step.key)
  step.spent, step.holds, step.corrected = spent, holds, corrected
  if event <= GRANT then
    local named = (event == REVOKE and grant_in or hold_in)(holds, step.id)
    step.named = named
    if event == EXTEND then
      return named ~= nil and not named.expired
    end
  end
  if event == CHARGE_VALUE and spent and has_seen(spent, step.value_hash) then
    return true
  end
  -- Grants are taken off the need, not added to the capacity, so that no sum passes 2^53.
  return step.needed - granted_in(holds) <= limit.capacity - used_in(limit, spent, holds, now_ms)
end

-- Whether a step denies nothing, or does so for as long as only time passes.
local function is_firm(step)
  return step.fits or step.is_shadow or (#step.holds == 0 and step.limit.algorithm.is_firm)
end

-- Milliseconds until a step's turn in the queue of its bucket; INFINITY where it does not wait.
local function turn_of(step)
  local event, algorithm = step.event, step.limit.algorithm
  local may_wait = event == CHARGE or event == CHARGE_VALUE or (event == HOLD and algorithm.flows)
  if not algorithm.queues or not may_wait or step.is_shadow then
    return INFINITY
  end
  return turn_after_ms(step.limit, step.spent, step.holds, step.needed, now_ms)
end

-- What a step's bucket holds after the step was booked: at once, or at the request's turn (turn_at_ms), or at the earlier
-- instant at which the request was admitted (at_ms).
local function booked(step, place_id, turn_at_ms, at_ms)
  local limit, event, spent, holds = step.limit, step.event, step.spent, step.holds
  if event == CHARGE and turn_at_ms then
    return queued(limit, spent, holds, place_id, step.units, turn_at_ms, now_ms)
  elseif event == CHARGE then
    return charged_at(limit, spent, step.units, at_ms, now_ms), holds
  elseif event == HOLD and turn_at_ms then
    return held_from(limit, spent, holds, step.new_hold, turn_at_ms, now_ms)
  elseif event == HOLD then
    return held(limit, spent, holds, step.new_hold, now_ms)
  elseif event == CHARGE_VALUE then
    return charged_for_value(limit, spent, step.value_hash, step.units, at_ms, now_ms), holds
  elseif event == REPORT then
    return after_report(limit, spent, step.outcome, now_ms), holds
  elseif event == GRANT then
    return granted(limit, spent, holds, step.id, step.units, step.lease_ms, now_ms)
  elseif event == RAISE then
    return raised(limit, spent, holds, step, now_ms)
  elseif event == SETTLE then
    return settled(limit, spent, holds, step.named, step.units, at_ms, now_ms)
  elseif event == EXTEND and step.fits then
    -- A forced extend cannot bring back a hold that has ended.
    return spent, extended(holds, step.named, step.lease_ms, now_ms)
  elseif event == REVOKE and step.named and not step.named.expired then
    return spent, revoked(holds, step.named, now_ms)
  elseif event == RESET then
    return nil, NO_HOLDS
  end
  return spent, holds
end
