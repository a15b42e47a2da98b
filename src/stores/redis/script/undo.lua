-- Takes back what a request booked whose answer no caller was given. An answer that was given to another caller since then
-- stays, with its booking.
-- Mirrors decide: undone
-- Uses answers: answer, reply; bucket/contents: state_of; bucket/holds: hold_in; bucket/late: unspent;
--   bucket/reservations: ended; keys: states; states: contents_of, put, state_in; steps: steps

-- What a step's bucket holds after what the step booked at `at_ms` was taken back, and whether it was.
local function taken_back(step, place_id, at_ms)
  local limit, event, spent, holds = step.limit, step.event, step.spent, step.holds
  local id = place_id
  if event == HOLD then
    id = step.new_hold.id
  end
  local hold = id and hold_in(holds, id)
  if hold then
    spent, holds = ended(limit, spent, holds, hold, 0, now_ms)
    return spent, holds, true
  elseif event ~= CHARGE then
    return spent, holds, false
  end
  local rest, is_taken = unspent(limit, spent, step.units, at_ms, now_ms)
  return rest, holds, is_taken
end

local function undo_step(step, place_id, at_ms, is_told)
  local key, limit = step.key, step.limit
  step.spent, step.holds, step.corrected = contents_of(limit, key)
  step.fits, step.named = true, nil
  local spent, holds, is_taken = step.spent, step.holds, false
  if not is_told then
    spent, holds, is_taken = taken_back(step, place_id, at_ms)
  end
  local end_ms
  if step.event == RESET then
    answer(step, step.spent, step.holds)
  else
    end_ms = answer(step, spent, holds)
  end
  local state = is_taken and (state_of(limit, spent, holds, end_ms, now_ms) or false)
  if is_taken and state ~= states[key] then
    put(key, state)
  elseif step.corrected then
    put(key, step.corrected)
  end
end

local function undo(request, count, at_ms)
  local kept = request.once_key and state_in(request.once_key)
  local is_ours = kept
    and kept.kind == "once"
    and kept.answered_ms == at_ms
    and kept.request == request.fingerprint
  local is_told = is_ours and kept.is_told
  reply(ALLOWED)
  for index = 1, count do
    undo_step(steps[index], request.place_id, at_ms, is_told)
  end
  if is_ours and not is_told then
    put(request.once_key, false)
  end
end
