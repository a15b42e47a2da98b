-- The state of a bucket with entries, and its text.
-- Mirrors encoding/held: areInOrder, decodeHeld, encodeHeld, needsFlow; encoding/entry: decodeEntry, encodeEntry, letterOf
-- Uses algorithms/registry: algorithms_by_letter, decode_spent; texts: canonical_of, instant_of, text_of, whole_of

local held_state = {}

-- `of` is the algorithm of what is spent, which may be nothing; there is at least one entry.
function held_state.state(of, spent, entries, expires_at_ms)
  return { algorithm = held_state, expires_at_ms = expires_at_ms, of = of, spent = spent, entries = entries }
end

local COMMA, SEMICOLON = byte(",;", 1, 2)
-- What the letter of an entry says. A capital letter stands for one that has ended.
local BY_LETTER = {
  c = { kind = "reservation", charges = true, expired = false },
  C = { kind = "reservation", charges = true, expired = true },
  r = { kind = "reservation", charges = false, expired = false },
  R = { kind = "reservation", charges = false, expired = true },
  g = { kind = "grant", expired = false },
  G = { kind = "grant", expired = true },
  p = { kind = "queued", expired = false },
  M = { kind = "late", expired = true },
}

local function letter_of(entry)
  local kind, expired = entry.kind, entry.expired
  if kind == "reservation" then
    return entry.charges and (expired and ",C" or ",c") or (expired and ",R" or ",r")
  elseif kind == "grant" then
    return expired and ",G" or ",g"
  end
  return kind == "queued" and ",p" or ",M"
end

local function text_of_entry(entry)
  local text = entry.text
  if text then
    return text
  end
  text = entry.id .. "," .. text_of[entry.units] .. "," .. text_of[entry.expires_at_ms] .. letter_of(entry)
  if entry.lease_ms then
    text = text .. text_of[entry.lease_ms]
  end
  local level, becomes = entry.level_after, entry.becomes
  if becomes then
    text = text .. (becomes.charges and ",c" or ",r") .. text_of[becomes.lease_ms]
  elseif level then
    text = text .. "," .. text_of[level.base_ms] .. "," .. text_of[level.level] .. "," .. text_of[level.level_per_unit]
  end
  entry.text = text
  return text
end

function held_state.encode(state)
  local spent, texts = state.spent, {}
  for index, entry in ipairs(state.entries) do
    texts[index] = text_of_entry(entry)
  end
  local text = "h1 " .. state.of.letter .. " " .. concat(texts, ";")
  return spent and text .. " " .. text_of[spent.expires_at_ms] .. " " .. spent.algorithm.encode(spent) or text
end

-- What follows an entry's lease: the level after it, or what a queued call becomes. Returns both, one of them nil, and where it
-- ends; nothing where the text is damaged.
local function decode_rest(text, last)
  if byte(text, last + 1) ~= COMMA then
    return nil, nil, last
  end
  local _, becomes_last, letter, lease = find(text, "^,([cr])(%d+)", last + 1)
  if becomes_last then
    local lease_ms = canonical_of(lease)
    return nil, { charges = letter == "c", lease_ms = lease_ms }, lease_ms and becomes_last
  end
  local _, level_last, base, level, unit = find(text, "^,(%d+),(%d+),([1-9]%d*)", last + 1)
  base, level, unit = instant_of(base), instant_of(level), instant_of(unit)
  if not base or not level or not unit then
    return nil
  end
  return { base_ms = base, level = level, level_per_unit = unit }, nil, level_last
end

-- The entry that begins at a position of a text, and where it ends; nil where it is damaged.
local function decode_entry(text, first)
  local _, head_last, id, unit_digits, end_digits, letter, lease =
    find(text, "^([%w_-]+),(%d+),(%d+),([crgpCRGM])(%d*)", first)
  if not head_last or #id > MAX_ID_LENGTH then
    return nil
  end
  local level_after, becomes, last = decode_rest(text, head_last)
  local units, expires_at_ms, lease_ms = whole_of(unit_digits), instant_of(end_digits), canonical_of(lease)
  if not last or not units or not expires_at_ms or (lease ~= "" and not (lease_ms and instant_of(lease))) then
    return nil
  elseif becomes and expires_at_ms + becomes.lease_ms > MAX_INSTANT_MS then
    return nil
  end
  local meaning = BY_LETTER[letter]
  local entry = {
    kind = meaning.kind,
    id = id,
    units = units,
    expires_at_ms = expires_at_ms,
    lease_ms = lease_ms,
    charges = meaning.charges,
    becomes = becomes,
    expired = meaning.expired,
    level_after = level_after,
    text = sub(text, first, last),
  }
  return entry, last
end

-- Whether an entry may follow one that ends at `before_ms`. Levels are only after holds, and only queued calls become holds:
-- both on token buckets alone.
local function is_in_order(entry, before_ms, flows)
  if entry.expires_at_ms < before_ms then
    return false
  elseif entry.level_after then
    return flows and entry.kind == "reservation"
  end
  return not entry.becomes or (flows and entry.kind == "queued")
end

-- The entries of a text, and the position behind them; nil where one is damaged.
local function decode_entries(text, flows)
  local entries = {}
  local last, before_ms = 5, 0
  repeat
    local entry
    entry, last = decode_entry(text, last + 1)
    if not entry or not is_in_order(entry, before_ms, flows) then
      return nil
    end
    entries[#entries + 1], before_ms = entry, entry.expires_at_ms
    last = last + 1
  until byte(text, last) ~= SEMICOLON
  -- This script never writes a 0 before other digits: entries that another program wrote so get a text of this script.
  if find(text, ",0%d") then
    for _, entry in ipairs(entries) do
      entry.text = nil
    end
  end
  return entries, last
end

function held_state.decode(text, expires_at_ms)
  local of = algorithms_by_letter[match(text, "^h1 (%l) ")]
  if not of then
    return nil
  end
  local entries, last = decode_entries(text, of.flows)
  if not entries then
    return nil
  elseif last > #text then
    return held_state.state(of, nil, entries, expires_at_ms)
  end
  local end_digits, spent_text = match(text, "^ (%d+) (.+)$", last)
  local spent_end_ms = whole_of(end_digits)
  local spent = spent_end_ms and decode_spent(spent_text, spent_end_ms)
  return spent and spent.algorithm == of and held_state.state(of, spent, entries, expires_at_ms) or nil
end
