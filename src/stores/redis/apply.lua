-- Decides a batch of requests: mirrors decide in src/kernel/decide.ts, request by request, reply by reply, and decideBatch
-- in src/store/batch.ts, whose terms it keeps.
--
-- KEYS  where the batch's terms name them the mark and the instance's receipts; every bucket that the batch names, and every
--       key of a kept answer; each once
-- ARGV  one JSON text: four lists of whole numbers and names.
--       1. The terms: nothing, or until when the batch may be booked (ms since 1970), which key is the mark and the
--       incarnation, which key the receipts are, the batch's number, which part of it this is, below which number all are
--       settled, and whether it closes its number (0, 1); 0 for a key where it is not named, and for what belongs to it.
--       2. The limits, five numbers each: algorithm (1 budget, 2 fixed-window, 3 sliding-window, 4 token-bucket, 5 concurrency,
--       6 fixed-window of a calendar, 7 elapsed, 8 streak) and its four, as in src/stores/redis/arguments.ts.
--       3. Shapes of requests that many have: how many steps, then for each which limit (negative: in shadow) and the cost
--       in units. They are plain: judged, and nothing but charges of less than 2^40 units on counters and
--       token buckets.
--       4. The requests, one after the other. One with a shape: at which place of the shapes it is, then the key of each
--       step. Any other: 0, then its mode (0 judge, 1 peek, 2 force, 3 undo; 10 more when it is to be booked once, followed
--       by which key its answer is kept under and what the request is alike in; 20 more when it may wait, followed by the
--       id of its place and how many ms; 40 more when it was admitted, or is to be undone, at an earlier instant, followed
--       by that in ms since 1970), how many steps it has, and for each step: which key, which limit (negative: in shadow),
--       and what it asks: the cost of a charge in units, or
--       -1 read
--       -2 reset
--       -3 hold, followed by id, units, lease in ms, and what happens when it expires (0 refund, 1 charge)
--       -4 hold, with all of that as in the hold before it
--       -5 charge for a value, followed by its mark and the cost
--       -6 report, followed by the outcome, or 0 for none
--       -7 raise, followed by id, units, the instant of their booking in ms since 1970, how long they are remembered in
--          ms, and whether the store may have kept some of them (0, 1)
--       -8 grant, followed by id, units and how long they are there in ms
--       -9 settle, followed by the hold's id and the actual units
--       -10 extend, followed by the hold's id and the lease in ms
--       -11 revoke, followed by the grant's id
-- Returns whole numbers (the largest as text): the time in ms since 1970; then, where the terms refuse the batch, -4 its
--       deadline is over, -5 another incarnation, -6 its number is settled, -7 too many batches are open; else for each
--       request 1 allowed, 0 denied, 2 answered before, 3 a time outside of a calendar's windows, 4 allowed at its turn,
--       and after it in how many ms that is, 5 only shown, because of its receipt, 6 denied as long as only time passes,
--       7 allowed, and every step passes; -1 a damaged key, -2 a key of another type, -3 too many holds; after 0, 1 and 4
--       to 7 for each step: units granted, if there are any, as a negative number; units used, ms until all are free; ms
--       until this cost would pass (0: it passes now; -1: it never will), but not after 7; and of a settle or an extend,
--       but not after 5, how the hold was found (0 live, 1 late, 2 unknown), and for a revoke how the grant was found, and for a
--       grant what has its id (0 the same grant, 1 something else, 2 nothing); and of a
--       read, a reset, a grant or a revoke, and after 5, where units are granted, how many grants there are, and for
--       each its id, its units and in how many ms it ends; after 2 the text of the answer; after -1 and
--       -2 the key's number
-- Atomic because Redis runs a script alone, and nothing is written before everything was read, decided and allowed.

local MAX_SAFE_INTEGER = 9007199254740991
local EXACT_FOR_CLIENTS = 9007199254740000
-- The last instant that a state may name, its end aside, and the most that a level may be.
local MAX_INSTANT = 2 ^ 52
-- What the short way counts with stays far below 2^53, so that no sum of a batch saturates.
local MAX_PLAIN, MAX_PLAIN_COST = 2 ^ 52, 2 ^ 40
local QUOTA, FIXED_WINDOW, TOKEN_BUCKET, CALENDAR_WINDOW = 1, 2, 4, 6
local ALLOWED, DENIED, ANSWERED, STALE, PLACED, SHOWN, FIRM, FITS = 1, 0, 2, 3, 4, 5, 6, 7
local DAMAGED, WRONG_TYPE, TOO_MANY_HOLDS = -1, -2, -3

local floor, ceil, max, min, INFINITY = math.floor, math.ceil, math.max, math.min, math.huge
local byte, find, format, match, sub = string.byte, string.find, string.format, string.match, string.sub
local concat, ipairs, tonumber = table.concat, ipairs, tonumber
local call, keys = redis.call, KEYS

local terms, limit_numbers, shapes, requests = unpack(cjson.decode(ARGV[1]))

-- Whole numbers as texts, which tostring would round to 14 digits. The same ones come again and again: each is made once.
local text_of = setmetatable({ [0] = "0" }, {
  __index = function(texts, number)
    local text = format("%.0f", number)
    texts[number] = text
    return text
  end,
})

-- A text of digits as a whole number below 2^53, or nil.
local function whole_of(digits)
  local number = tonumber(digits)
  if number <= MAX_SAFE_INTEGER then
    return number
  end
  return nil
end

-- A text of digits as an instant that a state may name, or nil.
local function instant_of(digits)
  local number = tonumber(digits)
  if number <= MAX_INSTANT then
    return number
  end
  return nil
end

-- @include keys.lua
-- @include levels.lua
-- @include terms.lua

local refusal, receipt = open_terms()
if refusal then
  return { now_ms, refusal }
end

-- @include limits.lua
-- @include writes.lua

local replies = { now_ms }
local replied = 1
-- Where the next request begins, less one.
local position = 0

-- @include plain.lua

-- Built only where a request needs it: it is long.
local function general_way()
  -- @include general.lua
  return decide
end

local decide
-- A digit for each request: whether it is booked.
local digits = {}
local before = receipt and receipt.before
for place = 1, MAX_SAFE_INTEGER do
  local shape = requests[position + 1]
  if not shape then
    break
  end
  local is_booked
  if shape > 0 and not before then
    is_booked = decide_plainly(shape)
  end
  if is_booked == nil then
    decide = decide or general_way()
    is_booked = decide(before, place)
  end
  digits[place] = is_booked and "1" or "0"
end
write_keys(concat(digits))
return replies
