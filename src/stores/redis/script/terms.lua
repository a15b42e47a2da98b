-- The terms of a batch: its deadline, the store's incarnation, and the receipts of the instance's last batches. A batch may
-- come in parts: each part has a receipt of its own, and all of them count as one batch.
-- Mirrors store/receipts: bookBatch, decideWithReceipt; encoding/receipts: decodeReceipts, encodeReceipts
-- Uses keys: values; mark: incarnation_in; quick/terms: batch_number, earlier, incarnation, receipts_key,
--   receipts_tail; texts: instant_of, text_of, whole_of

-- How steps find the holds and grants that they name, a digit for each: earlier, those of an earlier try of this part; shown, how many
-- of them were replied again; the digits of what is booked now are in the list itself.
local founds = { earlier = "", shown = 0 }

local function receipt_in(text)
  local number, part, at_ms, booked, letter, found = match(text, "^(%d+)%.(%d+),(%d+),([01]*),([co])(.*)$")
  number, part, at_ms = whole_of(number), whole_of(part), instant_of(at_ms)
  if not number or not part or not at_ms or not (found == "" or find(found, "^,[012]+$")) then
    return nil
  end
  local is_closed = letter == "c"
  return { number = number, part = part, at_ms = at_ms, booked = booked, is_closed = is_closed, found = sub(found, 2) }
end

-- Receipts as a list, and below which number all batches are settled; nil where the text holds no receipts.
local function receipts_in(text)
  local from, list = match(text, "^r1 (%d+) (%S*)$")
  from = whole_of(from)
  if not from then
    return nil
  end
  -- A batch writes its own receipt with them, and none below the first number that is open.
  local receipts = {}
  for item in gmatch(list .. ";", "([^;]*);") do
    local receipt = receipt_in(item)
    if not receipt or receipt.number < from then
      return nil
    end
    receipts[#receipts + 1] = receipt
  end
  return receipts, from
end

local function text_of_receipt(receipt)
  local letter = receipt.is_closed and ",c" or ",o"
  local name = text_of[receipt.number] .. "." .. text_of[receipt.part]
  local found = receipt.found == "" and "" or "," .. receipt.found
  return name .. "," .. text_of[receipt.at_ms] .. "," .. receipt.booked .. letter .. found
end

-- The receipt of an earlier try of this part, the texts of those that stay, and how many other batches are open.
local function split_receipts(receipts, number, part, from)
  local earlier
  local others, seen, count = {}, {}, 0
  for _, receipt in ipairs(receipts) do
    if receipt.number == number and receipt.part == part and not earlier then
      earlier = receipt
    elseif receipt.number >= from then
      others[#others + 1] = text_of_receipt(receipt)
      if receipt.number ~= number and not seen[receipt.number] then
        seen[receipt.number], count = true, count + 1
      end
    end
  end
  return earlier, others, count
end

-- Returns why the terms refuse the batch; or nil, what is written of the receipts in front of the batch's digits, nil where it has
-- none, and behind them, and the receipt of an earlier try.
local function open_terms()
  if now_ms > ARGV[NOT_AFTER_AT] + 0 then
    return TOO_LATE
  elseif incarnation ~= "" and incarnation ~= incarnation_in(values[1] or "") then
    return OTHER_INCARNATION
  elseif batch_number == "" then
    return nil
  end
  local number = batch_number + 0
  -- A batch that closes its number has its part below 0.
  local part = ARGV[PART_AT] + 0
  local closes = part < 0
  part = closes and -1 - part or part
  -- A damaged text counts as none, as in the kernel: else the instance could book nothing any more.
  local receipts, kept_from = receipts_in(values[receipts_key] or "")
  local from = max(ARGV[FROM_AT] + 0, kept_from or 1)
  local earlier, others, count = split_receipts(receipts or {}, number, part, from)
  -- The sender may have heard of a denial already: no caller would use what passes now.
  if number < from or (earlier and not closes and (earlier.is_closed or find(earlier.booked, "0", 1, true))) then
    return SETTLED
  end
  -- A batch that closes its number makes room.
  if count >= MAX_RECEIPTS and not closes then
    return TOO_MANY_OPEN
  end
  founds.earlier = earlier and not closes and earlier.found or ""
  local own = text_of[number] .. "." .. text_of[part] .. "," .. text_of[earlier and earlier.at_ms or now_ms] .. ","
  others[#others + 1] = own
  return nil, "r1 " .. text_of[from] .. " " .. concat(others, ";"), closes and ",c" or ",o", earlier
end

-- How an earlier try of this part found the next hold or grant.
local function next_found()
  founds.shown = founds.shown + 1
  return tonumber(sub(founds.earlier, founds.shown, founds.shown)) or NOT_FOUND
end

-- What is written of the receipts behind the batch's digits.
local function end_of_receipts()
  local found = receipts_tail == ",c" and "" or earlier and founds.earlier or concat(founds)
  return found == "" and receipts_tail or receipts_tail .. "," .. found
end
