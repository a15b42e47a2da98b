-- What the steps of a request ask, how they are judged, and what their buckets hold when they are booked. Mirrors judge,
-- isFirm, turnOf and booked in src/kernel/decide.ts.

-- One request's steps, in records that every request uses again. What a step asks: key, limit, event, shadow, needed (units
-- that must be free for it), what its event has: units, id, lease, made, mark, outcome, time, keeps, and lists (whether the
-- answer lists the grants). How it is judged: plain_used (units used, of a charge that the short way can make), spent and holds
-- (what its bucket holds), righted (its state, where that has to be written also when nothing is booked), fits, hold (that it
-- names), turns (in how many ms its turn is; 0: it has none), spent_after and holds_after (what its bucket will hold when the
-- request is booked). Its reply, where that is kept: used, granted, reset, retry, found.
local steps = setmetatable({}, {
  __index = function(records, place)
    local record = { key = 0, limit = 0, event = 0, units = 0, needed = 0, shadow = false, plain_used = false, fits = false }
    records[place] = record
    return record
  end,
})

-- Reads a request's steps. Returns how many there are, and the first key that cannot be judged. A reset mends a damaged
-- bucket. Where they are only shown, nothing is asked.
local function read_steps(shape, mends, shows, may_be_plain)
  local count = shape > 0 and shapes[shape] or argument()
  local broken, made
  for place = 1, count do
    local step = steps[place]
    local key, number, event = requests[position + 1], requests[position + 2], requests[position + 3]
    if shape > 0 then
      number, event = shapes[shape + 2 * place - 1], shapes[shape + 2 * place]
      position = position + 1
    else
      position = position + 3
    end
    local limit = limits[max(number, -number)]
    local units, needed = 0, -INFINITY
    if event >= CHARGE then
      event, units, needed = CHARGE, event, max(1, event)
    elseif event == HOLD or event == SAME_HOLD then
      if event == HOLD then
        made = {
          id = argument(),
          units = argument(),
          lease_ms = argument(),
          expires_at_ms = nil,
          charges = argument() == 1,
          expired = false,
          mark = nil,
          text = nil,
        }
        made.expires_at_ms = now_ms + made.lease_ms
      end
      event, units, needed = HOLD, made.units, max(1, made.units)
      step.made = made
    elseif event == COUNT then
      step.mark, units = argument(), argument()
      needed = max(1, units)
    elseif event == REPORT then
      step.outcome = argument()
    elseif event == GRANT then
      step.id, units, step.lease = argument(), argument(), argument()
    elseif event == RAISE then
      step.id, units, step.time, step.lease, step.keeps =
        argument(), argument(), argument(), argument(), argument() == 1
    elseif event == SETTLE then
      step.id, units = argument(), argument()
    elseif event == EXTEND then
      step.id, step.lease, needed = argument(), argument(), INFINITY
    elseif event == REVOKE then
      step.id = argument()
    end
    step.lists = shows or event == READ or event == RESET or event == GRANT or event == REVOKE
    if shows then
      event, needed = READ, -INFINITY
    end
    step.key, step.limit, step.event, step.units, step.needed = key, limit, event, units, needed
    step.shadow = number < 0
    step.plain_used = may_be_plain and event == CHARGE and units < MAX_PLAIN_COST and plain_used(limit, key)
    local state = not step.plain_used and state_in(key)
    if state == DAMAGED and event == RESET and mends then
      states[key], changed[key] = false, true
    elseif not broken and (state == DAMAGED or state == WRONG_TYPE) then
      broken = key
    end
  end
  return count, broken
end

local function judge(step)
  local limit, event = step.limit, step.event
  if step.plain_used then
    step.spent, step.holds, step.righted = nil, NO_HOLDS, nil
    return step.needed <= limit.a - step.plain_used
  end
  local spent, holds, righted = contents_of(limit, step.key)
  step.spent, step.holds, step.righted = spent, holds, righted
  if event <= GRANT then
    local hold = (event == REVOKE and grant_in or hold_in)(holds, step.id)
    step.hold = hold
    if event == EXTEND then
      return hold ~= nil and not hold.expired
    end
  end
  if event == COUNT and spent and has_seen(spent, step.mark) then
    return true
  end
  -- Taken off before the grants are added, so that no sum passes 2^53.
  return step.needed - granted_in(holds) <= limit.a - used_in(limit, spent, holds, now_ms)
end

-- Whether a step denies nothing, or does so as long as only time passes.
local function is_firm(step)
  return step.fits or step.shadow or (#step.holds == 0 and step.limit.algorithm.is_firm)
end

-- Milliseconds until a step's turn in the row of a token bucket; INFINITY where it does not wait.
local function turn_of(step)
  local event = step.event
  local is_waitable = event == CHARGE or event == COUNT or event == HOLD
  if step.limit.algorithm ~= token_bucket or not is_waitable or step.shadow then
    return INFINITY
  end
  return turn_after_ms(step.limit, step.spent, step.holds, step.needed, now_ms)
end

-- What a step's bucket holds after it was booked, at once or at the request's turn; `at_ms` is when it was admitted, if that
-- is over.
local function booked(step, place_id, turn_at_ms, at_ms)
  local limit, event, spent, holds = step.limit, step.event, step.spent, step.holds
  if event == CHARGE and turn_at_ms then
    return placed(limit, spent, holds, place_id, step.units, turn_at_ms, now_ms)
  elseif event == CHARGE then
    return charged_at(limit, spent, step.units, at_ms, now_ms), holds
  elseif event == HOLD and turn_at_ms then
    return held_from(limit, spent, holds, step.made, turn_at_ms, now_ms)
  elseif event == HOLD then
    return held(limit, spent, holds, step.made, now_ms)
  elseif event == COUNT then
    return counted(limit, spent, step.mark, step.units, at_ms, now_ms), holds
  elseif event == REPORT then
    return after_report(limit, spent, step.outcome, now_ms), holds
  elseif event == GRANT then
    return granted(limit, spent, holds, step.id, step.units, step.lease, now_ms)
  elseif event == RAISE then
    local id, raised_ms, kept_ms = step.id, step.time, step.lease
    return raised(limit, spent, holds, id, step.units, raised_ms, kept_ms, step.keeps, now_ms)
  elseif event == SETTLE then
    return settled(limit, spent, holds, step.hold, step.units, at_ms, now_ms)
  elseif event == EXTEND and step.fits then
    -- A forced one cannot bring back what has ended.
    return spent, extended(holds, step.hold, step.lease, now_ms)
  elseif event == REVOKE and step.hold and not step.hold.expired then
    return spent, revoked(holds, step.hold, now_ms)
  elseif event == RESET then
    return nil, NO_HOLDS
  end
  return spent, holds
end
