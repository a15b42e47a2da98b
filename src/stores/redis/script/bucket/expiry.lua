-- What happens when entries end, each at its own instant: for real, or as a forecast of when units will be free.
-- Mirrors bucket/expiry: endAllBy, endEntry, expiryOf, keptUntilMs, takeTurn
-- Uses bucket/entries: live_at, without; bucket/sinking: give_back, level_after_at, replace_level

-- A bucket whose entries end one after another:
--   spent, entries  what is in the bucket so far
--   is_forecast     whether nothing really ends: then the level after an entry that has ended matters no more
--   scratch         of a forecast: a state of its own, which the next booking may be written over
--   owns_entries    whether `entries` is a list of its own, because a queued call has become a hold
--   levels          the levels after the entries, once one has sunk (sinking.lua)
local function expiry_of(spent, entries, is_forecast)
  return { spent = spent, entries = entries, is_forecast = is_forecast }
end

-- Replaces a queued call whose units have just been spent by the hold that it was queued for.
local function take_turn(expiry, index)
  local queued = expiry.entries[index]
  local becomes = queued.becomes
  if expiry.owns_entries then
    remove(expiry.entries, index)
  else
    expiry.entries, expiry.owns_entries = without(expiry.entries, queued), true
  end
  local end_ms, entries, at = queued.expires_at_ms + becomes.lease_ms, expiry.entries, index
  while entries[at] and entries[at].expires_at_ms <= end_ms do
    at = at + 1
  end
  insert(entries, at, {
    kind = "reservation",
    id = queued.id,
    units = queued.units,
    expires_at_ms = end_ms,
    lease_ms = becomes.lease_ms,
    charges = becomes.charges,
    expired = false,
    level_after = expiry.spent,
  })
  if expiry.levels then
    replace_level(expiry.levels, index, at, expiry.spent)
  end
end

-- Lets one entry end, at the instant of its end. Returns whether it was replaced by one that ends later, so that another entry
-- is at its index.
local function end_entry(limit, expiry, index)
  local entry, is_forecast = expiry.entries[index], expiry.is_forecast
  local at_ms = entry.expires_at_ms
  expiry.spent = live_at(expiry.spent, at_ms)
  if entry.level_after then
    if not entry.charges then
      give_back(limit, expiry, level_after_at(expiry, index), entry.units, at_ms, is_forecast and index + 1 or nil)
    end
  elseif entry.charges or entry.kind == "queued" then
    local spent = limit.algorithm.book(limit, expiry.spent, entry.units, at_ms, expiry.scratch)
    expiry.spent, expiry.scratch = spent, is_forecast and spent or nil
    -- A forecast needs no hold that is charged when it ends: its units are spent already.
    if entry.becomes and not (is_forecast and entry.becomes.charges) then
      take_turn(expiry, index)
      return true
    end
  end
  return false
end

-- Lets all entries end whose time has come. Returns whether there was one.
local function end_all_by(limit, expiry, at_ms)
  local index, has_ended = 1, false
  local entry = expiry.entries[1]
  while entry and at_ms >= entry.expires_at_ms do
    local is_replaced = false
    if not entry.expired then
      is_replaced, has_ended = end_entry(limit, expiry, index), true
    end
    index = is_replaced and index or index + 1
    entry = expiry.entries[index]
  end
  return has_ended
end

-- When a bucket ends after all its entries have ended, where `spent` is what is spent then.
local function end_after(spent, entries)
  local last_ms = entries[#entries].expires_at_ms
  for index = 1, #entries do
    local becomes = entries[index].becomes
    if becomes then
      last_ms = max(last_ms, entries[index].expires_at_ms + becomes.lease_ms)
    end
  end
  return max(spent and spent.expires_at_ms or 0, last_ms + REMEMBERED_MS)
end

-- When a bucket with entries ends, if nothing else happens than that they end.
local function end_of_held(limit, spent, entries)
  local expiry = expiry_of(spent, entries, true)
  end_all_by(limit, expiry, INFINITY)
  return end_after(expiry.spent, entries)
end
