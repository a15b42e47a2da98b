-- What keys hold as the general path has it: contents of buckets, and answers that are kept.
--
-- Mirrors
--   src/kernel/encoding/state.ts: decodeState
--   src/kernel/decide.ts: correctedAt
--   src/kernel/bucket/contents.ts: contentsAt, ownState
--   src/kernel/bucket/ahead.ts: notAhead
-- Uses
--   wire.gen.lua: DAMAGED, REMEMBERED_MS, WRONG_TYPE
--   keys.lua: changed, counts, ends, expiries, levels, states, values
--   members.lua: incarnation_in
--   terms.lua: receipts_in
--   once.lua: once_state
--   fast/levels.lua: base_instants, unit_sizes
--   algorithms/counter.lua: counter
--   algorithms/token-bucket.lua: token_bucket
--   algorithms/spent.lua: decode_spent
--   bucket/holds.lua: NO_HOLDS
--   bucket/contents.lua: contents_at, end_of_held, held_state
--   bucket/not-ahead.lua: held_not_ahead
-- Provides
--   answer_in, contents_of, is_broken, put, state_in

-- Receipts and marks are no buckets: they are told from damage, and not read further.
local function decode_receipts(text)
  return receipts_in(text) and { kind = "receipts" }
end

local function decode_mark(text)
  return incarnation_in(text) and { kind = "mark" }
end

-- By the first letter of a text.
local decoders = { h = held_state.decode, o = once_state.decode, r = decode_receipts, m = decode_mark }

local function decode(text, expires_at_ms)
  return (decoders[sub(text, 1, 1)] or decode_spent)(text, expires_at_ms)
end

-- What a key holds: a state, false where it holds nothing, or DAMAGED or WRONG_TYPE. From now on the general path has the key.
local function state_in(key)
  local state, units, text = states[key], counts[key], values[key]
  if state ~= nil then
    return state
  elseif units then
    state = ends[key] > 0 and counter(units, ends[key])
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

-- A bucket's state without instants that nothing written now could name.
local function not_ahead(limit, state)
  if state.holds then
    return held_not_ahead(limit, state, now_ms)
  end
  return limit.algorithm.not_ahead(limit, state, now_ms)
end

-- What a bucket holds, and its corrected state where a clock was ahead. A state that has expired, or is of another algorithm, is
-- no state. A state without an expiry, which another program wrote, gets that of a new one, or what its holds say.
local function contents_of(limit, key)
  local state = state_in(key)
  if not state or (state.spent_kind or state.kind) ~= limit.algorithm.kind then
    return nil, NO_HOLDS
  end
  if state.expires_at_ms == -1 then
    local holds = state.holds
    state.expires_at_ms = holds and end_of_held(limit, state.spent, holds) or limit.algorithm.end_of(limit, now_ms)
    changed[key] = true
  end
  if now_ms >= state.expires_at_ms then
    return nil, NO_HOLDS
  end
  local right = not_ahead(limit, state)
  local corrected = right ~= state and right or nil
  if now_ms >= right.expires_at_ms then
    return nil, NO_HOLDS, corrected
  elseif right.holds then
    local spent, holds = contents_at(limit, right, now_ms)
    return spent, holds, corrected
  end
  return right, NO_HOLDS, corrected
end

-- The text of an answer that is kept and has not ended, or nil.
local function answer_in(key)
  local state = state_in(key)
  if not state or is_broken(state) or state.kind ~= "once" then
    return nil
  end
  if state.expires_at_ms == -1 then
    state.expires_at_ms = state.answered_ms + state.wait_ms + REMEMBERED_MS
    changed[key] = true
  end
  return now_ms < state.expires_at_ms and state.text or nil
end
