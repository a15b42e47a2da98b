-- Mirrors src/kernel/bucket (contents, reservations, queue, grants) and src/kernel/encoding/held.ts.
-- What is in a bucket goes as two values: what is spent (a state of its algorithm, or nil) and its holds, a list by the
-- end of each. Neither is ever changed in place, so what is not booked has changed nothing.
-- A hold: id; units; expires_at_ms; lease_ms, the longest that it was given, where that is known; charges (when it expires; else it refunds); grants (it is a grant); waits (it is a
-- place, and charges); becomes, of a place: charges and lease_ms of the hold that it becomes, if it does; is_memo (it says what was given back); expired; mark, on a token bucket (any table with base_ms,
-- level and level_per_unit, such as a state); text, once it is known.

local MAX_HOLDS = 1000
local MAX_PLACES = 256
local REMEMBERED_MS = 600000

local COMMA, SEMICOLON, ZERO = byte(",;0", 1, 3)

local NO_HOLDS = {}

-- A state: of, the kind of what is spent; spent; holds, at least one; expires_at_ms.
local held_state = { kind = "held" }

local KINDS =
  { c = "counter", s = "sliding-window", g = "token-bucket", n = "concurrency", e = "elapsed", k = "streak" }
local HEADS = {}
for letter, kind in pairs(KINDS) do
  HEADS[kind] = "h1 " .. letter .. " "
end

local function live_at(spent, at_ms)
  if spent and at_ms < spent.expires_at_ms then
    return spent
  end
  return nil
end

-- Units that holds keep from others beside what is spent.
local function held_units(holds)
  local sum = 0
  for place = 1, #holds do
    local hold = holds[place]
    if not hold.expired and not hold.mark and not hold.grants then
      sum = sum + hold.units
    end
  end
  return sum
end

-- Units that were granted on top of the capacity, and are still there.
local function granted_in(holds)
  local sum = 0
  for place = 1, #holds do
    local hold = holds[place]
    if hold.grants and not hold.expired then
      sum = sum + hold.units
    end
  end
  return min(sum, MAX_SAFE_INTEGER)
end

-- A hold with another end, mark or fate.
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

-- Whether a hold is remembered: a place only until it is its turn.
local function is_kept(hold, now_ms)
  return now_ms < hold.expires_at_ms + (hold.waits and 0 or REMEMBERED_MS)
end

-- What is worked on, one bucket at a time: its holds, and what is spent. Once a mark has to sink, the instants and levels
-- of all marks, -1 where a hold has none, in lists that every bucket uses again. `draft_sunk` is by how much more those
-- have sunk that are still to come, where each of them is above the one before it.
local draft_holds, draft_spent
local has_levels, is_rising, draft_sunk
-- Whether `draft_holds` is a list of the draft's own, because a place has become a hold.
local has_begun
local mark_bases, mark_levels = {}, {}

local function begin_draft(spent, holds)
  draft_holds, draft_spent, has_levels, draft_sunk, has_begun = holds, spent, false, 0, false
end

local function is_above(mark, other)
  return mark.base_ms > other.base_ms or (mark.base_ms == other.base_ms and mark.level > other.level)
end

-- The mark of a hold as it stands.
local function mark_at(place)
  local mark = draft_holds[place].mark
  if not has_levels then
    return mark
  end
  return { base_ms = mark.base_ms, level = max(0, mark_levels[place] - draft_sunk), level_per_unit = mark.level_per_unit }
end

-- `first` is where those holds begin that are still to come, when expiries are only thought of; nil when they happen, and
-- all marks matter.
local function begin_levels(given, first)
  for place, hold in ipairs(draft_holds) do
    local mark = hold.mark
    mark_bases[place], mark_levels[place] = mark and mark.base_ms or -1, mark and mark.level or -1
  end
  has_levels, is_rising = true, first ~= nil
  local last = given
  for place = first or 1, #draft_holds do
    local hold = draft_holds[place]
    if hold.mark and not hold.expired and not hold.charges then
      is_rising, last = is_rising and is_above(hold.mark, last), hold.mark
    end
  end
end

-- Gives units of a hold back to a token bucket. What was booked on top of it sinks with it.
local function give_back(limit, given, units, at_ms, first)
  if limit.algorithm ~= token_bucket or not draft_spent then
    return
  end
  local by = token_bucket.returnable(limit, draft_spent, given, units, at_ms)
  -- A state of another unit stays as it is, its end too.
  if by == 0 then
    return
  end
  draft_spent = token_bucket.lowered(limit, draft_spent, by)
  if not has_levels then
    begin_levels(given, first)
  end
  if is_rising then
    draft_sunk = draft_sunk + by
    return
  end
  local base_ms, level = given.base_ms, given.level
  for place = first or 1, #draft_holds do
    -- is_above, written out: this is done for each pair of holds.
    if mark_bases[place] > base_ms or (mark_bases[place] == base_ms and mark_levels[place] > level) then
      mark_levels[place] = max(0, mark_levels[place] - by)
    end
  end
end

-- Makes a place whose turn has come, and whose units have just been spent, the hold that it was taken for. Mirrors takeTurn.
local function begin_hold(place)
  local taken = draft_holds[place]
  local becomes = taken.becomes
  local end_ms = taken.expires_at_ms + becomes.lease_ms
  local count = #draft_holds
  if not has_begun then
    local list = {}
    for at = 1, count do
      list[at] = draft_holds[at]
    end
    draft_holds, has_begun = list, true
  end
  if has_levels then
    -- Its mark is above all others, whose holds may end later.
    for at = 1, count do
      mark_levels[at] = max(0, mark_levels[at] - draft_sunk)
    end
    is_rising, draft_sunk = false, 0
  end
  local at = place
  -- Those that end no later move up. With hundreds of places, to make new lists each time would take too long.
  while at < count and draft_holds[at + 1].expires_at_ms <= end_ms do
    draft_holds[at] = draft_holds[at + 1]
    if has_levels then
      mark_bases[at], mark_levels[at] = mark_bases[at + 1], mark_levels[at + 1]
    end
    at = at + 1
  end
  draft_holds[at] = {
    id = taken.id,
    units = taken.units,
    expires_at_ms = end_ms,
    lease_ms = becomes.lease_ms,
    charges = becomes.charges,
    expired = false,
    mark = draft_spent,
  }
  if has_levels then
    mark_bases[at], mark_levels[at] = draft_spent.base_ms, draft_spent.level
  end
end

-- What becomes of the units of a hold that expires, at the instant of its end. Returns whether it is not in its place any
-- more: it has become a hold that ends later.
local function expire(limit, place, is_thought)
  local hold = draft_holds[place]
  local at_ms = hold.expires_at_ms
  draft_spent = live_at(draft_spent, at_ms)
  if hold.mark then
    if not hold.charges then
      give_back(limit, mark_at(place), hold.units, at_ms, is_thought and place + 1 or nil)
    end
  elseif hold.charges then
    draft_spent = limit.algorithm.book(limit, draft_spent, hold.units, at_ms, is_thought)
    -- What becomes of a hold that is charged when it ends is not thought of: its units are spent already.
    if hold.becomes and not (is_thought and hold.becomes.charges) then
      begin_hold(place)
      return true
    end
  end
  return false
end

-- The holds with their marks as they stand.
local function holds_of_draft()
  if not has_levels then
    return draft_holds
  end
  local list = {}
  for place, hold in ipairs(draft_holds) do
    if hold.mark and hold.mark.level ~= mark_levels[place] then
      hold = changed_hold(hold, hold.expires_at_ms, mark_at(place), hold.expired)
    end
    list[place] = hold
  end
  return list
end

-- What is in a bucket with holds whose state is live and of this algorithm.
local function contents_at(limit, state, now_ms)
  begin_draft(state.spent, state.holds)
  local is_changed = false
  local place, count = 1, #draft_holds
  while place <= count do
    local hold = draft_holds[place]
    local has_moved = false
    if now_ms >= hold.expires_at_ms then
      is_changed = is_changed or not hold.expired or not is_kept(hold, now_ms)
      has_moved = not hold.expired and expire(limit, place, false)
    end
    place = has_moved and place or place + 1
  end
  local spent = live_at(draft_spent, now_ms)
  if not is_changed then
    return spent, state.holds
  end
  local holds = {}
  for _, hold in ipairs(holds_of_draft()) do
    if is_kept(hold, now_ms) then
      if now_ms >= hold.expires_at_ms and not hold.expired then
        hold = changed_hold(hold, hold.expires_at_ms, hold.mark, true)
      end
      holds[#holds + 1] = hold
    end
  end
  return spent, holds
end

-- When a bucket ends whose holds have all expired.
local function end_of(spent, holds)
  local last_ms = holds[#holds].expires_at_ms
  for place = 1, #holds do
    local becomes = holds[place].becomes
    if becomes then
      last_ms = max(last_ms, holds[place].expires_at_ms + becomes.lease_ms)
    end
  end
  return max(spent and spent.expires_at_ms or 0, last_ms + REMEMBERED_MS)
end

-- When a bucket with holds ends, if nothing else happens than that they expire.
local function end_of_held(limit, spent, holds)
  begin_draft(spent, holds)
  local place, count = 1, #holds
  while place <= count do
    local has_moved = not draft_holds[place].expired and expire(limit, place, true)
    place = has_moved and place or place + 1
  end
  return end_of(draft_spent, holds)
end

-- The mark of a hold whose bucket's level is `ahead_ms` ahead of now: it keeps its distance to that.
local function mark_not_ahead(mark, ahead_ms, now_ms)
  local base_ms = max(0, mark.base_ms - ahead_ms)
  if base_ms > now_ms then
    -- Nothing is known of when it was booked: nothing of it is given back.
    return { base_ms = now_ms, level = 0, level_per_unit = mark.level_per_unit }
  elseif base_ms == mark.base_ms then
    return mark
  end
  return { base_ms = base_ms, level = mark.level, level_per_unit = mark.level_per_unit }
end

-- Mirrors notAhead: the state of a bucket with holds, or the same one.
local function held_not_ahead(limit, state, now_ms)
  local spent = state.spent and limit.algorithm.not_ahead(limit, state.spent, now_ms)
  local ahead_ms = limit.algorithm == token_bucket and state.spent and max(0, state.spent.base_ms - now_ms) or 0
  local is_same = spent == state.spent
  local holds, order = {}, {}
  for place, hold in ipairs(state.holds) do
    local end_ms = hold.lease_ms and min(hold.expires_at_ms, now_ms + hold.lease_ms) or hold.expires_at_ms
    local mark = hold.mark and mark_not_ahead(hold.mark, ahead_ms, now_ms)
    if end_ms ~= hold.expires_at_ms or mark ~= hold.mark then
      hold, is_same = changed_hold(hold, end_ms, mark, hold.expired), false
    end
    holds[place], order[hold] = hold, place
  end
  if is_same then
    return state
  end
  table.sort(holds, function(one, other)
    if one.expires_at_ms == other.expires_at_ms then
      return order[one] < order[other]
    end
    return one.expires_at_ms < other.expires_at_ms
  end)
  return {
    algorithm = held_state,
    kind = "held",
    expires_at_ms = end_of_held(limit, spent, holds),
    of = state.of,
    spent = spent,
    holds = holds,
  }
end

-- What a store keeps: nil when there is nothing to keep. `end_ms` is when a bucket with holds ends, if that is known.
local function state_of(limit, spent, holds, end_ms, now_ms)
  if #holds == 0 then
    return live_at(spent, now_ms)
  end
  return {
    algorithm = held_state,
    kind = "held",
    expires_at_ms = end_ms or end_of_held(limit, spent, holds),
    of = limit.algorithm.kind,
    spent = live_at(spent, now_ms),
    holds = holds,
  }
end

-- Units that are not free.
local function used_in(limit, spent, holds, now_ms)
  local used = spent and limit.algorithm.used(limit, spent, now_ms) or 0
  if #holds == 0 then
    return used
  end
  return min(used + held_units(holds), MAX_SAFE_INTEGER)
end

-- At the latest when the state ends: one that another window or rate wrote may end before its units come back by this.
local function wait_ms(limit, spent, units, now_ms)
  if not spent then
    return 0
  end
  return min(limit.algorithm.free_after_ms(limit, spent, units, now_ms), spent.expires_at_ms - now_ms)
end

-- Milliseconds until `units` are free, if nothing else happens than that holds expire and grants end (INFINITY where they
-- never will be). And the end of the bucket, where all its holds will have expired by then.
local function free_after_ms(limit, spent, holds, units, now_ms)
  if #holds == 0 then
    return units > limit.a and INFINITY or wait_ms(limit, spent, units, now_ms)
  end
  begin_draft(spent, holds)
  -- What others hold takes from the capacity, what is granted adds to it.
  local apart = held_units(holds) - granted_in(holds)
  local at_ms = now_ms
  local place, count = 1, #holds
  while place <= count do
    local hold = draft_holds[place]
    local has_moved = false
    if not hold.expired then
      -- Added only where the sum stays below 2^53.
      if units <= limit.a - apart then
        local free_at_ms = at_ms + wait_ms(limit, draft_spent, units + apart, at_ms)
        if free_at_ms < hold.expires_at_ms then
          return free_at_ms - now_ms
        end
      end
      has_moved = expire(limit, place, true)
      if hold.grants then
        apart = apart + hold.units
      elseif not hold.mark then
        apart = apart - hold.units
      end
      at_ms = hold.expires_at_ms
    end
    place = has_moved and place or place + 1
  end
  if units > limit.a then
    return INFINITY
  end
  return at_ms - now_ms + wait_ms(limit, draft_spent, units, at_ms), end_of(draft_spent, holds)
end

-- Milliseconds until units are free behind all places, whatever becomes of holds. Mirrors turnAfterMs.
local function turn_after_ms(limit, spent, holds, units, now_ms)
  local places = {}
  for _, hold in ipairs(holds) do
    if hold.waits then
      if hold.becomes then
        hold = changed_hold(hold, hold.expires_at_ms, nil, false)
        hold.becomes = nil
      end
      places[#places + 1] = hold
    end
  end
  if #places >= MAX_PLACES then
    return INFINITY
  end
  return (free_after_ms(limit, spent, places, units, now_ms))
end

-- Holds, from a place on, with one more, by the end of each; of equal ends the earlier one first.
local function with_hold(holds, first, hold)
  local list = {}
  local count = 0
  local is_in = false
  for place = first, #holds do
    local other = holds[place]
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

local function without(holds, id)
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

-- The next ones: what is in the bucket after an event.

-- Time that has elapsed needs no cost to begin.
local function charged(limit, spent, cost, now_ms)
  if cost == 0 and limit.algorithm ~= elapsed then
    return spent
  end
  return limit.algorithm.book(limit, spent, cost, now_ms)
end

-- @include afterwards.lua

-- What units spend that were admitted at `at_ms`, or now where that is nil.
local function charged_at(limit, spent, cost, at_ms, now_ms)
  if at_ms then
    return charged_afterwards(limit, spent, cost, at_ms, now_ms)
  end
  return charged(limit, spent, cost, now_ms)
end

local function counted(limit, spent, mark, cost, at_ms, now_ms)
  if spent and has_seen(spent, mark) then
    return spent
  end
  local after = charged_at(limit, spent, cost, at_ms, now_ms)
  if at_ms and after == spent then
    -- What belongs to a window that is over was not seen in this one.
    return spent
  end
  return after and after.kind == "counter" and with_seen(after, mark) or after
end

local function after_report(limit, spent, outcome, now_ms)
  if limit.algorithm ~= streak then
    return spent
  end
  if outcome == 0 then
    return nil
  end
  return streak.reported(limit, spent, outcome, now_ms)
end

-- Holds with room for one more: without the first, where that has expired and there would be none.
local function first_kept(holds)
  return #holds >= MAX_HOLDS and holds[1].expired and 2 or 1
end

-- A token bucket is filled, at most to the brim, and everything that was booked on it sinks.
local function filled_up(limit, spent, holds, units, now_ms)
  local by = token_bucket.returnable(limit, spent, spent, units, now_ms)
  local sunk = {}
  for place, hold in ipairs(holds) do
    local mark = hold.mark
    if mark then
      mark = { base_ms = mark.base_ms, level = max(0, mark.level - by), level_per_unit = mark.level_per_unit }
      hold = changed_hold(hold, hold.expires_at_ms, mark, hold.expired)
    end
    sunk[place] = hold
  end
  return token_bucket.lowered(limit, spent, by), sunk
end

local function granted(limit, spent, holds, id, units, lease_ms, now_ms)
  if units == 0 or hold_in(holds, id) then
    return spent, holds
  end
  local expires_at_ms = now_ms + lease_ms
  if limit.algorithm == fixed_window or limit.algorithm == calendar_window then
    expires_at_ms = min(expires_at_ms, spent and spent.expires_at_ms or limit.algorithm.end_of(limit, now_ms))
  end
  local is_level = limit.algorithm == token_bucket
  local grant = {
    id = id,
    units = units,
    expires_at_ms = expires_at_ms,
    lease_ms = lease_ms,
    grants = true,
    expired = is_level,
  }
  local after = with_hold(holds, first_kept(holds), grant)
  if is_level and spent then
    return filled_up(limit, spent, after, units, now_ms)
  end
  return spent, after
end

local function grant_in(holds, id)
  for _, hold in ipairs(holds) do
    if hold.grants and hold.id == id then
      return hold
    end
  end
  return nil
end

-- Mirrors isSameGrant.
local function is_same_grant(limit, hold, units, lease_ms)
  local is_there = not hold.expired or limit.algorithm == token_bucket
  return hold.grants and hold.units == units and hold.lease_ms == lease_ms and is_there
end

-- Holds with a live grant that has ended now.
local function revoked(holds, grant, now_ms)
  local others = {}
  for _, hold in ipairs(holds) do
    if hold ~= grant then
      others[#others + 1] = hold
    end
  end
  return with_hold(others, 1, changed_hold(grant, now_ms, nil, true))
end

local function held(limit, spent, holds, made, now_ms)
  if made.units == 0 then
    return spent, holds
  end
  if limit.algorithm == token_bucket then
    spent = charged(limit, spent, made.units, now_ms)
    made = changed_hold(made, made.expires_at_ms, spent, false)
  end
  if #holds == 0 then
    return spent, { made }
  end
  return spent, with_hold(holds, first_kept(holds), made)
end

local function placed(limit, spent, holds, id, units, at_ms, now_ms)
  if units == 0 or limit.algorithm == elapsed then
    return charged(limit, spent, units, now_ms), holds
  end
  local place = {
    id = id,
    units = units,
    expires_at_ms = at_ms,
    lease_ms = at_ms - now_ms,
    charges = true,
    waits = true,
    expired = false,
  }
  return spent, with_hold(holds, first_kept(holds), place)
end

-- What is in the bucket after units were held for a call that waits until `at_ms`. Mirrors heldFrom.
local function held_from(limit, spent, holds, made, at_ms, now_ms)
  if made.units == 0 then
    return spent, holds
  end
  local hold = changed_hold(made, at_ms + made.lease_ms, nil, false)
  if limit.algorithm == token_bucket then
    hold.expires_at_ms, hold.lease_ms = at_ms, at_ms - now_ms
    hold.charges, hold.waits = true, true
    hold.becomes = { charges = made.charges, lease_ms = made.lease_ms }
  else
    hold.lease_ms = at_ms - now_ms + made.lease_ms
  end
  return spent, with_hold(holds, first_kept(holds), hold)
end

-- What is in the bucket when a hold ends that took so many units, and how many of those have still to be spent.
local function ended(limit, spent, holds, hold, actual, now_ms)
  if not hold then
    return spent, holds, actual
  end
  local is_spent = hold.mark
  if hold.expired then
    is_spent = hold.charges
  end
  begin_draft(spent, without(holds, hold.id))
  if hold.mark and not hold.expired then
    give_back(limit, hold.mark, max(0, hold.units - actual), now_ms)
  end
  return draft_spent, holds_of_draft(), is_spent and max(0, actual - hold.units) or actual
end

local function settled(limit, spent, holds, hold, actual, at_ms, now_ms)
  local rest, others, cost = ended(limit, spent, holds, hold, actual, now_ms)
  return charged_at(limit, rest, cost, at_ms, now_ms), others
end

-- Mirrors raised in src/kernel/bucket/late.ts. `keeps` is whether the store may have kept some of what it lost.
local function raised(limit, spent, holds, id, units, at_ms, kept_ms, keeps, now_ms)
  local algorithm = limit.algorithm
  if algorithm == concurrency or algorithm == elapsed or algorithm == streak then
    return spent, holds
  end
  local memo = hold_in(holds, id)
  local known = memo and memo.units or keeps and used_in(limit, spent, holds, now_ms) or 0
  if units <= known and (memo or not keeps) then
    return spent, holds
  end
  local after = spent
  if units > known then
    after = charged_afterwards(limit, spent, units - known, at_ms, now_ms)
    if after == spent then
      return spent, holds
    end
  end
  local others = {}
  for _, hold in ipairs(holds) do
    if hold ~= memo then
      others[#others + 1] = hold
    end
  end
  local made = {
    id = id,
    units = max(units, known),
    expires_at_ms = now_ms + kept_ms,
    lease_ms = kept_ms,
    is_memo = true,
    expired = true,
  }
  return after, with_hold(others, first_kept(others), made)
end

-- A place keeps its turn.
local function extended(holds, hold, lease_ms, now_ms)
  if hold.becomes then
    local place = changed_hold(hold, hold.expires_at_ms, nil, false)
    local later_ms = max(hold.becomes.lease_ms, now_ms + lease_ms - hold.expires_at_ms)
    place.becomes = { charges = hold.becomes.charges, lease_ms = later_ms }
    return with_hold(without(holds, hold.id), 1, place)
  end
  local longer = changed_hold(hold, max(hold.expires_at_ms, now_ms + lease_ms), hold.mark, false)
  longer.lease_ms = hold.lease_ms and max(hold.lease_ms, lease_ms)
  return with_hold(without(holds, hold.id), 1, longer)
end

local function text_of_hold(hold)
  local text = hold.text
  if text then
    return text
  end
  local letter = hold.grants and (hold.expired and ",G" or ",g")
    or hold.waits and ",p"
    or hold.is_memo and ",M"
    or hold.charges and (hold.expired and ",C" or ",c")
    or (hold.expired and ",R" or ",r")
  text = hold.id .. "," .. text_of[hold.units] .. "," .. text_of[hold.expires_at_ms] .. letter
  if hold.lease_ms then
    text = text .. text_of[hold.lease_ms]
  end
  local mark, becomes = hold.mark, hold.becomes
  if becomes then
    text = text .. (becomes.charges and ",c" or ",r") .. text_of[becomes.lease_ms]
  elseif mark then
    text = text .. "," .. text_of[mark.base_ms] .. "," .. text_of[mark.level] .. "," .. text_of[mark.level_per_unit]
  end
  hold.text = text
  return text
end

local function text_of_holds(holds)
  local texts = {}
  for place, hold in ipairs(holds) do
    texts[place] = text_of_hold(hold)
  end
  return concat(texts, ";")
end

-- Mirrors encodeHeld.
function held_state.encode(state)
  local holds, spent = state.holds, state.spent
  local text = #holds == 1 and text_of_hold(holds[1]) or text_of_holds(holds)
  if not spent then
    return HEADS[state.of] .. text
  end
  return HEADS[state.of] .. text .. " " .. text_of[spent.expires_at_ms] .. " " .. spent.algorithm.encode(spent)
end

-- Digits as they are written: a text that is written again has to be the same.
local function is_whole(digits)
  return (digits == "0" or byte(digits) ~= ZERO) and whole_of(digits)
end

-- The hold that begins at a place of a text, or nil when it is damaged; and where it ends.
local function decode_hold(text, first)
  local _, last, id, units, expires_at_ms, letter, lease_ms =
    find(text, "^([%w_-]+),(%d+),(%d+),([crgpCRGM])(%d*)", first)
  if not last or #id > MAX_ID_LENGTH or (lease_ms ~= "" and not is_whole(lease_ms)) then
    return nil
  end
  local mark, becomes
  if byte(text, last + 1) == COMMA then
    local _, later_last, later_letter, later_ms = find(text, "^,([cr])(%d+)", last + 1)
    if later_last then
      if not is_whole(later_ms) then
        return nil
      end
      last, becomes = later_last, { charges = later_letter == "c", lease_ms = whole_of(later_ms) }
    else
      local base_ms, level, level_per_unit
      _, last, base_ms, level, level_per_unit = find(text, "^,(%d+),(%d+),([1-9]%d*)", last + 1)
      if not last then
        return nil
      end
      mark = { base_ms = instant_of(base_ms), level = instant_of(level), level_per_unit = instant_of(level_per_unit) }
      if not mark.base_ms or not mark.level or not mark.level_per_unit then
        return nil
      end
    end
  end
  units, expires_at_ms = whole_of(units), instant_of(expires_at_ms)
  if becomes and expires_at_ms and expires_at_ms + becomes.lease_ms > MAX_INSTANT then
    return nil
  end
  if not units or not expires_at_ms or (lease_ms ~= "" and not instant_of(lease_ms)) then
    return nil
  end
  local hold = {
    id = id,
    units = units,
    expires_at_ms = expires_at_ms,
    lease_ms = lease_ms ~= "" and instant_of(lease_ms) or nil,
    charges = letter == "c" or letter == "C" or letter == "p",
    grants = letter == "g" or letter == "G",
    waits = letter == "p",
    becomes = becomes,
    is_memo = letter == "M",
    expired = letter == "C" or letter == "R" or letter == "G" or letter == "M",
    mark = mark,
    text = sub(text, first, last),
  }
  return hold, last
end

-- Mirrors decodeHeld.
function held_state.decode(text, expires_at_ms)
  local letter = match(text, "^h1 ([csgnek]) ")
  if not letter or expires_at_ms > MAX_SAFE_INTEGER then
    return nil
  end
  local holds = {}
  local last, before_ms = 5, 0
  repeat
    local hold
    hold, last = decode_hold(text, last + 1)
    if not hold or hold.expires_at_ms < before_ms then
      return nil
    elseif hold.mark and (letter ~= "g" or hold.grants or hold.waits or hold.is_memo) then
      return nil
    elseif hold.becomes and (letter ~= "g" or not hold.waits) then
      return nil
    end
    holds[#holds + 1], before_ms = hold, hold.expires_at_ms
    last = last + 1
  until byte(text, last) ~= SEMICOLON
  -- Numbers of ours never begin with a 0; holds that somebody else wrote get texts of ours.
  if find(text, ",0%d") then
    for _, hold in ipairs(holds) do
      hold.text = nil
    end
  end
  local spent
  if last <= #text then
    local spent_expires_at_ms, spent_text = match(text, "^ (%d+) (.+)$", last)
    spent_expires_at_ms = spent_text and whole_of(spent_expires_at_ms)
    spent = spent_expires_at_ms and decode_spent(spent_text, spent_expires_at_ms)
    if not spent or spent.kind ~= KINDS[letter] then
      return nil
    end
  end
  return {
    algorithm = held_state,
    kind = "held",
    expires_at_ms = expires_at_ms,
    of = KINDS[letter],
    spent = spent,
    holds = holds,
  }
end
