-- What becomes of a bucket when its holds expire one after the other, on a draft of its contents.
-- Mirrors bucket/expiry: endEntry, expiryOf, takeTurn
-- Uses bucket/levels: give_back, mark_at

-- A draft:
--   spent, holds  what is in the bucket so far
--   is_forecast   whether the expiries are only worked out, and will not be kept: then no mark matters of a hold that has ended
--   scratch       of a forecast: a state of the draft's own, which the next booking may be written over
--   owns_holds    whether `holds` is a list of the draft's own, because a place has become a hold
--   marks         the marks of the holds, once one has sunk (levels.lua)
local function draft_of(spent, holds, is_forecast)
  return { spent = spent, holds = holds, is_forecast = is_forecast, scratch = nil }
end

-- Marks as they stand, each by itself: the mark of a hold that begins is above all others, whose holds may end later.
local function separate_marks(marks, count)
  for index = 1, count do
    marks.levels[index] = max(0, marks.levels[index] - marks.sunk)
  end
  marks.is_rising, marks.sunk = false, 0
end

-- Makes a place whose turn has come, and whose units have just been spent, the hold that it was taken for.
local function begin_hold(draft, index)
  local place, marks = draft.holds[index], draft.marks
  local becomes = place.becomes
  local end_ms = place.expires_at_ms + becomes.lease_ms
  local count = #draft.holds
  if not draft.owns_holds then
    local list = {}
    for at = 1, count do
      list[at] = draft.holds[at]
    end
    draft.holds, draft.owns_holds = list, true
  end
  if marks then
    separate_marks(marks, count)
  end
  local holds, at = draft.holds, index
  -- Those that end no later move up. With hundreds of places, a new list each time would take too long.
  while at < count and holds[at + 1].expires_at_ms <= end_ms do
    holds[at] = holds[at + 1]
    if marks then
      marks.bases[at], marks.levels[at] = marks.bases[at + 1], marks.levels[at + 1]
    end
    at = at + 1
  end
  holds[at] = {
    id = place.id,
    units = place.units,
    expires_at_ms = end_ms,
    lease_ms = becomes.lease_ms,
    charges = becomes.charges,
    expired = false,
    mark = draft.spent,
  }
  if marks then
    marks.bases[at], marks.levels[at] = draft.spent.base_ms, draft.spent.level
  end
end

-- Lets a hold expire at the instant of its end. Returns whether another hold stands at its index now, because it has become a
-- hold that ends later.
local function expire(limit, draft, index)
  local hold, spent = draft.holds[index], draft.spent
  local at_ms = hold.expires_at_ms
  if spent and at_ms >= spent.expires_at_ms then
    draft.spent = nil
  end
  if hold.mark then
    if not hold.charges then
      give_back(limit, draft, mark_at(draft, index), hold.units, at_ms, draft.is_forecast and index + 1 or nil)
    end
  elseif hold.charges then
    local is_forecast = draft.is_forecast
    local after = limit.algorithm.book(limit, draft.spent, hold.units, at_ms, draft.scratch)
    draft.spent, draft.scratch = after, is_forecast and after or nil
    -- A forecast does not follow a hold that is charged at its end: its units are spent already.
    if hold.becomes and not (is_forecast and hold.becomes.charges) then
      begin_hold(draft, index)
      return true
    end
  end
  return false
end
