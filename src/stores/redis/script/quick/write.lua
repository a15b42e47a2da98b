-- Writes what the quick way has changed: all of it or nothing. INCRBY comes first, because it costs Redis the least: where it fails,
-- nothing is written. Where the server then refuses SET, for lack of a right, what INCRBY did is taken back.
-- Uses apply: digits; keys: changed, counts, ends, kept_texts, levels, none; quick/limits: level_text; quick/terms:
--   keeps_end, receipts_head, receipts_key, receipts_tail

-- What the server answers that refuses to write.
local others, refused
for key = 1, #keys do
  local by = changed[key]
  if by == true then
    others = others or {}
    others[#others + 1] = key
  elseif by then
    call("INCRBY", keys[key], by)
  end
end
for _, key in ipairs(others or none) do
  local written = try_call("SET", keys[key], levels[key] and level_text(key) or kept_texts[key] or counts[key], "PXAT", ends[key])
  refused = refused or written.err and written
end
if receipts_head and not refused then
  local text, written = receipts_head .. digits .. receipts_tail, nil
  if keeps_end then
    written = try_call("SET", keys[receipts_key], text, "KEEPTTL")
  else
    local step_ms = now_ms - now_ms % RECEIPTS_STEP_MS
    written = try_call("SET", keys[receipts_key], text, "PXAT", step_ms + RECEIPTS_STEP_MS + RECEIPTS_KEPT_MS)
  end
  refused = written.err and written
end
if refused then
  for key = 1, #keys do
    local by = changed[key]
    if by and by ~= true then
      call("INCRBY", keys[key], -by)
    end
  end
  return refused
end
