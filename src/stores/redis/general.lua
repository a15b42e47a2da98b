-- The general way: any request on any key. Mirrors src/kernel/decide.ts.

local PEEK, FORCE, UNDO = 1, 2, 3
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

-- One request's steps, in lists that every request uses again. What each one asks:
local key_of, limit_of, event_of, units_of, id_of, lease_of, made_of = {}, {}, {}, {}, {}, {}, {}
local shadow_of, mark_of, outcome_of, time_of, keeps_of = {}, {}, {}, {}, {}
-- Units that must be free for it, whether they are, the hold that it names, and in how many ms its turn is (0: it has none):
local needed_of, fits_of, hold_of, turns_of = {}, {}, {}, {}
-- Whether it is a charge that the short way can make:
local plain_of = {}
-- What its bucket holds, and what it will hold when the request is booked:
local spent_of, holds_of, spent_after, holds_after = {}, {}, {}, {}
-- Its reply:
local used_of, granted_of, reset_of, retry_of, found_of = {}, {}, {}, {}, {}

-- Reads a request's steps. Returns how many there are, and the first key that cannot be judged. A reset mends a damaged
-- bucket. Where they are only shown, nothing is asked.
local function read_steps(shape, mends, shows)
  local count = shape > 0 and shapes[shape] or argument()
  local broken, made
  for step = 1, count do
    local key, number, event = argument()
    if shape > 0 then
      number, event = shapes[shape + 2 * step - 1], shapes[shape + 2 * step]
    else
      number, event = argument(), argument()
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
      made_of[step] = made
    elseif event == COUNT then
      mark_of[step], units = argument(), argument()
      needed = max(1, units)
    elseif event == REPORT then
      outcome_of[step] = argument()
    elseif event == GRANT then
      id_of[step], units, lease_of[step] = argument(), argument(), argument()
    elseif event == RAISE then
      id_of[step], units, time_of[step], lease_of[step], keeps_of[step] =
        argument(), argument(), argument(), argument(), argument() == 1
    elseif event == SETTLE then
      id_of[step], units = argument(), argument()
    elseif event == EXTEND then
      id_of[step], lease_of[step], needed = argument(), argument(), INFINITY
    end
    if shows then
      event, needed = READ, -INFINITY
    end
    key_of[step], limit_of[step], event_of[step], units_of[step], needed_of[step] = key, limit, event, units, needed
    shadow_of[step] = number < 0
    local state = state_in(key)
    if state == DAMAGED and event == RESET and mends then
      states[key], changed[key] = false, true
    elseif not broken and (state == DAMAGED or state == WRONG_TYPE) then
      broken = key
    end
  end
  return count, broken
end

local function judge(step, may_be_plain)
  local limit, event = limit_of[step], event_of[step]
  if may_be_plain and event == CHARGE and units_of[step] < MAX_PLAIN_COST then
    local used = plain_used(limit, key_of[step])
    plain_of[step] = used ~= nil
    if used then
      spent_of[step], holds_of[step] = nil, NO_HOLDS
      return needed_of[step] <= limit.a - used
    end
  end
  plain_of[step] = false
  local spent, holds = contents_of(limit, key_of[step])
  spent_of[step], holds_of[step] = spent, holds
  if event <= SETTLE then
    local hold = hold_in(holds, id_of[step])
    hold_of[step] = hold
    if event == EXTEND then
      return hold ~= nil and not hold.expired
    end
  end
  if event == COUNT and spent and has_seen(spent, mark_of[step]) then
    return true
  end
  -- Taken off before the grants are added, so that no sum passes 2^53.
  return needed_of[step] - granted_in(holds) <= limit.a - used_in(limit, spent, holds, now_ms)
end

-- Whether a step denies nothing, or does so as long as only time passes.
local function is_firm(step)
  return fits_of[step] or shadow_of[step] or (#holds_of[step] == 0 and limit_of[step].algorithm.is_firm)
end

-- Milliseconds until a step's turn in the row of a token bucket; INFINITY where it does not wait.
local function turn_of(step)
  local event = event_of[step]
  if limit_of[step].algorithm ~= gcra or (event ~= CHARGE and event ~= COUNT) or shadow_of[step] then
    return INFINITY
  end
  return turn_after_ms(limit_of[step], spent_of[step], holds_of[step], needed_of[step], now_ms)
end

-- What a step's bucket holds after it was booked, at once or at the request's turn; `at_ms` is when it was admitted, if that
-- is over.
local function booked(step, place, turn_at_ms, at_ms)
  local limit, event, spent, holds = limit_of[step], event_of[step], spent_of[step], holds_of[step]
  if event == CHARGE and turn_at_ms then
    return placed(limit, spent, holds, place, units_of[step], turn_at_ms, now_ms)
  elseif event == CHARGE then
    return charged_at(limit, spent, units_of[step], at_ms, now_ms), holds
  elseif event == HOLD then
    return held(limit, spent, holds, made_of[step], now_ms)
  elseif event == COUNT then
    return counted(limit, spent, mark_of[step], units_of[step], at_ms, now_ms), holds
  elseif event == REPORT then
    return after_report(limit, spent, outcome_of[step], now_ms), holds
  elseif event == GRANT then
    return granted(limit, spent, holds, id_of[step], units_of[step], lease_of[step], now_ms)
  elseif event == RAISE then
    local id, raised_ms, kept_ms = id_of[step], time_of[step], lease_of[step]
    return raised(limit, spent, holds, id, units_of[step], raised_ms, kept_ms, keeps_of[step], now_ms)
  elseif event == SETTLE then
    return settled(limit, spent, holds, hold_of[step], units_of[step], at_ms, now_ms)
  elseif event == EXTEND and fits_of[step] then
    -- A forced one cannot bring back what has ended.
    return spent, extended(holds, hold_of[step], lease_of[step], now_ms)
  elseif event == RESET then
    return nil, NO_HOLDS
  end
  return spent, holds
end

-- Replies how a step's bucket stands. Returns the end of one with holds, where that is known.
local function answer(step, spent, holds, keeps_answer, all_fit)
  local limit, needed = limit_of[step], needed_of[step]
  local used, extra = used_in(limit, spent, holds, now_ms), granted_in(holds)
  if limit.algorithm == elapsed then
    -- What has elapsed does not come back.
    needed = INFINITY
  end
  local reset_after_ms, end_ms = free_after_ms(limit, spent, holds, limit.a, now_ms)
  local retry_after_ms = 0
  if not fits_of[step] then
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
    used_of[step], granted_of[step], reset_of[step], retry_of[step] = used, extra, reset_after_ms, retry_after_ms
  end
  found_of[step] = nil
  if event_of[step] <= SETTLE then
    local hold = hold_of[step]
    found_of[step] = not hold and UNKNOWN or hold.expired and LATE or LIVE
    reply(found_of[step])
  end
  return end_ms
end

-- Likewise for a charge that the short way makes, which it now does where the request books.
local function answer_plainly(step, books, keeps_answer, all_fit)
  local cost = books and units_of[step] or 0
  local used, reset_after_ms, retry_after_ms = charge_plainly(limit_of[step], key_of[step], cost, needed_of[step])
  reply(used)
  reply(reset_after_ms)
  if not all_fit then
    reply(retry_after_ms)
  end
  if keeps_answer then
    used_of[step], granted_of[step], reset_of[step], retry_of[step] = used, 0, reset_after_ms, retry_after_ms
  end
  found_of[step] = nil
end

-- The kept answer for a request whose steps were answered. Mirrors onceOf and encodeOnce.
local function once_of(count, request, allowed, wait_ms)
  local hold
  local step_texts = {}
  for step = 1, count do
    if event_of[step] == HOLD then
      hold = hold or made_of[step].id
    end
    step_texts[step] =
      encode_step(units_of[step], used_of[step], granted_of[step], reset_of[step], retry_of[step], found_of[step])
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
local function taken_back(step, place, at_ms)
  local limit, event, spent, holds = limit_of[step], event_of[step], spent_of[step], holds_of[step]
  local id = place
  if event == HOLD then
    id = made_of[step].id
  end
  local hold = id and hold_in(holds, id)
  if hold then
    spent, holds = ended(limit, spent, holds, hold, 0, now_ms)
    return spent, holds, true
  elseif event ~= CHARGE then
    return spent, holds, false
  end
  local rest, is_taken = unspent(limit, spent, units_of[step], at_ms, now_ms)
  return rest, holds, is_taken
end

-- Takes back what a request booked: nobody was given it. Mirrors undone.
local function undo(count, once_key, request, place, at_ms)
  reply(ALLOWED)
  for step = 1, count do
    local key, limit = key_of[step], limit_of[step]
    spent_of[step], holds_of[step] = contents_of(limit, key)
    fits_of[step], hold_of[step] = true, nil
    local spent, holds, is_taken = taken_back(step, place, at_ms)
    local end_ms
    if event_of[step] == RESET then
      answer(step, spent_of[step], holds_of[step])
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
  local mode = shape > 0 and 0 or argument()
  local once_key, request, answered, place, max_wait_ms, at_ms
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
    place, max_wait_ms = argument(), argument()
  end
  if is_dated then
    at_ms = argument()
  end
  if shows then
    mode, once_key, waits = PEEK, nil, false
  elseif once_key and mode ~= UNDO then
    answered = answer_in(once_key)
  end
  local count, broken = read_steps(shape, mode ~= PEEK and not answered, shows)
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
    undo(count, once_key, request, place, undone_ms or at_ms or 0)
    return false
  end
  for step = 1, count do
    if limit_of[step].is_stale then
      reply(STALE)
      return false
    end
  end
  local may_be_plain = mode ~= PEEK and not waits and not at_ms
  local allowed, wait_ms = true, 0
  for step = 1, count do
    local fits = judge(step, may_be_plain)
    fits_of[step], turns_of[step] = fits, 0
    if waits and not fits then
      local turn_ms = turn_of(step)
      if turn_ms <= max_wait_ms then
        turns_of[step], wait_ms = turn_ms, max(wait_ms, turn_ms)
      end
    end
    allowed = (fits or turns_of[step] > 0 or shadow_of[step]) and allowed
  end
  local books = allowed or mode == FORCE
  if not allowed then
    wait_ms = 0
  end
  local turn_at_ms = wait_ms > 0 and now_ms + wait_ms
  for step = 1, count do
    local spent, holds = spent_of[step], holds_of[step]
    if books and not plain_of[step] then
      spent, holds = booked(step, place, turn_at_ms, at_ms)
    end
    if allowed and turns_of[step] > 0 then
      fits_of[step] = true
    end
    if #holds > MAX_HOLDS then
      reply(TOO_MANY_HOLDS)
      return false
    end
    spent_after[step], holds_after[step] = spent, holds
  end
  local keeps = books and mode ~= PEEK
  local firm, all_fit = not books, not shows and not turn_at_ms
  for step = 1, count do
    firm = firm and is_firm(step)
    all_fit = all_fit and fits_of[step]
  end
  local code = all_fit and FITS or allowed and ALLOWED or firm and FIRM or DENIED
  reply(shows and SHOWN or turn_at_ms and PLACED or code)
  if turn_at_ms then
    reply(wait_ms)
  end
  for step = 1, count do
    local key, spent, holds = key_of[step], spent_after[step], holds_after[step]
    if plain_of[step] then
      answer_plainly(step, books, once_key, all_fit)
    elseif event_of[step] == RESET then
      answer(step, spent_of[step], holds_of[step], once_key, all_fit)
      if keeps then
        states[key], changed[key] = false, true
      end
    else
      local end_ms = answer(step, spent, holds, once_key, all_fit)
      -- What nobody books on stays as it is, also a state of another algorithm.
      if keeps and (spent ~= spent_of[step] or holds ~= holds_of[step]) then
        states[key], changed[key] = state_of(limit_of[step], spent, holds, end_ms, now_ms) or false, true
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
