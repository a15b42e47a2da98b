-- The general way: any request on any key. Mirrors src/kernel/decide.ts.

local JUDGE, PEEK, FORCE, UNDO = 0, 1, 2, 3
local WITH_ONCE, WITH_WAIT, WITH_TIME = 10, 20, 40
-- What names a hold that there is already comes last.
local CHARGE, READ, RESET, HOLD, SAME_HOLD, COUNT, REPORT, GRANT, RAISE, SETTLE, EXTEND =
  0, -1, -2, -3, -4, -5, -6, -7, -8, -9, -10
local LIVE, LATE, UNKNOWN = 0, 1, 2
local ONE = byte("1")

-- @include algorithms/counter.lua
-- @include algorithms/sliding-window.lua
-- @include algorithms/gcra.lua
-- @include algorithms/concurrency.lua
-- @include algorithms/elapsed.lua
-- @include algorithms/streak.lua

local algorithms =
  { quota, fixed_window, sliding_window, gcra, concurrency, calendar_window, elapsed, streak }

for _, limit in ipairs(limits) do
  limit.algorithm = algorithms[limit.of]
end

-- By the first letter of a text; a counter has none.
local spent_decoders =
  { s = sliding_window.decode, g = gcra.decode, e = elapsed.decode, k = streak.decode }

-- What is spent from its text, or nil when the text is damaged. Mirrors decodeSpent.
local function decode_spent(text, expires_at_ms)
  return (spent_decoders[sub(text, 1, 1)] or quota.decode)(text, expires_at_ms)
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

-- What a key holds: a state, false where there is none, or DAMAGED or WRONG_TYPE. From now on the general way has it.
local function state_in(key)
  local state, units, text = states[key], counts[key], values[key]
  if state ~= nil then
    return state
  elseif units then
    state = ends[key] > 0 and counter(units, ends[key])
    counts[key] = nil
  elseif levels[key] then
    state = ends[key] > 0 and gcra.state(levels[key], bases[key], sizes[key], ends[key])
    levels[key] = nil
  elseif text then
    expiries[key] = expiries[key] or call("PEXPIRETIME", keys[key])
    state = decode(text, expiries[key]) or DAMAGED
  else
    state = false
  end
  states[key] = state
  return state
end

-- What a bucket holds. An expired state, or one of another algorithm, is no state. One that someone wrote without an
-- expiry gets one: that of a new one, or what its holds say themselves.
local function contents_of(limit, key)
  local state = state_in(key)
  if not state or (state.of or state.kind) ~= limit.algorithm.kind then
    return nil, NO_HOLDS
  end
  if state.expires_at_ms == -1 then
    local holds = state.holds
    state.expires_at_ms = holds and end_of_held(limit, state.spent, holds) or limit.algorithm.end_of(limit, now_ms)
    changed[key] = true
  end
  if now_ms >= state.expires_at_ms then
    return nil, NO_HOLDS
  end
  if state.holds then
    return contents_at(limit, state, now_ms)
  end
  return state, NO_HOLDS
end

-- The text of an answer that is kept and has not ended, or nil.
local function answer_in(key)
  local state = state_in(key)
  if not state or state == DAMAGED or state == WRONG_TYPE or state.kind ~= "once" then
    return nil
  end
  if state.expires_at_ms == -1 then
    state.expires_at_ms = state.answered_ms + state.wait_ms + REMEMBERED_MS
    changed[key] = true
  end
  return now_ms < state.expires_at_ms and state.text or nil
end

-- Clients read integers digit by digit, and the last digits near 2^53 wrongly: those go as text.
local function reply(number)
  replied = replied + 1
  replies[replied] = number < EXACT_FOR_CLIENTS and number > -EXACT_FOR_CLIENTS and number or text_of[number]
end

local function reply_text(text)
  replied = replied + 1
  replies[replied] = text
end

-- One request's steps, in records that every request uses again. What a step asks: key, limit, event, shadow, needed (units
-- that must be free for it), and what its event has: units, id, lease, made, mark, outcome, time, keeps. How it is judged:
-- plain_used (units used, of a charge that the short way can make), spent and holds (what its bucket holds), fits, hold (that
-- it names), turns (in how many ms its turn is; 0: it has none), spent_after and holds_after (what its bucket will hold when
-- the request is booked). Its reply, where that is kept: used, granted, reset, retry, found.
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
          expires_at_ms = now_ms + argument(),
          charges = argument() == 1,
          expired = false,
          mark = nil,
          text = nil,
        }
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
    end
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
    step.spent, step.holds = nil, NO_HOLDS
    return step.needed <= limit.a - step.plain_used
  end
  local spent, holds = contents_of(limit, step.key)
  step.spent, step.holds = spent, holds
  if event <= SETTLE then
    local hold = hold_in(holds, step.id)
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
  if step.limit.algorithm ~= gcra or (event ~= CHARGE and event ~= COUNT) or step.shadow then
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
  elseif event == RESET then
    return nil, NO_HOLDS
  end
  return spent, holds
end

-- Replies how a step's bucket stands. Returns the end of one with holds, where that is known.
local function answer(step, spent, holds, keeps_answer, all_fit)
  local limit, needed = step.limit, step.needed
  local used, extra = used_in(limit, spent, holds, now_ms), granted_in(holds)
  if limit.algorithm == elapsed then
    -- What has elapsed does not come back.
    needed = INFINITY
  end
  local reset_after_ms, end_ms = free_after_ms(limit, spent, holds, limit.a, now_ms)
  local retry_after_ms = 0
  if not step.fits then
    local wait = free_after_ms(limit, spent, holds, needed, now_ms)
    retry_after_ms = wait == INFINITY and -1 or wait
  end
  if extra > 0 then
    reply(-extra)
  end
  reply(used)
  reply(reset_after_ms)
  if not all_fit then
    reply(retry_after_ms)
  end
  if keeps_answer then
    step.used, step.granted, step.reset, step.retry = used, extra, reset_after_ms, retry_after_ms
  end
  step.found = nil
  if step.event <= SETTLE then
    local hold = step.hold
    step.found = not hold and UNKNOWN or hold.expired and LATE or LIVE
    reply(step.found)
  end
  return end_ms
end

-- Likewise for a charge that the short way makes, which it now does where the request books.
local function answer_plainly(step, books, keeps_answer, all_fit)
  local cost = books and step.units or 0
  local used, reset_after_ms, retry_after_ms = charge_plainly(step.limit, step.key, cost, step.needed)
  replies[replied + 1], replies[replied + 2] = used, reset_after_ms
  replied = replied + 2
  if not all_fit then
    reply(retry_after_ms)
  end
  if keeps_answer then
    step.used, step.granted, step.reset, step.retry, step.found = used, 0, reset_after_ms, retry_after_ms, nil
  end
end

-- The kept answer for a request whose steps were answered. Mirrors onceOf and encodeOnce.
local function once_of(count, request, allowed, wait_ms)
  local hold
  local step_texts = {}
  for place = 1, count do
    local step = steps[place]
    if step.event == HOLD then
      hold = hold or step.made.id
    end
    step_texts[place] =
      encode_step(step.units, step.used, step.granted, step.reset, step.retry, step.found)
  end
  local head = "o1 " .. request .. " " .. (hold or ".") .. " " .. text_of[now_ms] .. (allowed and " 1" or " 0")
  if wait_ms > 0 then
    head = head .. "+" .. text_of[wait_ms]
  end
  local text = head .. " " .. concat(step_texts, ";")
  return {
    algorithm = once_state,
    kind = "once",
    expires_at_ms = now_ms + wait_ms + REMEMBERED_MS,
    request = request,
    answered_ms = now_ms,
    wait_ms = wait_ms,
    text = text,
  }
end

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
  reply(ALLOWED)
  for place = 1, count do
    local step = steps[place]
    local key, limit = step.key, step.limit
    step.spent, step.holds = contents_of(limit, key)
    step.fits, step.hold = true, nil
    local spent, holds, is_taken = taken_back(step, place_id, at_ms)
    local end_ms
    if step.event == RESET then
      answer(step, step.spent, step.holds)
    else
      end_ms = answer(step, spent, holds)
    end
    local state = is_taken and (state_of(limit, spent, holds, end_ms, now_ms) or false)
    if is_taken and state ~= states[key] then
      states[key], changed[key] = state, true
    end
  end
  local kept = once_key and state_in(once_key)
  if kept and kept.kind == "once" and kept.answered_ms == at_ms and kept.request == request then
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
      end
    else
      local end_ms = answer(step, spent, holds, once_key, all_fit)
      -- What nobody books on stays as it is, also a state of another algorithm.
      if keeps and (spent ~= step.spent or holds ~= step.holds) then
        states[key], changed[key] = state_of(step.limit, spent, holds, end_ms, now_ms) or false, true
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
