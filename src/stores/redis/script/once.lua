-- Answers that are kept, so that a request that comes again is booked once. The script keeps and checks an answer as text; the
-- store reads it.
-- Mirrors bucket/once: onceNotAhead, onceOf; encoding/once: decodeOnce, decodeStep, encodeOnce, encodeStep
-- Uses texts: canonical_of, instant_of, text_of

local once_state = {}

local FOUND_WORDS = { [LIVE] = "live", [LATE] = "late", [UNKNOWN] = "unknown" }

function once_state.encode(state)
  return state.text
end

local function once_from(text, request, answered_ms, wait_ms, expires_at_ms, is_replayed)
  return {
    algorithm = once_state,
    expires_at_ms = expires_at_ms,
    request = request,
    answered_ms = answered_ms,
    wait_ms = wait_ms,
    text = text,
    is_replayed = is_replayed,
  }
end

local function encode_step(step)
  local text = text_of[step.used]
  if step.granted > 0 then
    text = text .. "+" .. text_of[step.granted]
  end
  local retry = step.retry_ms == -1 and ",-," or "," .. text_of[step.retry_ms] .. ","
  return text_of[step.units] .. "," .. text .. "," .. text_of[step.reset_ms] .. retry .. (FOUND_WORDS[step.found] or "-")
end

local function once_of(steps, count, request, allowed, wait_ms)
  local hold_id
  local step_texts = {}
  for index = 1, count do
    local step = steps[index]
    if step.event == HOLD then
      hold_id = hold_id or step.hold.id
    end
    step_texts[index] = encode_step(step)
  end
  local head = "o1 " .. request .. " " .. (hold_id or ".") .. " " .. text_of[now_ms] .. (allowed and " 1" or " 0")
  if wait_ms > 0 then
    head = head .. "+" .. text_of[wait_ms]
  end
  local text = head .. " " .. concat(step_texts, ";")
  return once_from(text, request, now_ms, wait_ms, now_ms + wait_ms + REMEMBERED_MS, false)
end

local function is_step(text)
  local units, used, plus, granted, reset_ms, retry_ms, found =
    match(text, "^(%d+),(%d+)(%+?)(%d*),(%d+),([%d-]+),([%l-]+)$")
  if not units or (plus == "" and granted ~= "") or (plus == "+" and not canonical_of(granted)) then
    return false
  elseif not canonical_of(units) or not canonical_of(used) or not canonical_of(reset_ms) then
    return false
  elseif retry_ms ~= "-" and not canonical_of(match(retry_ms, "^%d+$")) then
    return false
  end
  return found == "-" or found == "live" or found == "late" or found == "unknown"
end

function once_state.decode(text, expires_at_ms)
  local replayed, request, hold_id, answered, answer, list =
    match(text, "^o1(t?) ([%w_-]+) ([%w_.-]+) (%d+) ([01+%d]+) (%S*)$")
  local wait = (answer == "0" or answer == "1") and "0" or match(answer or "", "^1%+([1-9]%d*)$")
  local answered_ms, wait_ms = canonical_of(answered), instant_of(wait)
  if not wait_ms or not answered_ms or answered_ms > MAX_INSTANT_MS or #request > MAX_ID_LENGTH then
    return nil
  elseif hold_id ~= "." and (#hold_id > MAX_ID_LENGTH or find(hold_id, ".", 1, true)) then
    return nil
  end
  for step in gmatch(list == "" and list or list .. ";", "([^;]*);") do
    if not is_step(step) then
      return nil
    end
  end
  return once_from(text, request, answered_ms, wait_ms, expires_at_ms, replayed == "t")
end

-- The answer after it was given again. It ends at the latest when an answer would that was given now: a clock that was ahead
-- wrote a later end.
local function replayed_once(state)
  local expires_at_ms = min(state.expires_at_ms, now_ms + state.wait_ms + REMEMBERED_MS)
  local text = "o1t" .. sub(state.text, state.is_replayed and 4 or 3)
  return once_from(text, state.request, state.answered_ms, state.wait_ms, expires_at_ms, true)
end
