-- The general way: any request on any key. Mirrors src/kernel/decide.ts.

local JUDGE, PEEK, FORCE, UNDO = 0, 1, 2, 3
local WITH_ONCE, WITH_WAIT, WITH_TIME = 10, 20, 40
-- What names a hold or a grant comes last.
local CHARGE, READ, RESET, HOLD, SAME_HOLD, COUNT, REPORT, RAISE, GRANT, SETTLE, EXTEND, REVOKE =
  0, -1, -2, -3, -4, -5, -6, -7, -8, -9, -10, -11
local LIVE, LATE, UNKNOWN = 0, 1, 2
local ONE = byte("1")

-- @include algorithms/counter.lua
-- @include algorithms/sliding-window.lua
-- @include algorithms/token-bucket.lua
-- @include algorithms/concurrency.lua
-- @include algorithms/elapsed.lua
-- @include algorithms/streak.lua

local algorithms =
  { budget, fixed_window, sliding_window, token_bucket, concurrency, calendar_window, elapsed, streak }

for _, limit in ipairs(limits) do
  limit.algorithm = algorithms[limit.of]
end

-- By the first letter of a text; a counter has none.
local spent_decoders =
  { s = sliding_window.decode, g = token_bucket.decode, e = elapsed.decode, k = streak.decode }

-- What is spent from its text, or nil when the text is damaged. Mirrors decodeSpent.
local function decode_spent(text, expires_at_ms)
  return (spent_decoders[sub(text, 1, 1)] or budget.decode)(text, expires_at_ms)
end

-- @include holds.lua
-- @include once.lua

-- What is no bucket's is told from damage, and no more.
local function decode_receipts(text)
  return receipts_in(text) and { kind = "receipts" }
end

local function decode_mark(text)
  return incarnation_in(text) and { kind = "mark" }
end

local decoders = { h = held_state.decode, o = once_state.decode, r = decode_receipts, m = decode_mark }

-- A state from its text, or nil when the text is damaged. Mirrors decodeState.
local function decode(text, expires_at_ms)
  return (decoders[sub(text, 1, 1)] or decode_spent)(text, expires_at_ms)
end

local function argument()
  position = position + 1
  return requests[position]
end

-- @include states.lua
-- @include steps.lua
-- @include answers.lua

-- What a step's bucket holds after what it booked at an instant was taken back, and whether it was.
local function taken_back(step, place_id, at_ms)
  local limit, event, spent, holds = step.limit, step.event, step.spent, step.holds
  local id = place_id
  if event == HOLD then
    id = step.made.id
  end
  local hold = id and hold_in(holds, id)
  if hold then
    spent, holds = ended(limit, spent, holds, hold, 0, now_ms)
    return spent, holds, true
  elseif event ~= CHARGE then
    return spent, holds, false
  end
  local rest, is_taken = unspent(limit, spent, step.units, at_ms, now_ms)
  return rest, holds, is_taken
end

-- Takes back what a request booked: nobody was given it. Mirrors undone.
local function undo(count, once_key, request, place_id, at_ms)
  local kept = once_key and state_in(once_key)
  local is_ours = kept and kept.kind == "once" and kept.answered_ms == at_ms and kept.request == request
  local is_told = is_ours and kept.is_told
  reply(ALLOWED)
  for place = 1, count do
    local step = steps[place]
    local key, limit = step.key, step.limit
    step.spent, step.holds, step.righted = contents_of(limit, key)
    step.fits, step.hold = true, nil
    local spent, holds, is_taken = step.spent, step.holds, false
    if not is_told then
      spent, holds, is_taken = taken_back(step, place_id, at_ms)
    end
    local end_ms
    if step.event == RESET then
      answer(step, step.spent, step.holds)
    else
      end_ms = answer(step, spent, holds)
    end
    local state = is_taken and (state_of(limit, spent, holds, end_ms, now_ms) or false)
    if is_taken and state ~= states[key] then
      states[key], changed[key] = state, true
    elseif step.righted then
      states[key], changed[key] = step.righted, true
    end
  end
  if is_ours and not is_told then
    states[once_key], changed[once_key] = false, true
  end
end

-- Decides the next request. Returns whether it was booked. `shows`: it books nothing, and says how its buckets stand.
-- `undone_ms` is when what it undoes was booked, where a receipt knows.
local function decide_one(shows, undone_ms)
  local shape = argument()
  local mode = shape > 0 and JUDGE or argument()
  local once_key, request, answered, place_id, max_wait_ms, at_ms
  local is_dated = mode >= WITH_TIME
  if is_dated then
    mode = mode - WITH_TIME
  end
  local waits = mode >= WITH_WAIT
  if waits then
    mode = mode - WITH_WAIT
  end
  if mode >= WITH_ONCE then
    mode, once_key, request = mode - WITH_ONCE, argument(), argument()
  end
  if waits then
    place_id, max_wait_ms = argument(), argument()
  end
  if is_dated then
    at_ms = argument()
  end
  if shows then
    mode, once_key, waits = PEEK, nil, false
  elseif once_key and mode ~= UNDO then
    answered = answer_in(once_key)
  end
  local may_be_plain = (mode == JUDGE or mode == FORCE) and not answered and not waits and not at_ms
  local count, broken = read_steps(shape, mode ~= PEEK and not answered, shows, may_be_plain)
  if answered then
    reply(ANSWERED)
    reply_text(answered)
    local kept = states[once_key]
    local told = told_once(kept)
    if not kept.is_told or told.expires_at_ms ~= kept.expires_at_ms then
      states[once_key], changed[once_key] = told, true
    end
    return false
  end
  local kept = once_key and state_in(once_key)
  if not broken and (kept == DAMAGED or kept == WRONG_TYPE) then
    broken = once_key
  end
  if broken then
    reply(states[broken])
    reply(broken)
    return false
  end
  if mode == UNDO then
    undo(count, once_key, request, place_id, undone_ms or at_ms or 0)
    return false
  end
  for place = 1, count do
    local step = steps[place]
    if step.limit.is_stale then
      reply(STALE)
      return false
    end
  end
  local allowed, wait_ms = true, 0
  for place = 1, count do
    local step = steps[place]
    local fits = judge(step)
    step.fits, step.turns = fits, 0
    if waits and not fits then
      local turn_ms = turn_of(step)
      if turn_ms <= max_wait_ms then
        step.turns, wait_ms = turn_ms, max(wait_ms, turn_ms)
      end
    end
    allowed = (fits or step.turns > 0 or step.shadow) and allowed
  end
  local books = allowed or mode == FORCE
  if not allowed then
    wait_ms = 0
  end
  local turn_at_ms = wait_ms > 0 and now_ms + wait_ms
  for place = 1, count do
    local step = steps[place]
    local spent, holds = step.spent, step.holds
    if books and not step.plain_used then
      spent, holds = booked(step, place_id, turn_at_ms, at_ms)
    end
    if allowed and step.turns > 0 then
      step.fits = true
    end
    if #holds > MAX_HOLDS then
      reply(TOO_MANY_HOLDS)
      return false
    end
    step.spent_after, step.holds_after = spent, holds
  end
  local keeps = books and mode ~= PEEK
  local firm, all_fit = not books, not shows and not turn_at_ms
  for place = 1, count do
    local step = steps[place]
    firm = firm and is_firm(step)
    all_fit = all_fit and step.fits
  end
  local code = all_fit and FITS or allowed and ALLOWED or firm and FIRM or DENIED
  reply(shows and SHOWN or turn_at_ms and PLACED or code)
  if turn_at_ms then
    reply(wait_ms)
  end
  for place = 1, count do
    local step = steps[place]
    local key, spent, holds = step.key, step.spent_after, step.holds_after
    if step.plain_used then
      answer_plainly(step, books, once_key, all_fit)
    elseif step.event == RESET then
      answer(step, step.spent, step.holds, once_key, all_fit)
      if keeps then
        states[key], changed[key] = false, true
      elseif step.righted and mode ~= PEEK then
        states[key], changed[key] = step.righted, true
      end
    else
      local end_ms = answer(step, spent, holds, once_key, all_fit)
      -- What nobody books on stays as it is, also a state of another algorithm.
      if keeps and (spent ~= step.spent or holds ~= step.holds) then
        states[key], changed[key] = state_of(step.limit, spent, holds, end_ms, now_ms) or false, true
      elseif step.righted and mode ~= PEEK then
        states[key], changed[key] = step.righted, true
      end
    end
  end
  if keeps and once_key then
    states[once_key], changed[once_key] = once_of(count, request, allowed, wait_ms), true
  end
  return keeps
end

-- Decides the next request, the batch's `place`th; under a receipt only what that leaves to be decided: what was booked
-- before is only undone, and nothing else is. Returns whether it is booked.
local function decide(before, place)
  if not receipt then
    return decide_one(false, nil)
  end
  local shape, mode = requests[position + 1], requests[position + 2]
  local undoes = shape == 0 and mode % WITH_ONCE == UNDO
  local was_booked = before ~= nil and byte(before.booked, place) == ONE
  local acts = undoes == was_booked
  local is_booked = decide_one(not acts, undoes and before and before.at_ms)
  if acts then
    return is_booked
  end
  return was_booked
end
