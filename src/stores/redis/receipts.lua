-- Mirrors src/kernel/receipts.ts. Here also a batch that is cut in parts has receipts: one for each part.

-- A state: from; receipts, each with number, part, at_ms, booked and closed.
local receipts_state = { kind = "receipts" }
-- A state: incarnation; lost.
local mark_state = { kind = "mark" }

do
  function receipts_state.encode(state)
    local texts = {}
    for place, receipt in ipairs(state.receipts) do
      texts[place] = text_of[receipt.number]
        .. "."
        .. text_of[receipt.part]
        .. ","
        .. text_of[receipt.at_ms]
        .. ","
        .. receipt.booked
        .. (receipt.closed and ",c" or ",o")
    end
    return "r1 " .. text_of[state.from] .. " " .. concat(texts, ";")
  end

  local function decode_receipt(text)
    local number, part, at_ms, booked, letter = match(text, "^(%d+)%.(%d+),(%d+),([01]*),([co])$")
    if not number then
      return nil
    end
    number, part, at_ms = whole_of(number), whole_of(part), whole_of(at_ms)
    if not number or not part or not at_ms then
      return nil
    end
    return { number = number, part = part, at_ms = at_ms, booked = booked, closed = letter == "c" }
  end

  function receipts_state.decode(text, expires_at_ms)
    local from, list = match(text, "^r1 (%d+) (%S*)$")
    from = from and whole_of(from)
    if not from then
      return nil
    end
    local receipts = {}
    if list ~= "" then
      for item in string.gmatch(list .. ";", "([^;]*);") do
        local receipt = decode_receipt(item)
        if not receipt then
          return nil
        end
        receipts[#receipts + 1] = receipt
      end
    end
    return { algorithm = receipts_state, kind = "receipts", expires_at_ms = expires_at_ms, from = from, receipts = receipts }
  end

  function mark_state.encode(state)
    return "m1 " .. state.incarnation .. " " .. state.lost
  end

  function mark_state.decode(text, expires_at_ms)
    local incarnation, lost = match(text, "^m1 ([%w_-]+) (%l+)$")
    if not incarnation or #incarnation > MAX_ID_LENGTH or (lost ~= "all" and lost ~= "some") then
      return nil
    end
    return {
      algorithm = mark_state,
      kind = "mark",
      expires_at_ms = expires_at_ms,
      incarnation = incarnation,
      lost = lost,
    }
  end
end
