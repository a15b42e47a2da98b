-- The general path: any request on any key. It reads requests and states, lets the compiled kernel decide, replies, and notes what
-- has to be written.
-- Mirrors store/batch: decideBatch; store/receipts: decideWithReceipt
-- Uses answers: FOUND_CODES, reply, reply_fast_step, reply_step, reply_text; batch: args, position; compiled:
--   decide_request, encode_once, rules_of_code; counters: charge_counter, counter_used, used_unknown; keys: changed,
--   counts, ends, expiries, levels, states, values; quick/limits: charge_level, level_used, limits; quick/terms:
--   earlier, receipts_head; requests: all_steps, found, kernel_states, kernel_steps, read_head, read_steps, request;
--   states: claim_state, give_end, is_broken, kept_answer_in, put; terms: founds

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

for _, limit in ipairs(limits) do
  if limit.code == TOKEN_BUCKET then
    limit.used, limit.charge = level_used, charge_level
  elseif limit.new_end_ms then
    limit.used, limit.charge = counter_used, charge_counter
  else
    limit.used = used_unknown
  end
end

-- @include compiled.lua
-- @include states.lua
-- @include requests.lua
-- @include answers.lua

-- What denies a request whose fast steps deny it: a step that never fits.
local DENIAL = { event = { type = "charge", cost = 1 }, limit = { algorithm = "budget", quota = 0, ttlMs = 1 }, key = 0 }
DENIAL.limit.rules = rules_of_code(BUDGET)

-- Lets the kernel decide. Returns its reply and the states to be written, which may be nil.
local function decide_by_kernel(gathered)
  for index = #kernel_steps, gathered + 1, -1 do
    kernel_steps[index] = nil
  end
  kernel_states[gathered + 1] = request.once_key and claim_state(request.once_key) or nil
  request.steps = kernel_steps
  local outcome = decide_request(request, kernel_states, now_ms)
  return outcome.reply, outcome.next
end

-- Keeps what has changed.
local function keep(next_states, gathered)
  for index = 1, gathered do
    local state = next_states[index]
    if state ~= kernel_states[index] then
      put(kernel_steps[index].key, state or false)
    end
  end
  local answer = next_states[gathered + 1]
  if request.once_key and answer ~= kernel_states[gathered + 1] then
    put(request.once_key, answer or false)
  end
end

-- Gives a kept answer again.
local function replay(count, kept)
  local _, next_states = decide_by_kernel(count)
  reply(REPLAYED)
  reply_text(encode_once(kept))
  if next_states then
    keep(next_states, count)
  end
end

-- Whether all steps fit, the fast ones and those that the kernel has decided.
local function all_are_allowed(count, answers)
  local gathered = 0
  for index = 1, count do
    local step = all_steps[index]
    if not step.used then
      gathered = gathered + 1
    end
    if not (step.used and step.fits or not step.used and answers[gathered].allowed) then
      return false
    end
  end
  return true
end

-- Replies all steps in their order, and makes the charges of the fast path.
local function reply_steps(count, answers, books, all_fit, keeps)
  local gathered = 0
  for index = 1, count do
    local step = all_steps[index]
    if step.used then
      reply_fast_step(step, books, all_fit)
    else
      gathered = gathered + 1
      local answer = answers[gathered]
      reply_step(step, answer, all_fit)
      if keeps then
        founds[#founds + 1] = answer.found and FOUND_CODES[answer.found]
      end
    end
  end
end

-- Gives ends to the buckets that have none.
local function give_ends(gathered)
  for index = 1, gathered do
    give_end(kernel_steps[index].limit, kernel_steps[index].key)
  end
end

-- Decides a request whose steps can be judged. Returns whether it is booked.
local function decide_any(count, gathered, shows)
  local mode = request.mode
  if mode ~= "undo" and found.stale then
    reply(STALE)
    return false
  end
  if found.endless then
    give_ends(gathered)
  end
  local judged = gathered
  if found.denied then
    judged = gathered + 1
    kernel_steps[judged], kernel_states[judged] = DENIAL, nil
  end
  local allowed, wait_ms, firm, answers, next_states = not found.denied, nil, true, nil, nil
  if gathered > 0 or request.once_key then
    local decided
    decided, next_states = decide_by_kernel(judged)
    if not decided then
      reply(TOO_MANY_HOLDS)
      return false
    end
    allowed, wait_ms, firm, answers = decided.allowed, decided.waitMs, decided.firm, decided.steps
  end
  local books = allowed or mode == "force"
  local all_fit = allowed and not wait_ms and not shows and mode ~= "undo"
  all_fit = all_fit and (not found.shadows or all_are_allowed(count, answers))
  reply(
    shows and READ_ONLY
      or wait_ms and QUEUED
      or all_fit and FITS
      or allowed and ALLOWED
      or firm and not books and FIRM
      or DENIED
  )
  if wait_ms then
    reply(wait_ms)
  end
  local keeps = books and mode ~= "peek" and mode ~= "undo"
  reply_steps(count, answers, books, all_fit, keeps)
  if next_states then
    keep(next_states, judged)
  end
  return keeps or mode == "undo"
end

-- Decides the next request. Returns whether it is booked. `shows`: books nothing, and says how the buckets stand. `undone_ms`:
-- when the request was booked that this one undoes, where a receipt knows.
local function decide_next(shows, undone_ms)
  local shape = read_head()
  local kept
  if shows then
    request.mode, request.once_key, request.once, request.wait = "peek", nil, nil, nil
  elseif request.once_key and request.mode ~= "undo" then
    kept = kept_answer_in(request.once_key)
  end
  local mode, once_key = request.mode, request.once_key
  local may_be_fast = not once_key and not request.wait and not request.atMs and (mode == "judge" or mode == "force")
  local count, gathered = read_steps(shape, mode ~= "peek" and not kept, shows, may_be_fast)
  if kept then
    replay(count, kept)
    return false
  end
  local broken = found.broken
  if not broken and once_key and is_broken(claim_state(once_key)) then
    broken = once_key
  end
  if broken then
    reply(states[broken])
    reply(broken)
    return false
  elseif mode == "undo" then
    request.atMs = undone_ms or request.atMs or 0
  end
  return decide_any(count, gathered, shows)
end

-- Decides the next request, which has this number in the batch. Returns whether it is booked. With a receipt, an undo without an
-- instant acts only on what was booked at the earlier try, and any other request only on what was not: else the buckets are only read.
local function decide(number)
  if not receipts_head then
    return decide_next(false, nil)
  end
  local was_booked = earlier ~= nil and sub(earlier.booked, number, number) == "1"
  local mode = args[position + 1] == NO_SHAPE and args[position + 2] or JUDGE
  local takes_back_try = mode < WITH_TIME and mode % WITH_ONCE == UNDO
  if takes_back_try ~= was_booked then
    decide_next(true, nil)
    return was_booked
  end
  return decide_next(false, takes_back_try and earlier.at_ms or nil) and not takes_back_try
end
