-- Takes back what a request booked whose answer no caller was given. An answer that was given to another caller since then
-- stays, with its booking.
-- Mirrors decide: undone
-- Uses answers: reply, reply_step; bucket/charges: taken_back; bucket/contents: state_of; bucket/entries: entry_in;
--   bucket/reservations: ended; keys: states; once: once_state; states: claim_state, contents_of, put; steps: steps

-- What a step's bucket holds after what the step booked at `at_ms` was taken back, and whether it was.
local function undone(step, queued_id, at_ms)
  local limit, event, spent, entries = step.limit, step.event, step.spent, step.entries
  local id = event == HOLD and step.hold.id or queued_id
  local entry = id and entry_in(entries, id)
  if entry then
    spent, entries = ended(limit, spent, entries, entry, 0, now_ms)
    return spent, entries, true
  elseif event ~= CHARGE then
    return spent, entries, false
  end
  local rest, is_taken = taken_back(limit, spent, step.units, at_ms, now_ms)
  return rest, entries, is_taken
end

local function undo_step(step, queued_id, at_ms, is_replayed)
  local key, limit = step.key, step.limit
  step.spent, step.entries, step.corrected = contents_of(limit, key)
  step.fits, step.named = true, nil
  local spent, entries, is_taken = step.spent, step.entries, false
  if not is_replayed then
    spent, entries, is_taken = undone(step, queued_id, at_ms)
  end
  local end_ms = reply_step(step, spent, entries)
  local state = is_taken and (state_of(limit, spent, entries, end_ms, now_ms) or false)
  if is_taken and state ~= states[key] then
    put(key, state)
  elseif step.corrected then
    put(key, step.corrected)
  end
end

local function undo(request, count, at_ms)
  local kept = request.once_key and claim_state(request.once_key)
  local is_ours = kept
    and kept.algorithm == once_state
    and kept.answered_ms == at_ms
    and kept.request == request.fingerprint
  local is_replayed = is_ours and kept.is_replayed
  reply(ALLOWED)
  for index = 1, count do
    undo_step(steps[index], request.queued_id, at_ms, is_replayed)
  end
  if is_ours and not is_replayed then
    put(request.once_key, false)
  end
end
