-- The short way: requests that have a shape, on keys that hold plain counters, levels or nothing. Mirrors decide for those, which
-- are most of all requests.

-- Charges a counter that the short way has. Returns the units used, and in how many ms all are free, and `needed` were before.
local function charge_counter(limit, key, cost, needed)
  local had, end_ms = counts[key], ends[key]
  local units = had
  if cost > 0 then
    units = had + cost
    if end_ms == 0 or limit.slides and end_ms < limit.end_ms then
      end_ms = limit.end_ms
      ends[key] = end_ms
    end
    counts[key], changed[key] = units, true
  end
  local left_ms = units > 0 and end_ms - now_ms or 0
  return units, left_ms, needed <= limit.a - had and 0 or needed > limit.a and -1 or left_ms
end

-- Likewise a level.
local function charge_level(limit, key, cost, needed)
  local fits = needed <= limit.a - level_used(limit, key)
  if cost > 0 then
    book_level(limit, key, cost)
  end
  local units, level = level_used(limit, key)
  local retry_ms = fits and 0 or needed > limit.a and -1 or level_wait_ms(limit, key, level, needed)
  return units, level_wait_ms(limit, key, level, limit.a), retry_ms
end

-- Either..
local function charge_plainly(limit, key, cost, needed)
  if limit.end_ms then
    return charge_counter(limit, key, cost, needed)
  end
  return charge_level(limit, key, cost, needed)
end

-- Units used of a limit, or nil where the short way cannot tell.
local function plain_used(limit, key)
  if limit.end_ms then
    local units = counts[key] or count_in(key)
    -- Only the general way shortens what a clock that was ahead wrote.
    return units and ends[key] <= limit.last_ms and units or nil
  elseif limit.of == TOKEN_BUCKET then
    return (level_used(limit, key))
  end
  return nil
end

-- The shape that was read last, and its steps: limits, costs, units that must be free, and whether they are in shadow.
local shape_read, step_count, is_any_stale
local step_limits, step_costs, step_needs, step_shadows = {}, {}, {}, {}

local function read_shape(shape)
  shape_read, step_count, is_any_stale = shape, shapes[shape], false
  for step = 1, step_count do
    local number, cost = shapes[shape + 2 * step - 1], shapes[shape + 2 * step]
    local limit = limits[max(number, -number)]
    step_limits[step], step_costs[step], step_needs[step], step_shadows[step] = limit, cost, max(1, cost), number < 0
    is_any_stale = is_any_stale or limit.is_stale
  end
end

-- Decides the next request. Returns whether it is booked; nil where only the general way can tell, and nothing is changed.
local function decide_plainly(shape)
  if shape ~= shape_read then
    read_shape(shape)
  end
  local fits, allowed = true, true
  local first = position + 1
  for step = 1, step_count do
    local key, limit = requests[first + step], step_limits[step]
    local units = plain_used(limit, key)
    if not units or is_any_stale then
      return nil
    elseif step_needs[step] > limit.a - units then
      fits, allowed = false, allowed and step_shadows[step]
    end
  end
  local last = replied + 1
  replies[last] = fits and FITS or allowed and ALLOWED or FIRM
  for step = 1, step_count do
    local key, limit, cost, needed = requests[first + step], step_limits[step], step_costs[step], step_needs[step]
    local units, left_ms, retry_ms = charge_plainly(limit, key, allowed and cost or 0, needed)
    replies[last + 1], replies[last + 2] = units, left_ms
    last = last + 2
    if not fits then
      last = last + 1
      replies[last] = retry_ms
    end
  end
  replied, position = last, first + step_count
  return allowed
end
