-- The short way: requests that have a shape, on keys that hold plain counters or nothing. Mirrors decide for those, which
-- are most of all requests.

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
    local key = requests[first + step]
    local units = counts[key] or count_in(key)
    if not units or is_any_stale then
      return nil
    elseif step_needs[step] > step_limits[step].a - units then
      fits, allowed = false, allowed and step_shadows[step]
    end
  end
  local last = replied + 1
  replies[last] = fits and FITS or allowed and ALLOWED or FIRM
  for step = 1, step_count do
    local key, cost = requests[first + step], step_costs[step]
    local had, end_ms = counts[key], ends[key]
    local units = had
    if allowed and cost > 0 then
      local limit = step_limits[step]
      units = had + cost
      if end_ms == 0 or limit.slides and end_ms < limit.end_ms then
        end_ms = limit.end_ms
        ends[key] = end_ms
      end
      counts[key], changed[key] = units, true
    end
    local left_ms = units > 0 and end_ms - now_ms or 0
    replies[last + 1], replies[last + 2] = units, left_ms
    last = last + 2
    if not fits then
      local needed, quota = step_needs[step], step_limits[step].a
      last = last + 1
      replies[last] = needed <= quota - had and 0 or needed > quota and -1 or left_ms
    end
  end
  replied, position = last, first + step_count
  return allowed
end
