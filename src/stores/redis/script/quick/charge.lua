-- Replies to a request that the quick way can decide, and charges it where it is allowed.
-- Mirrors decide-fast: decidePlain; algorithms/rules/counter: counterFreeAfterMs, spentIn, withSpent
-- Uses apply: shape_steps, step_count; batch: args, before_shapes, position, replied, replies; keys: changed, counts,
--   ends; quick/decide: allowed, fits, shape; quick/limits: charge_level, limits

replied = replied + 1
replies[replied] = fits and FITS or allowed and ALLOWED or FIRM
for step = 1, step_count do
  local key, number, cost = args[position + 1 + step], shape_steps[2 * step - 1], shape_steps[2 * step]
  local limit = limits[number < 0 and -number or number]
  local needed, units, left_ms, retry_ms = cost > 0 and cost or 1, nil, nil, nil
  if not limit.new_end_ms then
    units, left_ms, retry_ms = charge_level(limit, key, allowed and cost or 0, needed)
  else
    local before, end_ms = counts[key], ends[key]
    units = before
    if allowed and cost > 0 then
      units = before + cost
      if end_ms == 0 or limit.is_extended and end_ms < limit.new_end_ms then
        end_ms = limit.new_end_ms
        ends[key], changed[key] = end_ms, true
      end
      -- As text, as the cost came, a number is written faster.
      local raised = changed[key]
      raised = raised == true or raised and raised + cost or args[shape + before_shapes + 2 * step]
      counts[key], changed[key] = units, raised
    end
    left_ms = units > 0 and end_ms - now_ms or 0
    retry_ms = needed <= limit.capacity - before and 0 or needed > limit.capacity and -1 or left_ms
  end
  replies[replied + 1], replies[replied + 2] = units, left_ms
  replied = replied + 2
  if not fits then
    replied = replied + 1
    replies[replied] = retry_ms
  end
end
position = position + 1 + step_count
