-- Units spent until an instant: budgets, windows and windows of a calendar.
-- Mirrors algorithms/counter: counterFacts, endedBy, hasSeen, withSeen, withSpent; algorithms/budget: budget;
--   algorithms/fixed-window: fixedWindow
-- Uses limits: window_end; texts: text_of

local budget = { kind = "counter", letter = "c", is_firm = true }
local fixed_window = { kind = "counter", letter = "c", is_firm = true }
local calendar_window = { kind = "counter", letter = "c", is_firm = true }

-- `seen`: of a limit that counts values, the hashes of those that it has seen, each as long, joined by commas.
local function counter(spent, expires_at_ms, seen)
  return { algorithm = budget, kind = "counter", spent = spent, expires_at_ms = expires_at_ms, seen = seen }
end

local function has_seen(state, value_hash)
  return state.seen ~= nil and find(state.seen, value_hash, 1, true) ~= nil
end

local function with_seen(state, value_hash)
  local seen = state.seen
  if not seen then
    seen = value_hash
  elseif #seen < MAX_SEEN * (VALUE_HASH_LENGTH + 1) - 1 then
    seen = seen .. "," .. value_hash
  end
  return counter(state.spent, state.expires_at_ms, seen)
end

-- `scratch` is a counter that the result may be written over: an expiry that is only worked out makes no new one for each hold.
local function book(limit, state, cost, now_ms, scratch)
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
    return counter(spent, expires_at_ms, seen)
  end
  scratch.spent, scratch.expires_at_ms = spent, expires_at_ms
  return scratch
end

local function used(limit, state)
  return state.spent
end

local function free_after_ms(limit, state, units, now_ms)
  if units <= limit.capacity - state.spent then
    return 0
  end
  return state.expires_at_ms - now_ms
end

local function not_ahead(limit, state)
  if state.expires_at_ms <= limit.latest_end_ms then
    return state
  end
  return counter(state.spent, limit.latest_end_ms, state.seen)
end

local function take_back(limit, state, alone, cost)
  return counter(max(0, state.spent - cost), state.expires_at_ms, state.seen)
end

function budget.is_in_window(limit, state, at_ms)
  return limit.is_from_first == 0 or not state or at_ms >= state.expires_at_ms - limit.ttl_ms
end

function fixed_window.is_in_window(limit, state, at_ms)
  return not state or at_ms >= state.expires_at_ms - limit.window_ms
end

function calendar_window.is_in_window(limit, state, at_ms)
  local end_ms = state and state.expires_at_ms or 0
  return at_ms
    >= (
      limit.end_ms < end_ms and limit.end_ms
      or limit.middle_ms < end_ms and limit.middle_ms
      or limit.start_ms < end_ms and limit.start_ms
      or 0
    )
end

-- When the window ends that takes a grant along.
local function window_ends_at_ms(limit, state, now_ms)
  return state and state.expires_at_ms or window_end(limit, now_ms)
end

fixed_window.window_ends_at_ms, calendar_window.window_ends_at_ms = window_ends_at_ms, window_ends_at_ms

for _, algorithm in ipairs({ budget, fixed_window, calendar_window }) do
  algorithm.take_back = take_back
  algorithm.not_ahead = not_ahead
  algorithm.used, algorithm.free_after_ms, algorithm.end_of, algorithm.book = used, free_after_ms, window_end, book
end

function budget.encode(state)
  if state.seen then
    return "c1 " .. text_of[state.spent] .. " " .. state.seen
  end
  return text_of[state.spent]
end

local function are_value_hashes(text)
  if (#text + 1) % (VALUE_HASH_LENGTH + 1) ~= 0 then
    return false
  end
  for first = 1, #text, VALUE_HASH_LENGTH + 1 do
    local behind = first + VALUE_HASH_LENGTH
    local value_hash, separator = sub(text, first, behind - 1), sub(text, behind, behind)
    if find(value_hash, "[^0-9a-f]") or (separator ~= "," and separator ~= "") then
      return false
    end
  end
  return true
end

local function decode_seen(text, expires_at_ms)
  local spent, seen = match(text, "^c1 (%d+) (%S+)$")
  if not spent or not are_value_hashes(seen) then
    return nil
  end
  local state = budget.decode(spent, expires_at_ms)
  return state and counter(state.spent, expires_at_ms, seen)
end

function budget.decode(text, expires_at_ms)
  if byte(text, 1) == byte("c") then
    return decode_seen(text, expires_at_ms)
  end
  local spent = (text == "0" or find(text, "^[1-9]%d*$")) and tonumber(text)
  if expires_at_ms > MAX_SAFE_INTEGER then
    return nil
  end
  return spent and spent <= MAX_SAFE_INTEGER and counter(spent, expires_at_ms) or nil
end
