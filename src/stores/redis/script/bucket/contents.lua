-- What is in a bucket at an instant: what is spent (a state of its algorithm, or nil) and its entries. How many of its units are
-- used, and when they will be free.
-- Mirrors bucket/contents: contentsAt, stateOf, usedIn; bucket/free-after: freeAfterMs, spentFreeAfterMs
-- Uses bucket/entries: changed_entry, granted_in, held_units, is_kept, live_at; bucket/expiry: end_after, end_all_by,
--   end_entry, end_of_held, expiry_of; bucket/held: held_state; bucket/sinking: entries_of

-- What is in a bucket with entries whose state is live and of this algorithm.
local function contents_at(limit, state, now_ms)
  local entries = state.entries
  if now_ms < entries[1].expires_at_ms then
    return live_at(state.spent, now_ms), entries
  end
  local expiry = expiry_of(state.spent, entries, false)
  local has_ended = end_all_by(limit, expiry, now_ms)
  local spent = live_at(expiry.spent, now_ms)
  -- Where the first entry is kept, all are.
  if not has_ended and is_kept(entries[1], now_ms) then
    return spent, entries
  end
  local kept = {}
  for _, entry in ipairs(entries_of(expiry)) do
    if is_kept(entry, now_ms) then
      if now_ms >= entry.expires_at_ms and not entry.expired then
        entry = changed_entry(entry, entry.expires_at_ms, entry.level_after, true)
      end
      kept[#kept + 1] = entry
    end
  end
  return spent, kept
end

-- What a store keeps: nil where there is nothing to keep. `end_ms` is when a bucket with entries ends, where that is known.
local function state_of(limit, spent, entries, end_ms, now_ms)
  if #entries == 0 then
    return live_at(spent, now_ms)
  end
  local expires_at_ms = end_ms or end_of_held(limit, spent, entries)
  return held_state.state(limit.algorithm, live_at(spent, now_ms), entries, expires_at_ms)
end

-- Units that are not free.
local function used_in(limit, spent, entries, now_ms)
  local used = spent and limit.algorithm.used(limit, spent, now_ms) or 0
  return #entries == 0 and used or min(used + held_units(entries), MAX_SAFE_INTEGER)
end

-- A state that another window or rate wrote may end before its units come back by this limit.
local function wait_ms(limit, spent, units, now_ms)
  return spent and min(limit.algorithm.free_after_ms(limit, spent, units, now_ms), spent.expires_at_ms - now_ms) or 0
end

-- Milliseconds until `units` are free, if nothing else happens than that entries end; INFINITY where they never will be. And the
-- end of the bucket, where all its entries will have ended by then.
local function free_after_ms(limit, spent, entries, units, now_ms)
  if #entries == 0 then
    return units > limit.capacity and INFINITY or wait_ms(limit, spent, units, now_ms)
  end
  local expiry = expiry_of(spent, entries, true)
  -- What other calls hold takes from the capacity, and what is granted adds to it.
  local apart = held_units(entries) - granted_in(limit, entries)
  local at_ms, index, entry = now_ms, 1, entries[1]
  while entry do
    local is_replaced = false
    if not entry.expired then
      -- Added only where the sum stays below 2^53.
      if units <= limit.capacity - apart then
        local free_at_ms = at_ms + wait_ms(limit, expiry.spent, units + apart, at_ms)
        if free_at_ms < entry.expires_at_ms then
          return free_at_ms - now_ms
        end
      end
      is_replaced = end_entry(limit, expiry, index)
      if entry.kind == "grant" then
        apart = apart + (limit.capacity > 0 and entry.units or 0)
      elseif not entry.level_after then
        apart = apart - entry.units
      end
      at_ms = entry.expires_at_ms
    end
    index = is_replaced and index or index + 1
    entry = expiry.entries[index]
  end
  if units > limit.capacity then
    return INFINITY
  end
  return at_ms - now_ms + wait_ms(limit, expiry.spent, units, at_ms), end_after(expiry.spent, entries)
end
