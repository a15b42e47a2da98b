-- Decides a batch of requests: request by request and reply by reply what the kernel decides, on the batch's terms.
--
-- KEYS  The mark and the instance's receipts, where the terms name them; then every bucket and every key of a kept answer
--       that the batch names. Each key stands once, and is named by its number from 1.
-- ARGV  The terms (TERM_PLACES), and behind them the batch: a JSON list of whole numbers and names. What they mean is in ../wire.ts;
--       the script has its names in capitals: `WITH_ONCE` is `withOnce` there.
--       1. Where the shapes and the requests begin (PLACES).
--       2. The limits, five numbers each (FORMS).
--       3. Shapes of requests that only judge charges below 2^40 units on counters and token buckets: how many steps, then
--          for each step the number of its limit (negative: in shadow) and the cost, as text.
--       4. The requests. With a shape: where the shape begins among the shapes, from 1, then the key of each step. One whose answer
--          is kept has its shape below 0, then the key of the answer and the request's fingerprint. Without: 0, the mode with what belongs to its flags (MODES, MODE_FLAGS), how many steps, then for each step its key, the number of its
--          limit (negative: in shadow), and its event with what belongs to it (EVENTS).
-- Returns whole numbers, the largest as text: the time (epoch ms), then one refusal (REFUSALS), or for each request a reply
--       (REPLIES). A step's reply: units granted as a negative number, where there are any; units used; ms until all units are
--       free; ms until this cost would pass (0 now, -1 never), but not after `fits`; where the event names a hold or a grant,
--       how that was found (FOUND), after `readOnly` by the earlier try; and after `readOnly` and for a read, a reset, a grant or a
--       revoke: how many grants there are, and of each its id, its units and in how many ms it ends.
-- Atomic because Redis runs a script alone, and the script writes nothing before it has read, decided and checked all.
-- Mirrors decide: decide; store/batch: decideBatch; store/receipts: bookBatch
-- Uses batch: last_arg, position, replies; general: decide; quick/decide: allowed, fits; quick/terms: earlier,
--   is_ordinary, receipts_head, receipts_tail; terms: open_terms; writes: write_keys

-- @include ../wire.ts
-- @include standard.lua
-- @include batch.lua
-- @include keys.lua
-- @include quick/terms.lua
-- @include quick/limits.lua

-- Made only when a batch needs them: to make functions takes time.
local decide_any_request, write_any_keys
local is_general = not is_ordinary
-- The shape that was read last, and its steps: for each the number of its limit, negative in shadow, and its cost.
local shape_read, step_count, shape_steps
-- A digit for each request: 1 booked, 0 not.
local digits, request_number = "", 1
while true do
  if is_general and not decide_any_request then
    local function general_way()
      -- @include texts.lua
      -- @include mark.lua
      -- @include terms.lua
      -- @include counters.lua
      -- @include general.lua
      -- @include writes.lua
      return open_terms, decide, write_keys
    end
    local open_any_terms, refusal
    open_any_terms, decide_any_request, write_any_keys = general_way()
    if not is_ordinary then
      refusal, receipts_head, receipts_tail, earlier = open_any_terms()
      if refusal then
        return { now_ms, refusal }
      end
    end
  end
  if position >= last_arg then
    break
  end
  -- @include quick/decide.lua
  is_general = is_general or fits == nil
  if fits ~= nil or decide_any_request then
    if fits == nil then
      allowed = decide_any_request(request_number)
    else
      -- @include quick/charge.lua
    end
    digits = digits .. (allowed and "1" or "0")
    request_number = request_number + 1
  end
end
if write_any_keys then
  write_any_keys(digits)
else
  -- @include quick/write.lua
end
return replies
