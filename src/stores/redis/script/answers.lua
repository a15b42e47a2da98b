-- What is replied of a request's steps.
-- Uses batch: replied, replies; texts: text_of

local FOUND_CODES = { live = LIVE, late = LATE, unknown = UNKNOWN }

local function reply(number)
  replied = replied + 1
  replies[replied] = number < EXACT_FOR_CLIENTS and number > -EXACT_FOR_CLIENTS and number or text_of[number]
end

local function reply_text(text)
  replied = replied + 1
  replies[replied] = text
end

-- Replies how many grants are there, and of each its id, its units and in how many ms it ends.
local function reply_grants(grants)
  reply(grants and #grants or 0)
  for index = 1, grants and #grants or 0 do
    local grant = grants[index]
    reply_text(grant.id)
    reply(grant.units)
    reply(grant.endsInMs)
  end
end

-- Replies how a step's bucket stands.
local function reply_step(step, answer, all_fit)
  local used, reset_ms, kind = answer.used, answer.resetAfterMs, step.event.type
  if answer.granted then
    reply(-answer.granted)
  end
  if used < EXACT_FOR_CLIENTS and reset_ms < EXACT_FOR_CLIENTS then
    replies[replied + 1], replies[replied + 2] = used, reset_ms
    replied = replied + 2
  else
    reply(used)
    reply(reset_ms)
  end
  if not all_fit then
    reply(answer.retryAfterMs or -1)
  end
  if answer.found then
    reply(FOUND_CODES[answer.found])
  elseif step.found_earlier then
    reply(step.found_earlier)
  end
  if kind == "read" or kind == "reset" or kind == "grant" or kind == "revoke" then
    reply_grants(answer.grants)
  end
end

-- Replies the same for a charge that the fast path makes, and makes it where the request is booked.
local function reply_fast_step(step, books, all_fit)
  local limit, cost = step.quick_limit, step.event.cost
  local used, reset_ms, retry_ms = limit.charge(limit, step.key, books and cost or 0, cost > 0 and cost or 1)
  replies[replied + 1], replies[replied + 2] = used, reset_ms
  replied = replied + 2
  if not all_fit then
    reply(retry_ms)
  end
end
