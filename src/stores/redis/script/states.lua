-- What keys hold as the general path has it: contents of buckets, and answers that are kept.
-- Mirrors encoding/state: decodeState; decide: correctedAt; bucket/contents: contentsAt, ownState; bucket/ahead: notAhead
-- Uses algorithms/counter: counter; algorithms/registry: decode_spent; algorithms/token-bucket: token_bucket;
--   bucket/contents: contents_at; bucket/entries: NO_ENTRIES; bucket/expiry: end_of_held; bucket/held: held_state;
--   bucket/not-ahead: held_not_ahead; keys: base_instants, changed, counts, ends, expiries, levels, states, unit_sizes,
--   values; mark: incarnation_in; once: once_state; terms: receipts_in

local NOT_A_BUCKET = { algorithm = {} }

-- By the first letter of a text. Of receipts and marks it only matters that they are not damaged.
local decoders = {
  h = held_state.decode,
  o = once_state.decode,
  r = function(text)
    return receipts_in(text) and NOT_A_BUCKET
  end,
  m = function(text)
    return incarnation_in(text) and NOT_A_BUCKET
  end,
}

local function decode(text, expires_at_ms)
  if expires_at_ms > MAX_SAFE_INTEGER then
    return nil
  end
  return (decoders[sub(text, 1, 1)] or decode_spent)(text, expires_at_ms == -1 and INFINITY or expires_at_ms)
end

-- What a key holds: a state, false where it holds nothing, or DAMAGED or WRONG_TYPE. From now on the general path has the key.
local function claim_state(key)
  local state, units, text = states[key], counts[key], values[key]
  if state ~= nil then
    return state
  elseif units then
    state = ends[key] > 0 and counter.state(units, ends[key])
    counts[key] = nil
  elseif levels[key] then
    state = ends[key] > 0 and token_bucket.state(levels[key], base_instants[key], unit_sizes[key], ends[key])
    levels[key] = nil
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

-- What a bucket holds, and its corrected state where a clock was ahead. A state that has ended, or is of another algorithm, is
-- no state. A state without an expiry, which another program wrote, gets that of a new one, or what its entries say.
local function contents_of(limit, key)
  local state = claim_state(key)
  if not state or (state.of or state.algorithm) ~= limit.algorithm then
    return nil, NO_ENTRIES
  end
  if state.expires_at_ms == INFINITY then
    state.expires_at_ms = state.of and end_of_held(limit, state.spent, state.entries) or limit.algorithm.end_of(limit, now_ms)
    changed[key] = true
  end
  if now_ms >= state.expires_at_ms then
    return nil, NO_ENTRIES
  end
  local right = (state.of and held_not_ahead or limit.algorithm.not_ahead)(limit, state, now_ms)
  local corrected = right ~= state and right or nil
  if now_ms >= right.expires_at_ms then
    return nil, NO_ENTRIES, corrected
  elseif right.of then
    local spent, entries = contents_at(limit, right, now_ms)
    return spent, entries, corrected
  end
  return right, NO_ENTRIES, corrected
end

-- The text of an answer that is kept and has not ended, or nil.
local function kept_answer_in(key)
  local state = claim_state(key)
  if not state or is_broken(state) or state.algorithm ~= once_state then
    return nil
  end
  if state.expires_at_ms == INFINITY then
    state.expires_at_ms = state.answered_ms + state.wait_ms + REMEMBERED_MS
    changed[key] = true
  end
  return now_ms < state.expires_at_ms and state.text or nil
end
