-- Decides a batch of requests: mirrors decide in src/kernel/decide.ts, request by request, reply by reply.
--
-- KEYS  every bucket that the batch names, each once
-- ARGV  whole numbers, as one JSON text: how many limits there are, then for each: algorithm (1 quota, 2 fixed-window, 3 sliding-window,
--       4 gcra) and its three numbers as in src/stores/redis/arguments.ts; then for each request: mode (0 judge, 1 peek,
--       2 force), how many steps it has, and for each step: which key, which limit, and what it asks (the cost of a
--       charge in units; -1 read; -2 reset)
-- Returns whole numbers (the largest as text): the time in ms since 1970; then for each request 1 allowed, 0 denied, -1 a damaged bucket,
--       -2 a key of another type; after 1 and 0 for each step: units used, ms until all are free, ms until this cost
--       would pass (0: it passes now; -1: it never will); after -1 and -2 the key's number
-- Atomic because Redis runs a script alone, and nothing is written before everything was read and decided.

local MAX_SAFE_INTEGER = 9007199254740991
local EXACT_FOR_CLIENTS = 9007199254740000
local PEEK, FORCE = 1, 2
local RESET = -2
local DAMAGED, WRONG_TYPE = -1, -2

local floor, ceil, max, min = math.floor, math.ceil, math.max, math.min
local call = redis.call

-- A whole number as text; tostring would round it to 14 digits.
local function text_of(number)
  return string.format("%.0f", number)
end

-- A text of digits as a whole number below 2^53, or nil.
local function whole_of(text)
  local number = string.find(text, "^%d+$") and tonumber(text)
  if number and number <= MAX_SAFE_INTEGER then
    return number
  end
  return nil
end

-- @include algorithms/counter.lua
-- @include algorithms/sliding-window.lua
-- @include algorithms/gcra.lua

local algorithms = { quota, fixed_window, sliding_window, gcra }

-- A state from its text, or nil when the text is damaged. Mirrors decodeState.
local function decode(text, expires_at_ms)
  local tag = string.sub(text, 1, 1)
  if tag == "s" then
    return sliding_window.decode(text, expires_at_ms)
  end
  if tag == "g" then
    return gcra.decode(text, expires_at_ms)
  end
  return quota.decode(text, expires_at_ms)
end

local arguments = cjson.decode(ARGV[1])
local position = 0
local function argument()
  position = position + 1
  return arguments[position]
end

-- What each key holds: a state, false where there is none, or DAMAGED or WRONG_TYPE.
local states = {}
-- When Redis will let go of each key that was there.
local expiries = {}
-- Keys whose value has to be written.
local changed = {}

local function read_states()
  if #KEYS == 0 then
    return
  end
  local values = call("MGET", unpack(KEYS))
  local absent = {}
  for key = 1, #KEYS do
    local value = values[key]
    if value then
      expiries[key] = call("PEXPIRETIME", KEYS[key])
      states[key] = decode(value, expiries[key]) or DAMAGED
    else
      states[key] = false
      absent[#absent + 1] = KEYS[key]
    end
  end
  -- MGET shows a key of another type as absent.
  if #absent > 0 and call("EXISTS", unpack(absent)) > 0 then
    for key = 1, #KEYS do
      if not values[key] and call("EXISTS", KEYS[key]) == 1 then
        states[key] = WRONG_TYPE
      end
    end
  end
end

local function read_limits()
  local limits = {}
  for number = 1, argument() do
    local algorithm, a, b, c = algorithms[argument()], argument(), argument(), argument()
    limits[number] = { algorithm = algorithm, a = a, b = b, c = c }
  end
  return limits
end

-- An expired state, or one of another algorithm, is no state. A counter that someone wrote without an expiry gets one.
local function live(limit, key)
  local state = states[key]
  if not state or state.kind ~= limit.algorithm.kind then
    return nil
  end
  if state.expires_at_ms == -1 then
    state.expires_at_ms = limit.algorithm.end_of(limit, now_ms)
    changed[key] = true
  end
  if now_ms >= state.expires_at_ms then
    return nil
  end
  return state
end

-- At the latest when the state ends: one that another window or rate wrote may end before its units come back by this.
local function free_after_ms(limit, state, units)
  if not state then
    return 0
  end
  return min(limit.algorithm.free_after_ms(limit, state, units, now_ms), state.expires_at_ms - now_ms)
end

local replies = { now_ms }
local replied = 1

-- Clients read integers digit by digit, and the last digits near 2^53 wrongly: those go as text.
local function reply(number)
  replied = replied + 1
  replies[replied] = number < EXACT_FOR_CLIENTS and number or text_of(number)
end

-- One request's steps, in lists that every request uses again.
local key_of, limit_of, asks_of, state_of, used_of, fits_of = {}, {}, {}, {}, {}, {}

-- Reads a request's steps. Returns how many there are, and the first key that cannot be judged. A reset mends a damaged
-- bucket.
local function read_steps(limits, mode)
  local count = argument()
  local broken
  for step = 1, count do
    local key = argument()
    key_of[step], limit_of[step], asks_of[step] = key, limits[argument()], argument()
    local state = states[key]
    if state == DAMAGED and asks_of[step] == RESET and mode ~= PEEK then
      states[key], changed[key] = false, true
    elseif not broken and (state == DAMAGED or state == WRONG_TYPE) then
      broken = key
    end
  end
  return count, broken
end

local function judge(step)
  local limit, asks = limit_of[step], asks_of[step]
  local state = live(limit, key_of[step])
  local used = state and limit.algorithm.used(limit, state, now_ms) or 0
  state_of[step], used_of[step] = state, used
  -- An unknown cost (0) needs a unit, so that a spent budget stops it.
  fits_of[step] = asks < 0 or max(1, asks) <= limit.a - used
  return fits_of[step]
end

local function answer(step, books)
  local limit, asks, state = limit_of[step], asks_of[step], state_of[step]
  if books and asks > 0 then
    state = limit.algorithm.book(limit, state, asks, now_ms)
    state_of[step], used_of[step] = state, limit.algorithm.used(limit, state, now_ms)
  end
  reply(used_of[step])
  reply(free_after_ms(limit, state, limit.a))
  if fits_of[step] then
    reply(0)
  elseif max(1, asks) > limit.a then
    reply(-1)
  else
    reply(free_after_ms(limit, state, max(1, asks)))
  end
end

local function decide(limits)
  local mode = argument()
  local count, broken = read_steps(limits, mode)
  if broken then
    reply(states[broken])
    reply(broken)
    return
  end
  local allowed = true
  for step = 1, count do
    allowed = judge(step) and allowed
  end
  reply(allowed and 1 or 0)
  local books = allowed or mode == FORCE
  for step = 1, count do
    answer(step, books)
    local asks = asks_of[step]
    if books and mode ~= PEEK and (asks > 0 or asks == RESET) then
      states[key_of[step]] = asks ~= RESET and state_of[step] or false
      changed[key_of[step]] = true
    end
  end
end

local function write_states()
  for key in pairs(changed) do
    local state = states[key]
    if not state then
      call("DEL", KEYS[key])
    elseif state.expires_at_ms == expiries[key] then
      call("SET", KEYS[key], state.algorithm.encode(state), "KEEPTTL")
    else
      call("SET", KEYS[key], state.algorithm.encode(state), "PXAT", text_of(state.expires_at_ms))
    end
  end
end

read_states()
local limits = read_limits()
while position < #arguments do
  decide(limits)
end
write_states()
return replies
