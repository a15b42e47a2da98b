-- Mirrors budget.ts, fixed-window.ts and counter.ts in src/kernel/algorithms: units spent until an instant.
-- A limit's numbers: a quota; b ttl or window in ms; c 1 when the ttl runs from the first charge, or windows begin with
-- it. Of a calendar: a quota; b, c, d where two windows begin, and where they end, in ms since 1970.

local budget = { kind = "counter", is_firm = true }
local fixed_window = { kind = "counter", is_firm = true }
local calendar_window = { kind = "counter", is_firm = true }

local MAX_SEEN = 1000
local MARK_LENGTH = 16

local function used(limit, state)
  return state.spent
end

local function free_after_ms(limit, state, units, now_ms)
  if units <= limit.a - state.spent then
    return 0
  end
  return state.expires_at_ms - now_ms
end

-- One that is only thought of lasts until the next one is.
local thought = { algorithm = budget, kind = "counter" }

local function counter(spent, expires_at_ms, is_thought, seen)
  if is_thought then
    thought.spent, thought.expires_at_ms = spent, expires_at_ms
    return thought
  end
  return { algorithm = budget, kind = "counter", spent = spent, expires_at_ms = expires_at_ms, seen = seen }
end

-- Whether a bucket has seen a value before, by its mark.
local function has_seen(state, mark)
  return state.seen ~= nil and find(state.seen, mark, 1, true) ~= nil
end

-- The counter, and that it has seen a value.
local function with_seen(state, mark)
  local seen = state.seen
  if not seen then
    seen = mark
  elseif #seen < MAX_SEEN * (MARK_LENGTH + 1) - 1 then
    seen = seen .. "," .. mark
  end
  return counter(state.spent, state.expires_at_ms, nil, seen)
end

local function spent_after(state, cost)
  return state.spent + min(cost, MAX_SAFE_INTEGER - state.spent)
end

local function book(limit, state, cost, now_ms, is_thought)
  if not state then
    return counter(cost, window_end(limit, now_ms), is_thought)
  end
  local expires_at_ms = state.expires_at_ms
  if limit.slides then
    expires_at_ms = max(expires_at_ms, window_end(limit, now_ms))
  end
  return counter(spent_after(state, cost), expires_at_ms, is_thought, state.seen)
end

local function not_ahead(limit, state)
  if state.expires_at_ms <= limit.last_ms then
    return state
  end
  return counter(state.spent, limit.last_ms, nil, state.seen)
end

for _, algorithm in ipairs({ budget, fixed_window, calendar_window }) do
  algorithm.not_ahead = not_ahead
  algorithm.used, algorithm.free_after_ms, algorithm.end_of, algorithm.book = used, free_after_ms, window_end, book
end

function budget.encode(state)
  if state.seen then
    return "c1 " .. text_of[state.spent] .. " " .. state.seen
  end
  return text_of[state.spent]
end

-- The marks of values are each as long, and joined by commas.
local function are_marks(text)
  if (#text + 1) % (MARK_LENGTH + 1) ~= 0 then
    return false
  end
  for first = 1, #text, MARK_LENGTH + 1 do
    local mark, separator = sub(text, first, first + MARK_LENGTH - 1), sub(text, first + MARK_LENGTH, first + MARK_LENGTH)
    if find(mark, "[^0-9a-f]") or (separator ~= "," and separator ~= "") then
      return false
    end
  end
  return true
end

local function decode_seen(text, expires_at_ms)
  local spent, seen = match(text, "^c1 (%d+) (%S+)$")
  if not spent or not are_marks(seen) then
    return nil
  end
  local state = budget.decode(spent, expires_at_ms)
  return state and counter(state.spent, expires_at_ms, nil, seen)
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
