-- Units in ten sub-windows and the current one.
-- Mirrors algorithms/sliding-window: fitted, freeAtMs, slidingWindow
-- Uses texts: text_of, whole_of

local sliding_window = { letter = "s", is_firm = true }

local MAX_COUNTS = SUB_WINDOWS + 1

-- `newest` is the number of the newest sub-window since 1970; `counts` are units by sub-window, the newest first.
function sliding_window.state(sub_window_ms, newest, counts, expires_at_ms)
  return {
    algorithm = sliding_window,
    expires_at_ms = expires_at_ms,
    sub_window_ms = sub_window_ms,
    newest = newest,
    counts = counts,
  }
end

local function sub_window_ms_of(limit)
  return ceil(limit.window_ms / SUB_WINDOWS)
end

local function free_at_ms(limit, sub_window)
  return (sub_window + 1) * sub_window_ms_of(limit) - 1 + limit.window_ms
end

-- The number of the newest sub-window, and the counts, in the sub-windows of this limit.
local function fitted(limit, state)
  local sub_window_ms = sub_window_ms_of(limit)
  if state.sub_window_ms == sub_window_ms then
    return state.newest, state.counts
  end
  local sum = 0
  for _, count in ipairs(state.counts) do
    sum = sum + count
  end
  local last_ms = (state.newest + 1) * state.sub_window_ms - 1
  return floor(last_ms / sub_window_ms), { sum }
end

function sliding_window.is_in_window(limit, state, at_ms, now_ms)
  return now_ms < free_at_ms(limit, floor(at_ms / sub_window_ms_of(limit)))
end

-- The state without units in one sub-window, the newest of the state `alone`. A state of another window length stays as it is.
function sliding_window.take_back(limit, state, alone, units)
  local index = state.newest - alone.newest + 1
  local count = state.counts[index]
  if state.sub_window_ms ~= alone.sub_window_ms or not count then
    return state
  end
  local counts = { unpack(state.counts) }
  counts[index] = max(0, count - units)
  return sliding_window.state(state.sub_window_ms, state.newest, counts, state.expires_at_ms)
end

function sliding_window.end_of(limit, now_ms)
  return free_at_ms(limit, floor(now_ms / sub_window_ms_of(limit)))
end

function sliding_window.used(limit, state, now_ms)
  local newest, counts = fitted(limit, state)
  local sum = 0
  for index, count in ipairs(counts) do
    if now_ms < free_at_ms(limit, newest - index + 1) then
      sum = sum + count
    end
  end
  return sum
end

function sliding_window.free_after_ms(limit, state, units, now_ms)
  local newest, counts = fitted(limit, state)
  local left = sliding_window.used(limit, state, now_ms)
  local wait_ms = 0
  for index = #counts, 1, -1 do
    if units <= limit.capacity - left then
      break
    end
    local free_at = free_at_ms(limit, newest - index + 1)
    if now_ms < free_at then
      left = left - counts[index]
      wait_ms = free_at - now_ms
    end
  end
  return wait_ms
end

function sliding_window.book(limit, state, cost, now_ms)
  local sub_window_ms = sub_window_ms_of(limit)
  local newest = floor(now_ms / sub_window_ms)
  local counts = { cost }
  if state then
    local old_newest, old_counts = fitted(limit, state)
    newest = max(newest, old_newest)
    counts[1] = min(cost, MAX_SAFE_INTEGER - sliding_window.used(limit, state, now_ms))
    for old_index, count in ipairs(old_counts) do
      local index = newest - old_newest + old_index
      if count > 0 and now_ms < free_at_ms(limit, newest - index + 1) then
        for gap = #counts + 1, index do
          counts[gap] = 0
        end
        counts[index] = counts[index] + count
      end
    end
  end
  return sliding_window.state(sub_window_ms, newest, counts, free_at_ms(limit, newest))
end

function sliding_window.not_ahead(limit, state, now_ms)
  local sub_window_ms, counts = state.sub_window_ms, state.counts
  local by = state.newest - floor(now_ms / sub_window_ms)
  if by <= 0 then
    return state
  end
  -- Everything that was counted ahead of now counts as of now.
  local rest = { 0 }
  for index, count in ipairs(counts) do
    if index <= by + 1 then
      rest[1] = rest[1] + count
    else
      rest[index - by] = count
    end
  end
  return sliding_window.state(sub_window_ms, state.newest - by, rest, state.expires_at_ms - by * sub_window_ms)
end

function sliding_window.encode(state)
  local counts = {}
  for index, count in ipairs(state.counts) do
    counts[index] = text_of[count]
  end
  return "s1 " .. text_of[state.sub_window_ms] .. " " .. text_of[state.newest] .. " " .. concat(counts, ",")
end

function sliding_window.decode(text, expires_at_ms)
  local sub_window, last, list = match(text, "^s1 ([1-9]%d*) (%d+) (.+)$")
  local sub_window_ms, newest = whole_of(sub_window), whole_of(last)
  if not sub_window_ms or not newest then
    return nil
  elseif newest > MAX_INSTANT_MS / sub_window_ms - MAX_COUNTS or newest * sub_window_ms > expires_at_ms then
    return nil
  end
  local counts, sum = {}, 0
  for item in gmatch(list .. ",", "([^,]*),") do
    local count = find(item, "^%d+$") and whole_of(item)
    if not count or #counts == MAX_COUNTS or count > MAX_SAFE_INTEGER - sum then
      return nil
    end
    counts[#counts + 1], sum = count, sum + count
  end
  return sliding_window.state(sub_window_ms, newest, counts, expires_at_ms)
end
