-- The general path: any request on any key.
-- Mirrors decide: decideAny; store/receipts: decideWithReceipt
-- Uses answers: answer, answer_fast, reply, reply_text; batch: argument, position, requests; bucket/contents: state_of;
--   keys: states; once: once_of, told_once; states: answer_in, is_broken, put, state_in; steps: booked, is_firm, judge,
--   read_steps, steps, turn_of; undo: undo

-- @include algorithms/counter.lua
-- @include algorithms/sliding-window.lua
-- @include algorithms/token-bucket.lua
-- @include algorithms/concurrency.lua
-- @include algorithms/elapsed.lua
-- @include algorithms/streak.lua
-- @include algorithms/cooldown.lua
-- @include algorithms/spent.lua
-- @include bucket/holds.lua
-- @include bucket/levels.lua
-- @include bucket/expiry.lua
-- @include bucket/contents.lua
-- @include bucket/not-ahead.lua
-- @include bucket/late.lua
-- @include bucket/charges.lua
-- @include bucket/reservations.lua
-- @include bucket/queue.lua
-- @include bucket/grants.lua
-- @include bucket/text.lua
-- @include once.lua
-- @include states.lua
-- @include steps.lua
-- @include answers.lua
-- @include undo.lua

-- Reads a request up to its steps into a record: shape; mode; once_key and fingerprint, where it is booked once; place_id and
-- max_wait_ms, where it may wait; at_ms, where it was admitted at an earlier instant.
local function read_request(request)
  local shape = argument()
  local mode = shape > 0 and JUDGE or argument()
  local is_dated = mode >= WITH_TIME
  mode = is_dated and mode - WITH_TIME or mode
  local may_wait = mode >= WITH_WAIT
  mode = may_wait and mode - WITH_WAIT or mode
  local once_key, fingerprint, place_id, max_wait_ms
  if mode >= WITH_ONCE then
    mode, once_key, fingerprint = mode - WITH_ONCE, argument(), argument()
  end
  if may_wait then
    place_id, max_wait_ms = argument(), argument()
  end
  request.shape, request.mode, request.once_key, request.fingerprint = shape, mode, once_key, fingerprint
  request.place_id, request.max_wait_ms = place_id, max_wait_ms
  request.at_ms = is_dated and argument() or nil
end

-- Gives a kept answer again.
local function answer_again(once_key, text)
  reply(ANSWERED)
  reply_text(text)
  local kept = states[once_key]
  local told = told_once(kept)
  if not kept.is_told or told.expires_at_ms ~= kept.expires_at_ms then
    put(once_key, told)
  end
end

-- Judges all steps. Returns whether the request is allowed, and in how many ms its turn is, where it waits.
local function judge_steps(count, max_wait_ms)
  local allowed, wait_ms = true, 0
  for index = 1, count do
    local step = steps[index]
    local fits = judge(step)
    step.fits, step.turn_ms = fits, 0
    if max_wait_ms and not fits then
      local turn_ms = turn_of(step)
      if turn_ms <= max_wait_ms then
        step.turn_ms, wait_ms = turn_ms, max(wait_ms, turn_ms)
      end
    end
    allowed = allowed and (fits or step.turn_ms > 0 or step.is_shadow)
  end
  return allowed, allowed and wait_ms or 0
end

-- Works out what the buckets will hold. Returns the code of the reply.
local function book_steps(count, request, allowed, books, turn_at_ms)
  local firm, all_fit = not books, true
  for index = 1, count do
    local step = steps[index]
    local spent, holds = step.spent, step.holds
    if books and not step.fast_used then
      spent, holds = booked(step, request.place_id, turn_at_ms, request.at_ms)
    end
    if allowed and step.turn_ms > 0 then
      step.fits = true
    end
    if #holds > MAX_HOLDS then
      return TOO_MANY_HOLDS
    end
    step.spent_after, step.holds_after = spent, holds
    firm, all_fit = firm and is_firm(step), all_fit and step.fits
  end
  return turn_at_ms and PLACED or all_fit and FITS or allowed and ALLOWED or firm and FIRM or DENIED
end

-- Replies how a step's bucket stands, and keeps what it will hold.
local function finish_step(step, books, mode, all_fit, keeps_answer)
  local key, spent, holds = step.key, step.spent_after, step.holds_after
  local keeps = books and mode ~= PEEK
  local end_ms
  if step.event == RESET then
    answer(step, step.spent, step.holds, all_fit, keeps_answer)
  else
    end_ms = answer(step, spent, holds, all_fit, keeps_answer)
  end
  if keeps and step.event == RESET then
    put(key, false)
  elseif keeps and (spent ~= step.spent or holds ~= step.holds) then
    -- A state that is not booked on stays as it is, also one of another algorithm.
    put(key, state_of(step.limit, spent, holds, end_ms, now_ms) or false)
  elseif step.corrected and mode ~= PEEK then
    put(key, step.corrected)
  end
end

-- Judges, answers and books a request whose steps can be judged. Returns whether it is booked.
local function decide_steps(request, count, shows)
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
  reply(shows and SHOWN or code)
  if code == PLACED then
    reply(wait_ms)
  end
  local all_fit = code == FITS and not shows
  for index = 1, count do
    local step = steps[index]
    if step.fast_used then
      answer_fast(step, books, all_fit, once_key)
    else
      finish_step(step, books, mode, all_fit, once_key)
    end
  end
  local keeps = books and mode ~= PEEK
  if keeps and once_key then
    put(once_key, once_of(steps, count, request.fingerprint, allowed, wait_ms))
  end
  return keeps
end

-- One record for each request after the other: to make new ones takes time.
local request = {}

-- Decides the next request. Returns whether it is booked. `shows`: books nothing, and says how the buckets stand. `undone_ms`:
-- when the request was booked that this one undoes, where a receipt knows.
local function decide_one(shows, undone_ms)
  read_request(request)
  local answered
  if shows then
    request.mode, request.once_key, request.max_wait_ms = PEEK, nil, nil
  elseif request.once_key and request.mode ~= UNDO then
    answered = answer_in(request.once_key)
  end
  local mode, once_key = request.mode, request.once_key
  local is_simple = not answered and not request.max_wait_ms and not request.at_ms
  local may_be_fast = is_simple and (mode == JUDGE or mode == FORCE)
  local count, broken = read_steps(request.shape, mode ~= PEEK and not answered, shows, may_be_fast)
  if answered then
    answer_again(once_key, answered)
    return false
  end
  if not broken and once_key and is_broken(state_in(once_key)) then
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
  return decide_steps(request, count, shows)
end

-- Decides the next request, which has this number in the batch. Under the receipt of an earlier try, what was booked then may
-- only be undone, and nothing else may be. Returns whether the request is booked.
local function decide(receipt, number)
  if not receipt then
    return decide_one(false, nil)
  end
  local before = receipt.before
  local shape, mode = requests[position + 1], requests[position + 2]
  local undoes = shape == 0 and mode % WITH_ONCE == UNDO
  local was_booked = before ~= nil and sub(before.booked, number, number) == "1"
  local acts = undoes == was_booked
  local is_booked = decide_one(not acts, undoes and before and before.at_ms)
  if acts then
    return is_booked
  end
  return was_booked
end
