-- Replies to a request that the quick way can decide, and charges it where it is allowed.
-- Mirrors decide-fast: decidePlain; algorithms/rules/counter: counterFreeAfterMs, spentIn, withSpent
-- Uses apply: shape_steps, step_count; batch: args, before_shapes, position, replied, replies; keys: changed, counts,
--   ends, kept_texts, none; quick/decide: allowed, before_keys, fits, once_key, shape; quick/limits: charge_level,
--   limits

replied = replied + 1
replies[replied] = fits and FITS or allowed and ALLOWED or FIRM
local kept_text = once_key and allowed and "o1 " .. args[before_keys] .. " . " .. format("%.0f", now_ms) .. " 1"
for step = 1, step_count do
  local key, number, cost = args[before_keys + step], shape_steps[2 * step - 1], shape_steps[2 * step]
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
  if kept_text then
    local retry = retry_ms < 0 and "-" or format("%.0f", retry_ms)
    kept_text = kept_text .. format("%s%.0f,%.0f,%.0f,%s,-", step > 1 and ";" or " ", cost, units, left_ms, retry)
  end
end
if kept_text then
  kept_texts = kept_texts == none and {} or kept_texts
  kept_texts[once_key], ends[once_key], changed[once_key] = kept_text, now_ms + REMEMBERED_MS, true
end
position = before_keys + step_count
