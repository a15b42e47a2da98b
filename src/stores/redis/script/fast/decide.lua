-- The fast path: requests that have a shape, on keys that hold counters, levels or nothing. Most requests are such.
-- Mirrors decide-fast: decidePlain
-- Uses batch: position, replied, replies, requests, shapes; fast/counters: charge_counter, counter_used;
--   fast/token-buckets: charge_level, level_used; limits: limits

local function used_unknown()
  return nil
end

-- Of each limit: used, the units used, nil where the fast path cannot tell; charge, which charges what `used` can tell.
for _, limit in ipairs(limits) do
  if limit.new_end_ms then
    limit.used, limit.charge = counter_used, charge_counter
  elseif limit.code == TOKEN_BUCKET then
    limit.used, limit.charge = level_used, charge_level
  else
    limit.used = used_unknown
  end
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
  if is_any_stale then
    return nil
  end
  local fits, allowed = true, true
  local first = position + 1
  for step = 1, step_count do
    local limit = step_limits[step]
    local units = limit.used(limit, requests[first + step])
    if not units then
      return nil
    elseif step_needs[step] > limit.capacity - units then
      fits, allowed = false, allowed and step_shadows[step]
    end
  end
  local last = replied + 1
  replies[last] = fits and FITS or allowed and ALLOWED or FIRM
  for step = 1, step_count do
    local limit, cost = step_limits[step], allowed and step_costs[step] or 0
    local units, left_ms, retry_ms = limit.charge(limit, requests[first + step], cost, not fits and step_needs[step])
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
