-- How the marks of holds on a token bucket sink when units of another hold are given back.
-- Mirrors bucket/expiry: entryAt, giveBack, levelsIn; algorithms/levels: isAbove, sink, sinkingLevels, standing
-- Uses bucket/holds: changed_hold

local function is_above(mark, other)
  return mark.base_ms > other.base_ms or (mark.base_ms == other.base_ms and mark.level > other.level)
end

-- The instants and levels of all marks, -1 where a hold has none, in lists of numbers alone: each hold may sink each other one.
-- Where each mark that may still sink is above the one before it (is_rising), all sink by the same: `sunk` says by how much.
local function marks_of(holds, given, first)
  local bases, levels = {}, {}
  for index, hold in ipairs(holds) do
    local mark = hold.mark
    bases[index], levels[index] = mark and mark.base_ms or -1, mark and mark.level or -1
  end
  local is_rising, last = first ~= nil, given
  for index = first or 1, #holds do
    local hold = holds[index]
    if hold.mark and not hold.expired and not hold.charges then
      is_rising, last = is_rising and is_above(hold.mark, last), hold.mark
    end
  end
  return { bases = bases, levels = levels, is_rising = is_rising, sunk = 0 }
end

-- The mark of a draft's hold as it stands.
local function mark_at(draft, index)
  local mark, marks = draft.holds[index].mark, draft.marks
  if not marks then
    return mark
  end
  local level = max(0, marks.levels[index] - marks.sunk)
  return { base_ms = mark.base_ms, level = level, level_per_unit = mark.level_per_unit }
end

-- Gives units of a hold, whose mark is `given`, back to a token bucket. What was booked on top of that hold sinks with it.
-- `first` is where the holds begin that have not ended yet; nil where all marks matter.
local function give_back(limit, draft, given, units, at_ms, first)
  if not limit.algorithm.flows or not draft.spent then
    return
  end
  local by = limit.algorithm.returnable(limit, draft.spent, given, units, at_ms)
  -- A state of another unit stays as it is, with its end.
  if by == 0 then
    return
  end
  draft.spent = limit.algorithm.lowered(limit, draft.spent, by)
  local marks = draft.marks or marks_of(draft.holds, given, first)
  draft.marks = marks
  if marks.is_rising then
    marks.sunk = marks.sunk + by
    return
  end
  local base_ms, level = given.base_ms, given.level
  local bases, levels = marks.bases, marks.levels
  for index = first or 1, #draft.holds do
    -- is_above, written out, because this runs for each pair of holds.
    if bases[index] > base_ms or (bases[index] == base_ms and levels[index] > level) then
      levels[index] = max(0, levels[index] - by)
    end
  end
end

-- The holds of a draft with their marks as they stand.
local function holds_of_draft(draft)
  local marks = draft.marks
  if not marks then
    return draft.holds
  end
  local list = {}
  for index, hold in ipairs(draft.holds) do
    if hold.mark and hold.mark.level ~= marks.levels[index] then
      hold = changed_hold(hold, hold.expires_at_ms, mark_at(draft, index), hold.expired)
    end
    list[index] = hold
  end
  return list
end
