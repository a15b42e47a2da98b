-- The quick way for one request: it charges counters and token buckets that are there as numbers, or nothing is there. Nearly all
-- requests are such. In Lua a function takes as long to make as a request to decide: so this is none, and stands in a loop.
-- Mirrors decide-fast: decidePlain; algorithms/rules/counter: counterFreeAfterMs, spentIn, withSpent
-- Uses apply: shape_read, shape_steps, step_count; batch: args, before_shapes, position; keys: counts, ends,
--   kept_texts, levels, states, values; quick/limits: level_used, limits; quick/terms: earlier

-- Where the request's shape is in `args`, behind what its keys follow, and the key under which its answer is kept. `fits`: nil where
-- only the general path can tell.
local shape, before_keys, once_key, fits, allowed = args[position + 1], position + 1, nil, nil, true
if shape < NO_SHAPE then
  shape, before_keys, once_key = -shape, position + 3, args[position + 2]
end
if shape ~= NO_SHAPE and not earlier then
  fits = true
  if shape ~= shape_read then
    local at = shape + before_shapes
    shape_read, step_count, shape_steps = shape, args[at], { args[at + 1], args[at + 2] + 0 }
    for step = 3, 2 * step_count, 2 do
      shape_steps[step], shape_steps[step + 1] = args[at + step], args[at + step + 1] + 0
    end
  end
end
-- Where anything is kept there, only the general path knows what it is.
if once_key and (values[once_key] or counts[once_key] or levels[once_key] or kept_texts[once_key] or states[once_key] ~= nil) then
  fits = nil
elseif once_key and call("EXISTS", keys[once_key]) == 1 then
  fits = nil
end
for step = 1, fits and step_count or 0 do
  local key, number, cost = args[before_keys + step], shape_steps[2 * step - 1], shape_steps[2 * step]
  local limit, units = limits[number < 0 and -number or number], counts[key]
  if not limit.new_end_ms then
    units = limit.code == TOKEN_BUCKET and level_used(limit, key) or nil
  elseif not units and states[key] == nil and not levels[key] and not kept_texts[key] then
    local text, end_ms = values[key], 0
    if text then
      units = (text == "0" or find(text, "^[1-9]%d*$")) and text + 0
      if units then
        end_ms = call("PEXPIRETIME", keys[key])
        units = end_ms > now_ms and max(units, end_ms) <= MAX_INSTANT_MS and units
      end
    elseif call("EXISTS", keys[key]) == 0 then
      units = 0
    end
    if units then
      counts[key], ends[key] = units, end_ms
    end
  end
  -- Only the general path shortens an end that a clock wrote which was ahead.
  if not units or limit.is_stale or limit.new_end_ms and ends[key] > limit.latest_end_ms then
    fits = nil
    break
  elseif (cost > 0 and cost or 1) > limit.capacity - units then
    fits, allowed = false, allowed and number < 0
  end
end
