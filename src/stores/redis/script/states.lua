-- What keys hold as the kernel has it: states of buckets, and answers that are kept.
-- Mirrors encoding/state: decodeState, encodeState
-- Uses compiled: decode_held, decode_once, decode_spent, encode_held, encode_once, encode_spent, kept_until_ms;
--   counters: number_of; keys: base_instants, changed, counts, ends, expiries, kept_texts, levels, states, unit_sizes,
--   values; mark: incarnation_in; terms: receipts_in

local NOT_A_BUCKET = { kind = "other", expiresAtMs = 0 }

-- By the first letter of a text. Of receipts and marks it only matters that they are not damaged.
local decoders = {
  h = decode_held,
  o = decode_once,
  r = function(text)
    return receipts_in(text) and NOT_A_BUCKET
  end,
  m = function(text)
    return incarnation_in(text) and NOT_A_BUCKET
  end,
}

local encoders = { held = encode_held, once = encode_once }

local function encode_state(state)
  return (encoders[state.kind] or encode_spent)(state)
end

local function counter_state(units, end_ms)
  return { kind = "counter", spent = units, expiresAtMs = end_ms }
end

-- The state of a text, or nil where it is damaged. One without an expiry, which another program wrote, never ends so far.
local function decode(text, end_ms)
  local known_end_ms, state = end_ms == -1 and MAX_SAFE_INTEGER or end_ms, nil
  if known_end_ms > MAX_SAFE_INTEGER then
    return nil
  elseif number_of[text] then
    state = counter_state(number_of[text], known_end_ms)
  else
    state = (decoders[sub(text, 1, 1)] or decode_spent)(text, known_end_ms)
  end
  if state and end_ms == -1 and state ~= NOT_A_BUCKET then
    state.expiresAtMs = INFINITY
  end
  return state
end

local function level_state(key)
  return {
    kind = "token-bucket",
    expiresAtMs = ends[key],
    baseMs = base_instants[key],
    level = levels[key],
    levelPerUnit = unit_sizes[key],
  }
end

-- What has ended, and is still there.
local ENDED = counter_state(0, 0)

-- What a key holds: a state, false where it holds nothing, or DAMAGED or WRONG_TYPE. From now on the general path has the key.
local function claim_state(key)
  local state, units, text = states[key], counts[key], values[key]
  if state ~= nil then
    return state
  elseif units or levels[key] then
    state = ends[key] > 0 and (units and counter_state(units, ends[key]) or level_state(key)) or text and ENDED or false
    counts[key], levels[key] = nil, nil
  elseif kept_texts[key] then
    state, kept_texts[key] = decode(kept_texts[key], ends[key]), nil
  elseif text then
    expiries[key] = expiries[key] or call("PEXPIRETIME", keys[key])
    state = decode(text, expiries[key]) or DAMAGED
  else
    state = false
  end
  states[key] = state
  return state
end

-- Keeps a state, or false for nothing, to be written at the end of the batch.
local function put(key, state)
  states[key], changed[key] = state, true
end

local function is_broken(state)
  return state == DAMAGED or state == WRONG_TYPE
end

-- When a bucket ends without an expiry: as a new one would, or as its entries say.
local function end_of(spec, state)
  local rules = spec.rules
  if state.kind == "held" then
    return kept_until_ms(spec, state.spent, state.entries)
  elseif rules.report then
    return rules.report(spec, nil, "-", now_ms).expiresAtMs
  end
  return rules.book(spec, nil, rules.capacity(spec), now_ms).expiresAtMs
end

-- Gives a bucket an end where it has none.
local function give_end(spec, key)
  local state = states[key]
  if state and state.expiresAtMs == INFINITY and (state.of or state.kind) == spec.rules.kind then
    state.expiresAtMs, changed[key] = end_of(spec, state), true
  end
end

-- The answer that a key keeps, which has not ended, or nil.
local function kept_answer_in(key)
  local state = claim_state(key)
  if not state or is_broken(state) or state.kind ~= "once" then
    return nil
  elseif state.expiresAtMs == INFINITY then
    state.expiresAtMs, changed[key] = state.nowMs + state.waitMs + REMEMBERED_MS, true
  end
  return now_ms < state.expiresAtMs and state or nil
end
