-- The entries of a bucket: a list by the end of each. Neither an entry nor a list is changed in place, so that a request that
-- books nothing has changed nothing.
--
--   kind            "reservation"; "grant"; "queued", a call that waits; "late", units that are spent and were given back
--   id, units       what it is known by, and how much it takes
--   expires_at_ms   when it ends
--   lease_ms        the longest lease that it was given, where that is known
--   charges         of a reservation: whether its units are spent at its end; else they are refunded
--   becomes         of a queued call that becomes a hold: charges and lease_ms of that hold
--   expired         whether it has ended, as late usage always has; it is then remembered for a late settle
--   level_after     of a reservation on a token bucket, which is spent at once: the level right after (base_ms, level,
--                   level_per_unit)
--   text            the entry as text, once that is known
-- Mirrors bucket/entries: heldUnits, withEntry, withNewEntry, withoutId; bucket/grants: grantIn, grantedIn;
--   bucket/contents: entryIn, rememberedAt; bucket/expiry: liveAt

local NO_ENTRIES = {}

-- What is spent, or nil where it has ended.
local function live_at(spent, at_ms)
  return spent and at_ms < spent.expires_at_ms and spent or nil
end

-- Units that entries keep from other calls, beside what is spent.
local function held_units(entries)
  local sum = 0
  for index = 1, #entries do
    local entry = entries[index]
    if not entry.expired and not entry.level_after and entry.kind ~= "grant" then
      sum = sum + entry.units
    end
  end
  return sum
end

-- Units that grants add to the capacity. They add nothing to a capacity of 0, which is a stop; they stay in the bucket.
local function granted_in(limit, entries)
  if limit.capacity == 0 then
    return 0
  end
  local sum = 0
  for index = 1, #entries do
    local entry = entries[index]
    if entry.kind == "grant" and not entry.expired then
      sum = sum + entry.units
    end
  end
  return min(sum, MAX_SAFE_INTEGER)
end

-- The entry with another end, another level after it, or ended.
local function changed_entry(entry, expires_at_ms, level_after, expired)
  return {
    kind = entry.kind,
    id = entry.id,
    units = entry.units,
    expires_at_ms = expires_at_ms,
    lease_ms = entry.lease_ms,
    charges = entry.charges,
    becomes = entry.becomes,
    expired = expired,
    level_after = level_after,
  }
end

-- Whether an entry is still remembered. A queued call is remembered only until its turn.
local function is_kept(entry, now_ms)
  return now_ms < entry.expires_at_ms + (entry.kind == "queued" and 0 or REMEMBERED_MS)
end

-- The entries from an index on, and one more, which comes after those that end at the same instant.
local function with_entry(entries, first, entry)
  local list, at, end_ms = {}, 1, entry.expires_at_ms
  for index = first, #entries do
    local other = entries[index]
    list[index - first + 1] = other
    if other.expires_at_ms <= end_ms then
      at = index - first + 2
    end
  end
  insert(list, at, entry)
  return list
end

-- The entries and a new one, without the first one if that has ended and there is no room for one more.
local function with_new_entry(entries, entry)
  if #entries == 0 then
    return { entry }
  end
  local is_full = #entries >= MAX_HOLDS and entries[1].expired
  return with_entry(entries, is_full and 2 or 1, entry)
end

-- The entries without one of them, which may be nil.
local function without(entries, entry)
  local list = {}
  for _, other in ipairs(entries) do
    if other ~= entry then
      list[#list + 1] = other
    end
  end
  return list
end

local function without_id(entries, id)
  local list = {}
  for _, entry in ipairs(entries) do
    if entry.id ~= id then
      list[#list + 1] = entry
    end
  end
  return list
end

-- The entry of an id, or nil; with `kind` only one of that kind.
local function entry_in(entries, id, kind)
  for _, entry in ipairs(entries) do
    if entry.id == id and (not kind or entry.kind == kind) then
      return entry
    end
  end
  return nil
end
