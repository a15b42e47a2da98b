-- The terms of a batch where they are ordinary: it comes in time, the mark is the one that its sender knows, and the receipts are as
-- nearly all are. Else terms.lua reads them.
-- Mirrors encoding/receipts: encodeReceipts; encoding/mark: encodeMark
-- Uses keys: values

local incarnation, batch_number, from = ARGV[INCARNATION_AT], ARGV[NUMBER_AT], ARGV[FROM_AT]
local receipts_key = incarnation == "" and 1 or 2
-- What is written of the receipts in front of the digits of this batch, nil where it has none, and behind them. An earlier try of it.
local receipts_head, receipts_tail, earlier = nil, ",o", nil
-- Whether the receipts end when they ended before this batch.
local keeps_end
local is_ordinary = now_ms <= ARGV[NOT_AFTER_AT] + 0
if is_ordinary and incarnation ~= "" then
  local mark, known = values[1], "m1 " .. incarnation
  is_ordinary = #incarnation <= MAX_ID_LENGTH and (mark == known .. " all" or mark == known .. " some")
end
if is_ordinary and batch_number ~= "" then
  -- One receipt, of a batch that is settled.
  local kept_from, other, at_ms = match(values[receipts_key] or "r1 0 0.0,0", "^r1 (%d+) (%d+)%.%d+,(%d+)[^;]*$")
  is_ordinary = other and batch_number + 0 >= from + 0 and kept_from + 0 <= from + 0 and other + 0 < from + 0 and ARGV[PART_AT] == "0"
  if is_ordinary then
    keeps_end = at_ms - at_ms % RECEIPTS_STEP_MS == now_ms - now_ms % RECEIPTS_STEP_MS
    receipts_head = "r1 " .. from .. " " .. batch_number .. ".0," .. format("%.0f", now_ms) .. ","
  end
end
