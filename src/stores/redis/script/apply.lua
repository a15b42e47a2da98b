-- Decides a batch of requests: request by request and reply by reply what the kernel decides, on the batch's terms.
--
-- KEYS  The mark and the instance's receipts, where the terms name them; then every bucket and every key of a kept answer
--       that the batch names. Each key stands once, and is named by its number from 1.
-- ARGV  One JSON text with four lists of whole numbers and names. What the numbers mean is in ../wire.ts; the script has its names in
--       capitals: `WITH_ONCE` is `withOnce` there.
--       1. The terms; empty where there are none: until when the batch may be booked (epoch ms), the number of the mark's key
--          and the incarnation, the number of the receipts' key, the number of the batch, which part of the batch this is,
--          below which number all batches are settled, and whether this settles its own number (0, 1).
--       2. The limits, five numbers each (FORMS).
--       3. Shapes of requests that only judge charges below 2^40 units on counters and token buckets: how many steps, then
--          for each step the number of its limit (negative: in shadow) and the cost.
--       4. The requests. With a shape: where the shape begins, then the key of each step. Without: 0, the mode with what
--          belongs to its flags (MODES, MODE_FLAGS), how many steps, then for each step its key, the number of its limit
--          (negative: in shadow), and its event with what belongs to it (EVENTS).
-- Returns whole numbers, the largest as text: the time (epoch ms), then one refusal (REFUSALS), or for each request a reply
--       (REPLIES). A step's reply: units granted as a negative number, where there are any; units used; ms until all units are
--       free; ms until this cost would pass (0 now, -1 never), but not after `fits`; where the event names a hold or a grant,
--       how that was found (FOUND), after `readOnly` by the earlier try; and after `readOnly` and for a read, a reset, a grant or a
--       revoke: how many grants there are, and of each its id, its units and in how many ms it ends.
-- Atomic because Redis runs a script alone, and the script writes nothing before it has read, decided and checked all.
-- Mirrors decide: decide; store/batch: decideBatch; store/receipts: bookBatch
-- Uses batch: position, replies, requests, terms; fast/decide: decide_fast; general: decide; terms: open_terms; writes:
--   write_keys

-- @include ../wire.ts
-- @include standard.lua
-- @include batch.lua
-- @include texts.lua
-- @include keys.lua
-- @include mark.lua
-- @include terms.lua

local refusal, receipt = open_terms(terms)
if refusal then
  return { now_ms, refusal }
end

-- @include limits.lua
-- @include fast/counters.lua
-- @include fast/token-buckets.lua
-- @include fast/decide.lua
-- @include writes.lua

-- Created only when a request needs it: to create its functions takes time.
local function general_path()
  -- @include general.lua
  return decide
end

local decide_any_request
-- A digit for each request: 1 booked, 0 not.
local digits = {}
local earlier = receipt and receipt.earlier
local number, shape = 1, requests[1]
while shape do
  local is_booked
  if shape > 0 and not earlier then
    is_booked = decide_fast(shape)
  end
  if is_booked == nil then
    decide_any_request = decide_any_request or general_path()
    is_booked = decide_any_request(receipt, number)
  end
  digits[number] = is_booked and "1" or "0"
  number, shape = number + 1, requests[position + 1]
end
write_keys(concat(digits), receipt)
return replies
