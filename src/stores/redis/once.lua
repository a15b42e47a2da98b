-- Mirrors src/kernel/bucket/once.ts, and the text of a kept answer in src/kernel/encoding/once.ts. Here it is kept and checked; whoever
-- is given the answer reads it.

local once_state = { kind = "once" }

-- How the hold of a settle or an extend was found, by the number that is replied.
local FOUND = { [0] = "live", "late", "unknown" }

function once_state.encode(state)
  return state.text
end

-- Mirrors encodeStep; `found` is nil where a step names no hold.
local function encode_step(units, used, extra, reset_after_ms, retry_after_ms, found)
  local retry = retry_after_ms == -1 and ",-," or "," .. text_of[retry_after_ms] .. ","
  local text = text_of[used]
  if extra > 0 then
    text = text .. "+" .. text_of[extra]
  end
  return text_of[units] .. "," .. text .. "," .. text_of[reset_after_ms] .. retry .. (FOUND[found] or "-")
end

-- Mirrors decodeStep.
local function is_step(text)
  local units, used, extra, reset_after_ms, retry_after_ms, found =
    match(text, "^(%d+),(%d+)%+?(%d*),(%d+),([%d-]+),([%l-]+)$")
  if units and (extra ~= "" and not is_whole(extra) or (extra == "") == (find(text, "+", 1, true) ~= nil)) then
    return false
  end
  if not units or not is_whole(units) or not is_whole(used) or not is_whole(reset_after_ms) then
    return false
  end
  if retry_after_ms ~= "-" and not (find(retry_after_ms, "^%d+$") and is_whole(retry_after_ms)) then
    return false
  end
  return found == "-" or found == "live" or found == "late" or found == "unknown"
end

-- Mirrors decodeOnce.
function once_state.decode(text, expires_at_ms)
  local told, request, hold, answered_ms, answer, list = match(text, "^o1(t?) ([%w_-]+) ([%w_.-]+) (%d+) ([01+%d]+) (%S*)$")
  local wait_ms = answer and (answer == "0" or answer == "1") and "0" or answer and match(answer, "^1%+([1-9]%d*)$")
  if not wait_ms or not instant_of(wait_ms) or #request > MAX_ID_LENGTH or expires_at_ms > MAX_SAFE_INTEGER then
    return nil
  elseif not is_whole(answered_ms) or not instant_of(answered_ms) then
    return nil
  end
  if hold ~= "." and (#hold > MAX_ID_LENGTH or find(hold, ".", 1, true)) then
    return nil
  end
  if list ~= "" then
    for step in string.gmatch(list .. ";", "([^;]*);") do
      if not is_step(step) then
        return nil
      end
    end
  end
  return {
    algorithm = once_state,
    kind = "once",
    expires_at_ms = expires_at_ms,
    request = request,
    answered_ms = whole_of(answered_ms),
    wait_ms = whole_of(wait_ms),
    text = text,
    is_told = told == "t",
  }
end

-- The same after it was given again. It ends at the latest when one would that was given now: a clock that was ahead wrote a
-- later end.
local function told_once(state)
  return {
    algorithm = once_state,
    kind = "once",
    expires_at_ms = min(state.expires_at_ms, now_ms + state.wait_ms + REMEMBERED_MS),
    request = state.request,
    answered_ms = state.answered_ms,
    wait_ms = state.wait_ms,
    text = "o1t" .. sub(state.text, state.is_told and 4 or 3),
    is_told = true,
  }
end
