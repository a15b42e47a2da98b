-- The holds of a bucket: a list by the end of each hold. Neither a hold nor a list is changed in place, so that a request that
-- books nothing has changed nothing.
--
-- A hold is one of four things: a reservation (neither grants, waits nor is_memo); a grant (grants); a place in a queue (waits,
-- and charges); a memo, which says how many of the units that are spent were given back (is_memo, and expired).
--   id, units       what it is known by, and how much it takes
--   expires_at_ms   when it ends
--   lease_ms        the longest lease that it was given, where that is known
--   charges         whether its units are spent at its end; else they are refunded
--   becomes         of a place that becomes a hold: charges and lease_ms of that hold
--   expired         whether it has ended; it is then remembered for a late settle
--   mark            on a token bucket, where a hold is spent at once: the level right after (base_ms, level, level_per_unit)
--   text            the hold as text, once that is known
-- Mirrors bucket/entries: heldUnits, isLive, withEntry, withNewEntry, withoutId; bucket/grants: grantIn, grantedIn;
--   bucket/contents: entryIn; bucket/expiry: liveAt

local NO_HOLDS = {}

-- What is spent, or nil where it has ended.
local function live_at(spent, at_ms)
  if spent and at_ms < spent.expires_at_ms then
    return spent
  end
  return nil
end

-- Units that holds keep from others, beside what is spent.
local function held_units(holds)
  local sum = 0
  for index = 1, #holds do
    local hold = holds[index]
    if not hold.expired and not hold.mark and not hold.grants then
      sum = sum + hold.units
    end
  end
  return sum
end

-- Units that were granted on top of the capacity, and are still there.
local function granted_in(holds)
  local sum = 0
  for index = 1, #holds do
    local hold = holds[index]
    if hold.grants and not hold.expired then
      sum = sum + hold.units
    end
  end
  return min(sum, MAX_SAFE_INTEGER)
end

-- The hold with another end, mark or fate.
local function changed_hold(hold, expires_at_ms, mark, expired)
  return {
    id = hold.id,
    units = hold.units,
    expires_at_ms = expires_at_ms,
    lease_ms = hold.lease_ms,
    charges = hold.charges,
    grants = hold.grants,
    waits = hold.waits,
    becomes = hold.becomes,
    is_memo = hold.is_memo,
    expired = expired,
    mark = mark,
    text = nil,
  }
end

-- Whether a hold is still remembered. A place is remembered only until its turn.
local function is_kept(hold, now_ms)
  return now_ms < hold.expires_at_ms + (hold.waits and 0 or REMEMBERED_MS)
end

-- The holds from an index on with one more, which comes after those that end at the same instant.
local function with_hold(holds, first, hold)
  local list = {}
  local count = 0
  local is_in = false
  for index = first, #holds do
    local other = holds[index]
    if not is_in and other.expires_at_ms > hold.expires_at_ms then
      count, is_in = count + 1, true
      list[count] = hold
    end
    count = count + 1
    list[count] = other
  end
  if not is_in then
    list[count + 1] = hold
  end
  return list
end

-- The holds without one of them, which may be nil.
local function without(holds, hold)
  local list = {}
  for _, other in ipairs(holds) do
    if other ~= hold then
      list[#list + 1] = other
    end
  end
  return list
end

-- The holds without those of an id.
local function without_id(holds, id)
  local list = {}
  for _, hold in ipairs(holds) do
    if hold.id ~= id then
      list[#list + 1] = hold
    end
  end
  return list
end

local function hold_in(holds, id)
  for _, hold in ipairs(holds) do
    if hold.id == id then
      return hold
    end
  end
  return nil
end

local function grant_in(holds, id)
  for _, hold in ipairs(holds) do
    if hold.grants and hold.id == id then
      return hold
    end
  end
  return nil
end

-- The first hold that stays when one more comes: without room, an expired first hold is forgotten.
local function first_kept(holds)
  return #holds >= MAX_HOLDS and holds[1].expired and 2 or 1
end
