-- The general path: any request on any key.
-- Mirrors decide: decideAny; store/receipts: decideWithReceipt
-- Uses answers: reply, reply_fast_step, reply_step, reply_text; batch: args, last_arg, position; bucket/contents:
--   state_of; counters: charge_counter, counter_used, used_unknown; keys: changed, counts, ends, expiries, levels,
--   states, values; once: once_of, replayed_once; quick/limits: charge_level, level_used, limits; quick/terms: earlier,
--   receipts_head; states: claim_state, is_broken, kept_answer_in, put; steps: booked, is_firm, judge, read_steps,
--   steps, wait_for; terms: founds; undo: undo

-- A short batch came as texts. Only an incarnation may be a text that looks like a number.
if #ARGV > 1 then
  for at = 1, last_arg do
    args[at] = at ~= INCARNATION_AT and tonumber(args[at]) or args[at]
  end
end

states, expiries = {}, {}
for key, end_ms in pairs(ends) do
  expiries[key] = changed[key] ~= true and end_ms or nil
end

-- MGET shows a key of another type as absent.
for key = 1, #keys do
  if not values[key] and not counts[key] and not levels[key] and call("EXISTS", keys[key]) == 1 then
    states[key] = WRONG_TYPE
  end
end

-- The next number or name of a request.
local function argument()
  position = position + 1
  return args[position]
end

for _, limit in ipairs(limits) do
  if limit.code == TOKEN_BUCKET then
    limit.used, limit.charge = level_used, charge_level
  elseif limit.new_end_ms then
    limit.used, limit.charge = counter_used, charge_counter
  else
    limit.used = used_unknown
  end
end

-- In this order, because a local is visible only below its declaration.
-- @include algorithms/counter.lua
-- @include algorithms/sliding-window.lua
-- @include algorithms/token-bucket.lua
-- @include algorithms/concurrency.lua
-- @include algorithms/elapsed.lua
-- @include algorithms/streak.lua
-- @include algorithms/cooldown.lua
-- @include algorithms/registry.lua
-- @include bucket/held.lua
-- @include bucket/entries.lua
-- @include bucket/sinking.lua
-- @include bucket/expiry.lua
-- @include bucket/contents.lua
-- @include bucket/not-ahead.lua
-- @include bucket/charges.lua
-- @include bucket/reservations.lua
-- @include bucket/queue.lua
-- @include bucket/grants.lua
-- @include once.lua
-- @include states.lua
-- @include steps.lua
-- @include answers.lua
-- @include undo.lua

-- Reads a request up to its steps into a record: shape; mode; at_ms, where it was admitted at an earlier instant; queued_id and
-- max_wait_ms, where it may wait; once_key and fingerprint, where it is booked once.
local function read_request(request)
  local shape = argument()
  local mode = shape > 0 and JUDGE or argument()
  request.at_ms, request.queued_id, request.max_wait_ms, request.once_key, request.fingerprint = nil, nil, nil, nil, nil
  if mode >= WITH_TIME then
    mode, request.at_ms = mode - WITH_TIME, argument()
  end
  if mode >= WITH_WAIT then
    mode, request.queued_id, request.max_wait_ms = mode - WITH_WAIT, argument(), argument()
  end
  if mode >= WITH_ONCE then
    mode, request.once_key, request.fingerprint = mode - WITH_ONCE, argument(), argument()
  end
  request.shape, request.mode = shape, mode
end

-- Gives a kept answer again.
local function replay(once_key, text)
  reply(REPLAYED)
  reply_text(text)
  local kept = states[once_key]
  local replayed = replayed_once(kept)
  if not kept.is_replayed or replayed.expires_at_ms ~= kept.expires_at_ms then
    put(once_key, replayed)
  end
end

-- Judges all steps. Returns whether the request is allowed, and in how many ms its turn is, where it waits.
local function judge_steps(count, max_wait_ms)
  local allowed, wait_ms = true, 0
  for index = 1, count do
    local step = steps[index]
    local fits = judge(step)
    step.fits, step.wait_ms = fits, 0
    if max_wait_ms and not fits then
      local own_ms = wait_for(step)
      if own_ms <= max_wait_ms then
        step.wait_ms, wait_ms = own_ms, max(wait_ms, own_ms)
      end
    end
    allowed = allowed and (fits or step.wait_ms > 0 or step.is_shadow)
  end
  return allowed, allowed and wait_ms or 0
end

-- Works out what the buckets will hold. Returns the code of the reply.
local function book_steps(count, request, allowed, books, turn_at_ms)
  local firm, all_fit = not books, true
  for index = 1, count do
    local step = steps[index]
    local spent, entries = step.spent, step.entries
    if books and not step.used_if_fast then
      spent, entries = booked(step, request.queued_id, turn_at_ms, request.at_ms)
    end
    if allowed and step.wait_ms > 0 then
      step.fits = true
    end
    if #entries > MAX_HOLDS then
      return TOO_MANY_HOLDS
    end
    step.spent_after, step.entries_after = spent, entries
    firm, all_fit = firm and is_firm(step), all_fit and step.fits
  end
  return turn_at_ms and QUEUED or all_fit and FITS or allowed and ALLOWED or firm and FIRM or DENIED
end

-- Replies how a step's bucket stands, and keeps what it will hold. A state that is not booked on stays as it is, also one of
-- another algorithm.
local function finish_step(step, keeps, corrects, all_fit, keeps_answer)
  local spent, entries = step.spent_after, step.entries_after
  local end_ms = reply_step(step, spent, entries, all_fit, keeps_answer)
  if keeps then
    founds[#founds + 1] = step.found
  end
  if keeps and (spent ~= step.spent or entries ~= step.entries) then
    put(step.key, state_of(step.limit, spent, entries, end_ms, now_ms) or false)
  elseif step.corrected and corrects then
    put(step.key, step.corrected)
  end
end

-- books: the reply is as after the booking, also of a peek. keeps: that is written. corrects: states that a clock wrote which was
-- ahead are written right, also when nothing is booked.

-- Judges, answers and books a request whose steps can be judged. Returns whether it is booked.
local function decide_any(request, count, shows)
  for index = 1, count do
    if steps[index].limit.is_stale then
      reply(STALE)
      return false
    end
  end
  local mode, once_key = request.mode, request.once_key
  local allowed, wait_ms = judge_steps(count, request.max_wait_ms)
  local books = allowed or mode == FORCE
  local code = book_steps(count, request, allowed, books, wait_ms > 0 and now_ms + wait_ms)
  if code == TOO_MANY_HOLDS then
    reply(code)
    return false
  end
  reply(shows and READ_ONLY or code)
  if code == QUEUED then
    reply(wait_ms)
  end
  local all_fit, corrects = code == FITS and not shows, mode ~= PEEK
  local keeps = books and corrects
  for index = 1, count do
    local step = steps[index]
    if step.used_if_fast then
      reply_fast_step(step, books, all_fit, once_key)
    else
      finish_step(step, keeps, corrects, all_fit, once_key)
    end
  end
  if keeps and once_key then
    put(once_key, once_of(steps, count, request.fingerprint, allowed, wait_ms))
  end
  return keeps
end

-- One record for each request after the other: to make new ones takes time.
local request = {}

-- Decides the next request. Returns whether it is booked. `shows`: books nothing, and says how the buckets stand. `undone_ms`:
-- when the request was booked that this one undoes, where a receipt knows.
local function decide_next(shows, undone_ms)
  read_request(request)
  local kept_answer
  if shows then
    request.mode, request.once_key, request.max_wait_ms = PEEK, nil, nil
  elseif request.once_key and request.mode ~= UNDO then
    kept_answer = kept_answer_in(request.once_key)
  end
  local mode, once_key = request.mode, request.once_key
  local is_simple = not kept_answer and not request.max_wait_ms and not request.at_ms
  local may_be_fast = is_simple and (mode == JUDGE or mode == FORCE)
  local count, broken = read_steps(request.shape, mode ~= PEEK and not kept_answer, shows, may_be_fast)
  if kept_answer then
    replay(once_key, kept_answer)
    return false
  end
  if not broken and once_key and is_broken(claim_state(once_key)) then
    broken = once_key
  end
  if broken then
    reply(states[broken])
    reply(broken)
    return false
  elseif mode == UNDO then
    undo(request, count, undone_ms or request.at_ms or 0)
    return false
  end
  return decide_any(request, count, shows)
end

-- Decides the next request, which has this number in the batch. Returns whether it is booked. With a receipt, an undo
-- acts only on what was booked at the earlier try, and any other request only on what was not: else the buckets are only read.
local function decide(number)
  if not receipts_head then
    return decide_next(false, nil)
  end
  local was_booked = earlier ~= nil and sub(earlier.booked, number, number) == "1"
  local is_undo = args[position + 1] == NO_SHAPE and args[position + 2] % WITH_ONCE == UNDO
  if is_undo ~= was_booked then
    decide_next(true, nil)
    return was_booked
  end
  return decide_next(false, earlier and earlier.at_ms)
end
