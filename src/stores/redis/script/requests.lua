-- The requests of a batch as the kernel takes them. One record for each step, and one for the request: the next request uses them
-- again, because to make new ones takes time.
-- Uses batch: args, before_shapes, position; quick/limits: limits; states: claim_state, is_broken, put; terms:
--   next_found

-- The next number or name of a request.
local function argument()
  position = position + 1
  return args[position]
end

local MODE_NAMES = { [JUDGE] = "judge", [PEEK] = "peek", [FORCE] = "force", [UNDO] = "undo" }
local READ_EVENT, RESET_EVENT = { type = "read" }, { type = "reset" }

-- Charges by their costs.
local charge_events = setmetatable({}, {
  __index = function(events, cost)
    local event = { type = "charge", cost = cost }
    events[cost] = event
    return event
  end,
})

-- A step as the kernel has it (limit, event, shadow, atMs), and beside it: key; quick_limit, as the fast path has it; used, of a
-- charge that the fast path can make, and fits, whether it may; found_earlier, how an earlier try found the entry that the event
-- names.
local all_steps = setmetatable({}, {
  __index = function(records, index)
    local record = { event = READ_EVENT, key = 0, limit = false, shadow = false, used = false, fits = false }
    records[index] = record
    return record
  end,
})
-- The steps that the fast path cannot make, and the states of their buckets.
local kernel_steps, kernel_states = {}, {}

-- A request as the kernel has it, but for its steps, and beside that once_key.
local request = {}
-- Whether it is an undo: a receipt does not keep how that found holds and grants.
local is_undo = false

-- Reads a request up to its steps. Returns its shape, or 0.
local function read_head()
  local shape = argument()
  local mode = shape == NO_SHAPE and argument() or JUDGE
  if shape < NO_SHAPE then
    shape, mode = -shape, JUDGE + WITH_ONCE
  end
  request.atMs, request.wait, request.once, request.once_key = nil, nil, nil, nil
  if mode >= WITH_TIME then
    mode, request.atMs = mode - WITH_TIME, argument()
  end
  if mode >= WITH_WAIT then
    mode, request.wait = mode - WITH_WAIT, { id = argument(), maxMs = argument() }
  end
  if mode >= WITH_ONCE then
    mode, request.once_key = mode - WITH_ONCE, argument()
    request.once = { request = argument() }
  end
  request.mode, is_undo = MODE_NAMES[mode], mode == UNDO
  return shape
end

local function read_hold()
  local id, units, lease_ms, charges = argument(), argument(), argument(), argument() == 1
  return { type = "hold", id = id, units = units, leaseMs = lease_ms, onExpiry = charges and "charge" or "refund" }
end

-- Reads what belongs to an event that is neither a charge of units nor a hold.
local function read_event(code)
  if code == READ then
    return READ_EVENT
  elseif code == RESET then
    return RESET_EVENT
  elseif code == SETTLE then
    return { type = "settle", id = argument(), units = argument() }
  elseif code == EXTEND then
    return { type = "extend", id = argument(), leaseMs = argument() }
  elseif code == CHARGE_VALUE then
    return { type = "charge", seen = argument(), cost = argument() }
  elseif code == REPORT then
    local outcome = argument()
    return { type = "report", outcome = outcome ~= NO_OUTCOME and outcome or nil }
  elseif code == GRANT then
    return { type = "grant", id = argument(), units = argument(), leaseMs = argument() }
  elseif code == REVOKE then
    return { type = "revoke", id = argument() }
  end
  local raise = { type = "raise", id = argument(), units = argument(), atMs = argument(), keptMs = argument() }
  raise.lost = argument() == 1 and "some" or "all"
  return raise
end

-- Whether the fast path can make a step, which charges units. Notes whether it may.
local function is_fast(step, limit, cost)
  local used = limit.used(limit, step.key)
  step.used, step.fits = used, used and (cost > 0 and cost or 1) <= limit.capacity - used
  return used
end

-- What was found while the steps of a request were read:
--   broken   the first key that cannot be judged
--   stale    whether a limit cannot decide now
--   denied   whether a step denies the request that the fast path can make
--   shadows  whether a step is in shadow
--   endless  whether a bucket has no expiry
local found = {}

-- Reads the steps of a request. Returns how many there are, and how many of them the kernel decides.
--   may_reset  whether a reset may empty a damaged bucket
--   shows      whether the buckets are only read
--   may_be_fast  whether the fast path may make charges of the request
local function read_steps(shape, may_reset, shows, may_be_fast)
  shape = shape > 0 and shape + before_shapes or shape
  local count = shape > 0 and args[shape] or argument()
  local hold
  local gathered = 0
  found.broken, found.stale, found.denied, found.shadows, found.endless = nil, false, false, false, false
  for index = 1, count do
    local step = all_steps[index]
    local key, number, code = args[position + 1], args[position + 2], args[position + 3]
    if shape > 0 then
      number, code = args[shape + 2 * index - 1], args[shape + 2 * index] + 0
      position = position + 1
    else
      position = position + 3
    end
    step.atMs = nil
    if code == OWN_TIME then
      step.atMs, code = argument(), argument()
    end
    local event = hold
    if code >= CHARGE then
      event = charge_events[code]
    elseif code == HOLD then
      hold = read_hold()
      event = hold
    elseif code ~= SAME_HOLD then
      event = read_event(code)
    end
    local is_shadow = number < 0
    local limit = limits[is_shadow and -number or number]
    -- GRANT and the codes below it name a hold or a grant (EVENTS).
    step.found_earlier = code <= GRANT and (is_undo and NOT_FOUND or next_found()) or nil
    step.key, step.quick_limit, step.limit, step.shadow = key, limit, limit.spec, is_shadow
    step.event = shows and READ_EVENT or event
    step.used = nil
    if limit.is_stale then
      found.stale = true
    end
    if is_shadow then
      found.shadows = true
    end
    if may_be_fast and code >= CHARGE and code < MAX_FAST_COST and is_fast(step, limit, code) then
      found.denied = found.denied or not (step.fits or is_shadow)
    else
      local state = claim_state(key)
      if state == DAMAGED and event == RESET_EVENT and may_reset then
        put(key, false)
        state = false
      elseif is_broken(state) then
        found.broken = found.broken or key
      elseif state and state.expiresAtMs == INFINITY then
        found.endless = true
      end
      gathered = gathered + 1
      kernel_steps[gathered], kernel_states[gathered] = step, state or nil
    end
  end
  return count, gathered
end
