-- How the levels after holds on a token bucket sink when units of another hold are given back.
-- Mirrors bucket/expiry: entryAt, giveBack, levelsIn; bucket/levels: isAbove, replace, sink, sinkingLevels, standing
-- Uses bucket/entries: changed_entry

local function is_above(base_ms, level, other)
  return base_ms > other.base_ms or (base_ms == other.base_ms and level > other.level)
end

-- The level at another height, at least 0.
local function at_height(level, height)
  return { base_ms = level.base_ms, level = max(0, height), level_per_unit = level.level_per_unit }
end

-- The levels of entries, as bases and levels, which are -1 where an entry has none: lists of numbers alone, because each entry
-- may sink each other one. Where each level that may still sink is above the one before it (is_rising), all sink by the same:
-- `sunk` says by how much. `first` is where the entries begin that have not ended yet; nil where all levels matter.
local function sinking_levels(entries, lowest, first)
  local bases, levels = {}, {}
  for index, entry in ipairs(entries) do
    local level = entry.level_after
    bases[index], levels[index] = level and level.base_ms or -1, level and level.level or -1
  end
  local is_rising, last = first ~= nil, lowest
  for index = first or 1, #entries do
    local entry = entries[index]
    local level = entry.level_after
    if level and not entry.expired and not entry.charges then
      is_rising, last = is_rising and is_above(level.base_ms, level.level, last), level
    end
  end
  return { bases = bases, levels = levels, is_rising = is_rising, sunk = 0 }
end

-- The level after an entry of a bucket whose entries end, as it stands.
local function level_after_at(expiry, index)
  local level, all = expiry.entries[index].level_after, expiry.levels
  return all and at_height(level, all.levels[index] - all.sunk) or level
end

-- Puts the level after an entry that has just been booked, above all others, at `to` in place of what was at `from`.
local function replace_level(all, from, to, level)
  local bases, levels = all.bases, all.levels
  for index, each in ipairs(levels) do
    levels[index] = max(0, each - all.sunk)
  end
  -- Those behind it are below it.
  all.is_rising, all.sunk = false, 0
  remove(bases, from)
  remove(levels, from)
  insert(bases, to, level.base_ms)
  insert(levels, to, level.level)
end

-- Gives back units of a hold on a token bucket, after which the level was `below`. What was booked on top of that sinks with it.
local function give_back(limit, expiry, below, units, at_ms, first)
  if not limit.algorithm.flows or not expiry.spent then
    return
  end
  local by = limit.algorithm.returnable(limit, expiry.spent, below, units, at_ms)
  -- A state of another unit stays as it is, with its end.
  if by == 0 then
    return
  end
  expiry.spent = limit.algorithm.lowered(limit, expiry.spent, by)
  expiry.levels = expiry.levels or sinking_levels(expiry.entries, below, first)
  local all = expiry.levels
  if all.is_rising then
    all.sunk = all.sunk + by
    return
  end
  local base_ms, level, bases, levels = below.base_ms, below.level, all.bases, all.levels
  for index = first or 1, #levels do
    -- is_above, written out, because this runs for each pair of entries.
    if bases[index] > base_ms or (bases[index] == base_ms and levels[index] > level) then
      levels[index] = max(0, levels[index] - by)
    end
  end
end

-- The entries of a bucket whose entries end, with their levels as they stand. Never of a forecast, so `sunk` is 0.
local function entries_of(expiry)
  local all = expiry.levels
  if not all then
    return expiry.entries
  end
  local list = {}
  for index, entry in ipairs(expiry.entries) do
    if entry.level_after and entry.level_after.level ~= all.levels[index] then
      entry = changed_entry(entry, entry.expires_at_ms, level_after_at(expiry, index), entry.expired)
    end
    list[index] = entry
  end
  return list
end
