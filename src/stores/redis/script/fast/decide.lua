-- The fast path: requests that have a shape, on keys that hold counters, levels or nothing. Most requests are such.
-- Mirrors decide-fast: decidePlain
-- Uses batch: position, replied, replies, requests, shapes; fast/counters: charge_counter, claim_count;
--   fast/token-buckets: charge_level, level_used; keys: counts, ends; limits: limits

local function charge_fast(limit, key, cost, needed)
  if limit.new_end_ms then
    return charge_counter(limit, key, cost, needed)
  end
  return charge_level(limit, key, cost, needed)
end

-- Units used of a limit, or nil where the fast path cannot tell.
local function fast_used(limit, key)
  if limit.new_end_ms then
    local units = counts[key] or claim_count(key)
    -- Only the general path shortens an end that a clock wrote which was ahead.
    return units and ends[key] <= limit.latest_end_ms and units or nil
  elseif limit.code == TOKEN_BUCKET then
    return (level_used(limit, key))
  end
  return nil
end

-- The shape that was read last, and its steps: limits, costs, units that must be free, and which are in shadow.
local shape_read, step_count, is_any_stale
local step_limits, step_costs, step_needs, step_shadows = {}, {}, {}, {}

local function read_shape(shape)
  shape_read, step_count, is_any_stale = shape, shapes[shape], false
  for step = 1, step_count do
    local number, cost = shapes[shape + 2 * step - 1], shapes[shape + 2 * step]
    local limit = limits[abs(number)]
    step_limits[step], step_costs[step], step_needs[step], step_shadows[step] = limit, cost, max(1, cost), number < 0
    is_any_stale = is_any_stale or limit.is_stale
  end
end

-- Decides the next request. Returns whether it is booked; nil where only the general path can tell, and nothing is changed.
local function decide_fast(shape)
  if shape ~= shape_read then
    read_shape(shape)
  end
  local fits, allowed = true, true
  local first = position + 1
  for step = 1, step_count do
    local key, limit = requests[first + step], step_limits[step]
    local units = fast_used(limit, key)
    if not units or is_any_stale then
      return nil
    elseif step_needs[step] > limit.capacity - units then
      fits, allowed = false, allowed and step_shadows[step]
    end
  end
  local last = replied + 1
  replies[last] = fits and FITS or allowed and ALLOWED or FIRM
  for step = 1, step_count do
    local key, limit, cost, needed = requests[first + step], step_limits[step], step_costs[step], step_needs[step]
    local units, left_ms, retry_ms = charge_fast(limit, key, allowed and cost or 0, needed)
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
