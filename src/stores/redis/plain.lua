-- The short way: requests that have a shape, on keys that hold plain counters or nothing. Mirrors decide for those, which
-- are most of all requests.

-- Decides the next request. Returns whether it is booked; nil where only the general way can tell, and nothing is changed.
local function decide_plainly(shape)
  local first = position + 1
  local count = shapes[shape]
  local fits, allowed = true, true
  for step = 1, count do
    local key, number, cost = requests[first + step], shapes[shape + 2 * step - 1], shapes[shape + 2 * step]
    local limit = limits[number < 0 and -number or number]
    local units = counts[key] or count_in(key)
    if not units or limit.is_stale then
      return nil
    end
    if (cost > 0 and cost or 1) > limit.a - units then
      fits, allowed = false, allowed and number < 0
    end
  end
  local last = replied + 1
  replies[last] = fits and FITS or allowed and ALLOWED or FIRM
  for step = 1, count do
    local key, number, cost = requests[first + step], shapes[shape + 2 * step - 1], shapes[shape + 2 * step]
    local limit = limits[number < 0 and -number or number]
    local before, end_ms = counts[key], ends[key]
    local units = before
    if allowed and cost > 0 then
      units = before + cost
      if end_ms == 0 or limit.slides and end_ms < limit.end_ms then
        end_ms = limit.end_ms
      end
      counts[key], ends[key], changed[key] = units, end_ms, true
    end
    local left_ms = units > 0 and end_ms - now_ms or 0
    replies[last + 1], replies[last + 2] = units, left_ms
    last = last + 2
    if not fits then
      local needed = cost > 0 and cost or 1
      last = last + 1
      replies[last] = needed <= limit.a - before and 0 or needed > limit.a and -1 or left_ms
    end
  end
  replied, position = last, first + count
  return allowed
end
