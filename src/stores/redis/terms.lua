-- Mirrors the terms of decideBatch in src/store/batch.ts, and src/kernel/encoding/receipts.ts. Here a batch may be cut in parts, which
-- are one batch together: each has a receipt of its own, and all of them count once.

local MAX_ID_LENGTH = 64

-- The incarnation that a mark names, or nil when the text is none. Mirrors decodeMark.
local function incarnation_in(text)
  local incarnation, lost = match(text, "^m1 ([%w_-]+) (%l+)$")
  if not incarnation or #incarnation > MAX_ID_LENGTH or (lost ~= "all" and lost ~= "some") then
    return nil
  end
  return incarnation
end

local function receipt_in(text)
  local number, part, at_ms, booked, letter = match(text, "^(%d+)%.(%d+),(%d+),([01]*),([co])$")
  if not number then
    return nil
  end
  number, part, at_ms = whole_of(number), whole_of(part), instant_of(at_ms)
  if not number or not part or not at_ms then
    return nil
  end
  return { number = number, part = part, at_ms = at_ms, booked = booked, closed = letter == "c" }
end

-- Receipts as a list, and below which number all are settled; nil when the text is none. Mirrors decodeReceipts.
local function receipts_in(text)
  local from, list = match(text, "^r1 (%d+) (%S*)$")
  from = from and whole_of(from)
  if not from then
    return nil
  end
  -- A batch writes its own receipt with them, and none below the first number that is open.
  local receipts = {}
  for item in string.gmatch(list .. ";", "([^;]*);") do
    local receipt = receipt_in(item)
    if not receipt or receipt.number < from then
      return nil
    end
    receipts[#receipts + 1] = receipt
  end
  return receipts, from
end

local open_terms, write_receipt

do
  local MAX_RECEIPTS = 16
  local RECEIPTS_KEPT_MS = 86400000
  local TOO_LATE, OTHER_INCARNATION, SETTLED, OVERLOADED = -4, -5, -6, -7

  local function text_of_receipt(receipt)
    local letter = receipt.closed and ",c" or ",o"
    local name = text_of[receipt.number] .. "." .. text_of[receipt.part]
    return name .. "," .. text_of[receipt.at_ms] .. "," .. receipt.booked .. letter
  end

  -- Reads the terms. Returns why they refuse the batch, or nil and the batch's receipt, where it has one: key; from; number,
  -- part, at_ms and closed; before, the receipt that there was for it; others, those that stay.
  function open_terms()
    if #terms == 0 then
      return nil
    end
    local not_after_ms, mark_key, incarnation, key, number, part, from, closes = unpack(terms)
    if now_ms > not_after_ms then
      return TOO_LATE
    end
    if mark_key > 0 and incarnation ~= incarnation_in(values[mark_key] or "") then
      return OTHER_INCARNATION
    end
    if key == 0 then
      return nil
    end
    local receipts, kept_from = receipts_in(values[key] or "")
    from = max(from, kept_from or 1)
    local before
    local others, seen, count = {}, {}, 0
    for _, receipt in ipairs(receipts or {}) do
      if receipt.number == number and receipt.part == part and not before then
        before = receipt
      elseif receipt.number >= from then
        others[#others + 1] = text_of_receipt(receipt)
        if receipt.number ~= number and not seen[receipt.number] then
          seen[receipt.number], count = true, count + 1
        end
      end
    end
    -- Of what was denied its sender may have heard: what passes now would be nobody's.
    if number < from or (before and closes == 0 and (before.closed or find(before.booked, "0", 1, true))) then
      return SETTLED
    end
    if count >= MAX_RECEIPTS then
      return OVERLOADED
    end
    return nil,
      {
        key = key,
        from = from,
        number = number,
        part = part,
        at_ms = before and before.at_ms or now_ms,
        closed = closes == 1,
        before = before,
        others = others,
      }
  end

  -- Keeps a batch's receipt. `booked` has a digit for each request.
  function write_receipt(receipt, booked)
    local texts = receipt.others
    receipt.booked = booked
    texts[#texts + 1] = text_of_receipt(receipt)
    local text = "r1 " .. text_of[receipt.from] .. " " .. concat(texts, ";")
    call("SET", keys[receipt.key], text, "PXAT", text_of[now_ms + RECEIPTS_KEPT_MS])
  end
end
