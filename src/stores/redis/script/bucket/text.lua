-- A bucket with holds as text.
-- Mirrors encoding/held: areInOrder, decodeHeld, encodeHeld; encoding/entry: decodeEntry, encodeEntry
-- Uses algorithms/spent: algorithms_by_letter, decode_spent; bucket/contents: held_state; texts: instant_of,
--   is_canonical, text_of, whole_of

local COMMA, SEMICOLON = byte(",;", 1, 2)
local HEADS = {}
for letter, algorithm in pairs(algorithms_by_letter) do
  HEADS[algorithm.kind] = "h1 " .. letter .. " "
end

-- A capital letter stands for a hold that has ended.
local function letter_of(hold)
  return hold.grants and (hold.expired and ",G" or ",g")
    or hold.waits and ",p"
    or hold.is_memo and ",M"
    or hold.charges and (hold.expired and ",C" or ",c")
    or (hold.expired and ",R" or ",r")
end

local function text_of_hold(hold)
  local text = hold.text
  if text then
    return text
  end
  text = hold.id .. "," .. text_of[hold.units] .. "," .. text_of[hold.expires_at_ms] .. letter_of(hold)
  if hold.lease_ms then
    text = text .. text_of[hold.lease_ms]
  end
  local mark, becomes = hold.mark, hold.becomes
  if becomes then
    text = text .. (becomes.charges and ",c" or ",r") .. text_of[becomes.lease_ms]
  elseif mark then
    text = text .. "," .. text_of[mark.base_ms] .. "," .. text_of[mark.level] .. "," .. text_of[mark.level_per_unit]
  end
  hold.text = text
  return text
end

local function text_of_holds(holds)
  local texts = {}
  for index, hold in ipairs(holds) do
    texts[index] = text_of_hold(hold)
  end
  return concat(texts, ";")
end

function held_state.encode(state)
  local holds, spent = state.holds, state.spent
  local text = #holds == 1 and text_of_hold(holds[1]) or text_of_holds(holds)
  if not spent then
    return HEADS[state.spent_kind] .. text
  end
  return HEADS[state.spent_kind] .. text .. " " .. text_of[spent.expires_at_ms] .. " " .. spent.algorithm.encode(spent)
end

-- What follows a hold's lease: a mark, or what a place becomes. Returns both, one of them nil, and where it ends; nothing where
-- the text is damaged.
local function decode_rest(text, last)
  if byte(text, last + 1) ~= COMMA then
    return nil, nil, last
  end
  local _, becomes_last, letter, lease_ms = find(text, "^,([cr])(%d+)", last + 1)
  if becomes_last then
    if not is_canonical(lease_ms) then
      return nil
    end
    return nil, { charges = letter == "c", lease_ms = whole_of(lease_ms) }, becomes_last
  end
  local _, mark_last, base_ms, level, level_per_unit = find(text, "^,(%d+),(%d+),([1-9]%d*)", last + 1)
  if not mark_last then
    return nil
  end
  local mark = { base_ms = instant_of(base_ms), level = instant_of(level), level_per_unit = instant_of(level_per_unit) }
  if not mark.base_ms or not mark.level or not mark.level_per_unit then
    return nil
  end
  return mark, nil, mark_last
end

-- The hold that begins at a position of a text, and where it ends; nil where it is damaged.
local function decode_hold(text, first)
  local _, head_last, id, units, expires_at_ms, letter, lease_ms =
    find(text, "^([%w_-]+),(%d+),(%d+),([crgpCRGM])(%d*)", first)
  if not head_last or #id > MAX_ID_LENGTH or (lease_ms ~= "" and not is_canonical(lease_ms)) then
    return nil
  end
  local mark, becomes, last = decode_rest(text, head_last)
  units, expires_at_ms = whole_of(units), instant_of(expires_at_ms)
  if not last or not units or not expires_at_ms or (lease_ms ~= "" and not instant_of(lease_ms)) then
    return nil
  end
  if becomes and expires_at_ms + becomes.lease_ms > MAX_INSTANT_MS then
    return nil
  end
  local hold = {
    id = id,
    units = units,
    expires_at_ms = expires_at_ms,
    lease_ms = lease_ms ~= "" and instant_of(lease_ms) or nil,
    charges = letter == "c" or letter == "C" or letter == "p",
    grants = letter == "g" or letter == "G",
    waits = letter == "p",
    becomes = becomes,
    is_memo = letter == "M",
    expired = letter == "C" or letter == "R" or letter == "G" or letter == "M",
    mark = mark,
    text = sub(text, first, last),
  }
  return hold, last
end

-- Whether a hold may follow one that ends at `before_ms`: sorted, and marked or about to become a hold on token buckets alone.
local function is_in_order(hold, before_ms, flows)
  if hold.expires_at_ms < before_ms then
    return false
  elseif hold.mark and (not flows or hold.grants or hold.waits or hold.is_memo) then
    return false
  end
  return not hold.becomes or (flows and hold.waits)
end

-- The holds of a text, and the position behind them; nil where one is damaged.
local function decode_holds(text, flows)
  local holds = {}
  local last, before_ms = 5, 0
  repeat
    local hold
    hold, last = decode_hold(text, last + 1)
    if not hold or not is_in_order(hold, before_ms, flows) then
      return nil
    end
    holds[#holds + 1], before_ms = hold, hold.expires_at_ms
    last = last + 1
  until byte(text, last) ~= SEMICOLON
  -- This script never writes a 0 before other digits: holds that another program wrote so get a text of this script.
  if find(text, ",0%d") then
    for _, hold in ipairs(holds) do
      hold.text = nil
    end
  end
  return holds, last
end

function held_state.decode(text, expires_at_ms)
  local letter = match(text, "^h1 (%l) ")
  local algorithm = letter and algorithms_by_letter[letter]
  if not algorithm or expires_at_ms > MAX_SAFE_INTEGER then
    return nil
  end
  local holds, last = decode_holds(text, algorithm.flows)
  if not holds then
    return nil
  end
  local spent
  if last <= #text then
    local spent_expires_at_ms, spent_text = match(text, "^ (%d+) (.+)$", last)
    spent_expires_at_ms = spent_text and whole_of(spent_expires_at_ms)
    spent = spent_expires_at_ms and decode_spent(spent_text, spent_expires_at_ms)
    if not spent or spent.kind ~= algorithm.kind then
      return nil
    end
  end
  return held_state.of(algorithm.kind, spent, holds, expires_at_ms)
end
