-- The steps of a request: what they ask, whether they may be booked, and what their buckets hold when they are.
-- Mirrors decide: booked, isFirm, judge, namedIn, stepFits, unitsNeeded, waitFor; bucket/contents: afterReport
-- Uses batch: args, before_shapes, position; bucket/charges: charged_at, charged_for_value, is_seen, raised;
--   bucket/contents: used_in; bucket/entries: NO_ENTRIES, entry_in, granted_in; bucket/grants: granted, revoked;
--   bucket/queue: held_from, queued, turn_after_ms; bucket/reservations: extended, held, settled; general: argument;
--   quick/limits: limits; states: claim_state, contents_of, is_broken, put; terms: next_found

-- One record for each step of a request, which the next request uses again: to make new ones takes time.
--   What the step asks: key; limit; own_at_ms, its instant, where that is not the request's; event; is_shadow; units, of the event; needed,
--   units that must be free; id, of the entry that the event names or makes; lease_ms; of a raise at_ms, when the units were
--   booked, and lost_some, whether the store may have kept some of them; outcome; value_hash; hold, the entry that it makes.
--   How it stands: used_if_fast, units used of a charge that the fast path can make; else spent and entries, what is in the
--   bucket, and corrected, its state where that has to be written also when nothing is booked; named, the entry of the id; fits;
--   wait_ms, in how many ms its turn is, where it waits; spent_after and entries_after.
--   What is replied: found_earlier, how an earlier try found the entry; where an answer is kept, used, granted, reset_ms, retry_ms,
--   found.
local steps = setmetatable({}, {
  __index = function(records, index)
    local record = {}
    records[index] = record
    return record
  end,
})

local function read_hold()
  local id, units, lease_ms, charges = argument(), argument(), argument(), argument() == 1
  local end_ms = now_ms + lease_ms
  return { kind = "reservation", id = id, units = units, expires_at_ms = end_ms, lease_ms = lease_ms, charges = charges }
end

-- Reads what belongs to an event that is neither a charge of units nor a hold. Returns its units, and those that must be free:
-- -INFINITY where it is never denied; INFINITY for an extend, which `judge` decides by its hold, and which no waiting lets pass.
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
  shape = shape > 0 and shape + before_shapes or shape
  local count = shape > 0 and args[shape] or argument()
  local broken, hold
  for index = 1, count do
    local step, units, needed = steps[index], nil, nil
    local key, number, event = args[position + 1], args[position + 2], args[position + 3]
    if shape > 0 then
      number, event = args[shape + 2 * index - 1], args[shape + 2 * index]
      position = position + 1
    else
      position = position + 3
    end
    step.own_at_ms = nil
    if event == OWN_TIME then
      step.own_at_ms, event = argument(), argument()
    end
    if event >= CHARGE then
      event, units, needed = CHARGE, event, max(1, event)
    elseif event == HOLD or event == SAME_HOLD then
      hold = event == HOLD and read_hold() or hold
      event, units, needed, step.hold = HOLD, hold.units, max(1, hold.units), hold
    else
      units, needed = read_event(step, event)
    end
    local limit = limits[abs(number)]
    -- GRANT and the codes below it name a hold or a grant (EVENTS).
    step.found_earlier = event <= GRANT and next_found() or nil
    if shows then
      event, needed = READ, -INFINITY
    end
    step.key, step.limit, step.event, step.units, step.needed = key, limit, event, units, needed
    step.is_shadow = number < 0
    step.used_if_fast = may_be_fast and event == CHARGE and units < MAX_FAST_COST and limit.used(limit, key)
    local state = not step.used_if_fast and claim_state(key)
    if state == DAMAGED and event == RESET and may_reset then
      put(key, false)
    elseif not broken and is_broken(state) then
      broken = key
    end
  end
  return count, broken
end

-- Whether a step may be booked now.
local function judge(step)
  local limit, event = step.limit, step.event
  if step.used_if_fast then
    step.spent, step.entries, step.corrected = nil, NO_ENTRIES, nil
    return step.needed <= limit.capacity - step.used_if_fast
  end
  local spent, entries, corrected = contents_of(limit, step.key)
  step.spent, step.entries, step.corrected = spent, entries, corrected
  -- GRANT and the codes below it name a hold or a grant (EVENTS).
  if event <= GRANT then
    local named = entry_in(entries, step.id, event == REVOKE and "grant" or nil)
    step.named = named
    if event == EXTEND then
      return named ~= nil and not named.expired
    end
  elseif event == CHARGE_VALUE and limit.capacity > 0 and is_seen(limit, spent, step.value_hash) then
    return true
  end
  -- Grants are taken off the need, not added to the capacity, so that no sum passes 2^53.
  return step.needed - granted_in(limit, entries) <= limit.capacity - used_in(limit, spent, entries, now_ms)
end

-- Whether a step denies nothing, or does so for as long as only time passes.
local function is_firm(step)
  return step.fits or step.is_shadow or (#step.entries == 0 and step.limit.algorithm.is_firm)
end

-- Milliseconds until a step's turn in the queue of its bucket; INFINITY where it does not wait.
local function wait_for(step)
  local event, algorithm = step.event, step.limit.algorithm
  local may_wait = event == CHARGE or event == CHARGE_VALUE or (event == HOLD and algorithm.flows)
  if not algorithm.queues or not may_wait or step.is_shadow then
    return INFINITY
  end
  return turn_after_ms(step.limit, step.spent, step.entries, step.needed, now_ms)
end

-- What a step's bucket holds after the step was booked: at once, or at the request's turn (turn_at_ms), or at the earlier
-- instant at which the request was admitted (at_ms), or at the step's own one.
local function booked(step, queued_id, turn_at_ms, at_ms)
  local limit, event, spent, entries = step.limit, step.event, step.spent, step.entries
  at_ms = step.own_at_ms or at_ms
  if event == CHARGE and turn_at_ms then
    return queued(limit, spent, entries, queued_id, step.units, turn_at_ms, now_ms)
  elseif event == CHARGE then
    return charged_at(limit, spent, step.units, at_ms, now_ms), entries
  elseif event == HOLD and turn_at_ms then
    return held_from(limit, spent, entries, step.hold, turn_at_ms, now_ms)
  elseif event == HOLD then
    return held(limit, spent, entries, step.hold, now_ms)
  elseif event == CHARGE_VALUE then
    return charged_for_value(limit, spent, step.value_hash, step.units, at_ms, now_ms), entries
  elseif event == REPORT and limit.algorithm.report then
    return limit.algorithm.report(limit, spent, step.outcome, now_ms), entries
  elseif event == GRANT then
    return granted(limit, spent, entries, step.id, step.units, step.lease_ms, now_ms)
  elseif event == RAISE then
    return raised(limit, spent, entries, step, now_ms)
  elseif event == SETTLE then
    return settled(limit, spent, entries, step.named, step.units, at_ms, now_ms)
  elseif event == EXTEND and step.fits then
    -- A forced extend cannot bring back a hold that has ended.
    return spent, extended(entries, step.named, step.lease_ms, now_ms)
  elseif event == REVOKE and step.named and not step.named.expired then
    return spent, revoked(entries, step.named, now_ms)
  elseif event == RESET then
    -- Never the entries that were found, so that it is written.
    return nil, {}
  end
  return spent, entries
end
