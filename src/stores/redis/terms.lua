-- Mirrors the terms of decideBatch in src/store-batch.ts. Here a batch may be cut in parts, which are one batch together:
-- each has a receipt of its own, and all of them count once.

local open_terms, decide_under_receipt

do
  local MAX_RECEIPTS = 16
  local RECEIPTS_KEPT_MS = 86400000
  local TOO_LATE, OTHER_INCARNATION, SETTLED, OVERLOADED = -4, -5, -6, -7
  local ONE = byte("1")

  -- Reads the terms. Returns why they refuse the batch, or nil and, where it has a receipt, the receipts' key, its state with
  -- one for this batch at the end, and the one that was there before.
  function open_terms()
    if argument() == 0 then
      return nil
    end
    local not_after_ms, mark_key = argument(), argument()
    if now_ms > not_after_ms then
      return TOO_LATE
    end
    if mark_key > 0 then
      local mark = states[mark_key]
      if argument() ~= (mark and mark ~= DAMAGED and mark ~= WRONG_TYPE and mark.incarnation) then
        return OTHER_INCARNATION
      end
    end
    local key = argument()
    if key == 0 then
      return nil
    end
    local number, part, from, closes = argument(), argument(), argument(), argument() == 1
    local kept = states[key]
    if not kept or kept == DAMAGED or kept == WRONG_TYPE or kept.kind ~= "receipts" then
      kept = { from = 1, receipts = {} }
    end
    from = max(from, kept.from)
    local before
    local receipts, others, count = {}, {}, 0
    for _, receipt in ipairs(kept.receipts) do
      if receipt.number == number and receipt.part == part and not before then
        before = receipt
      elseif receipt.number >= from then
        receipts[#receipts + 1] = receipt
        if receipt.number ~= number and not others[receipt.number] then
          others[receipt.number], count = true, count + 1
        end
      end
    end
    -- Of what was denied its sender may have heard: what passes now would be nobody's.
    if number < from or (before and not closes and (before.closed or find(before.booked, "0", 1, true))) then
      return SETTLED
    end
    if count >= MAX_RECEIPTS then
      return OVERLOADED
    end
    receipts[#receipts + 1] = {
      number = number,
      part = part,
      at_ms = before and before.at_ms or now_ms,
      closed = closes,
    }
    local state = {
      algorithm = receipts_state,
      kind = "receipts",
      expires_at_ms = now_ms + RECEIPTS_KEPT_MS,
      from = from,
      receipts = receipts,
    }
    return nil, key, state, before
  end

  -- Decides what a receipt leaves to be decided: what was booked before is only undone, and nothing else is. Returns a digit
  -- for each request: whether it is booked.
  function decide_under_receipt(limits, before)
    local digits, count = {}, 0
    while position < #arguments do
      count = count + 1
      local undoes = arguments[position + 1] % WITH_ONCE == UNDO
      local was_booked = before ~= nil and byte(before.booked, count) == ONE
      local acts = undoes == was_booked
      local is_booked = decide(limits, not acts, undoes and before and before.at_ms)
      if not acts then
        is_booked = was_booked
      end
      digits[count] = is_booked and "1" or "0"
    end
    return concat(digits)
  end
end
