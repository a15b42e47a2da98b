-- Units spent until an instant: budgets, windows and windows of a calendar.
-- Mirrors algorithms/counter: counterFacts, endedBy, hasSeen, withSeen, withSpent; algorithms/budget: budget;
--   algorithms/fixed-window: fixedWindow
-- Uses counters: number_of; limits: window_end; texts: canonical_of, text_of

local counter = { letter = "c", is_firm = true, end_of = window_end }

-- `seen`: of a limit that counts values, the hashes of those that it has seen, each as long, joined by commas.
function counter.state(spent, expires_at_ms, seen)
  return { algorithm = counter, spent = spent, expires_at_ms = expires_at_ms, seen = seen }
end

function counter.has_seen(state, value_hash)
  return state.seen ~= nil and find(state.seen, value_hash, 1, true) ~= nil
end

function counter.with_seen(state, value_hash)
  local seen = state.seen
  if not seen then
    seen = value_hash
  elseif #seen < MAX_SEEN * (VALUE_HASH_LENGTH + 1) - 1 then
    seen = seen .. "," .. value_hash
  end
  return counter.state(state.spent, state.expires_at_ms, seen)
end

-- `scratch` is a counter that the result may be written over: an expiry that is only worked out makes no new one for each
-- entry.
function counter.book(limit, state, cost, now_ms, scratch)
  local spent, expires_at_ms, seen = cost, nil, nil
  if state then
    spent = state.spent + min(cost, MAX_SAFE_INTEGER - state.spent)
    expires_at_ms, seen = state.expires_at_ms, state.seen
    if limit.is_extended then
      expires_at_ms = max(expires_at_ms, window_end(limit, now_ms))
    end
  else
    expires_at_ms = window_end(limit, now_ms)
  end
  if not scratch then
    return counter.state(spent, expires_at_ms, seen)
  end
  scratch.spent, scratch.expires_at_ms = spent, expires_at_ms
  return scratch
end

function counter.used(limit, state)
  return state.spent
end

function counter.free_after_ms(limit, state, units, now_ms)
  return units <= limit.capacity - state.spent and 0 or state.expires_at_ms - now_ms
end

function counter.not_ahead(limit, state)
  local latest_ms = limit.latest_end_ms
  return state.expires_at_ms > latest_ms and counter.state(state.spent, latest_ms, state.seen) or state
end

function counter.take_back(limit, state, alone, cost)
  return counter.state(max(0, state.spent - cost), state.expires_at_ms, state.seen)
end

-- Whether an earlier policy had a longer window, which has been cut: where it began is not known.
local function is_cut(limit, end_ms, length_ms)
  if limit.code == CALENDAR_WINDOW then
    return end_ms ~= limit.start_ms and end_ms ~= limit.middle_ms and end_ms ~= limit.end_ms
  elseif limit.is_first_use == 0 then
    return end_ms % length_ms ~= 0
  end
  return end_ms - length_ms >= now_ms
end

function counter.is_in_window(limit, state, at_ms)
  if not state or limit.is_extended then
    return true
  end
  local end_ms, length_ms = state.expires_at_ms, limit.latest_end_ms - now_ms
  if is_cut(limit, end_ms, length_ms) then
    return now_ms - at_ms < length_ms
  elseif limit.code == CALENDAR_WINDOW then
    -- The last boundary before the end of the state.
    return at_ms >= (limit.middle_ms < end_ms and limit.middle_ms or limit.start_ms < end_ms and limit.start_ms or 0)
  end
  return at_ms >= end_ms - length_ms
end

-- When the window ends that takes a grant along. A budget takes none.
function counter.window_ends_at_ms(limit, state, now_ms)
  if limit.code == BUDGET then
    return INFINITY
  end
  return state and state.expires_at_ms or window_end(limit, now_ms)
end

function counter.encode(state)
  local units = text_of[state.spent]
  return state.seen and "c1 " .. units .. " " .. state.seen or units
end

-- The pattern of a hash with the comma behind it.
local VALUE_HASH = string.rep("[0-9a-f]", VALUE_HASH_LENGTH) .. ","

function counter.decode(text, expires_at_ms)
  local spent, digits, seen = number_of[text], nil, nil
  if not spent then
    digits, seen = match(text, "^c1 (%d+) (%S+)$")
    spent = canonical_of(digits or match(text, "^%d+$"))
    if not spent or (seen and string.gsub(seen .. ",", VALUE_HASH, "") ~= "") then
      return nil
    end
  end
  return counter.state(spent, expires_at_ms, seen)
end
