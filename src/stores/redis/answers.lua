-- What is replied of steps, and kept of a reply. Mirrors stepReply in src/kernel/decide.ts and onceOf in src/kernel/bucket/once.ts.

-- Clients read integers digit by digit, and the last digits near 2^53 wrongly: those go as text.
local function reply(number)
  replied = replied + 1
  replies[replied] = number < EXACT_FOR_CLIENTS and number > -EXACT_FOR_CLIENTS and number or text_of[number]
end

local function reply_text(text)
  replied = replied + 1
  replies[replied] = text
end

-- Replies how many grants are there, and of each its id, its units and in how many ms it ends.
local function reply_grants(holds)
  replied = replied + 1
  local place, count = replied, 0
  for _, hold in ipairs(holds) do
    if hold.grants and not hold.expired then
      count = count + 1
      reply_text(hold.id)
      reply(hold.units)
      reply(hold.expires_at_ms - now_ms)
    end
  end
  replies[place] = count
end

-- Replies how a step's bucket stands. Returns the end of one with holds, where that is known.
local function answer(step, spent, holds, keeps_answer, all_fit)
  local limit, needed = step.limit, step.needed
  local used, extra = used_in(limit, spent, holds, now_ms), granted_in(holds)
  if limit.algorithm == elapsed then
    -- What has elapsed does not come back.
    needed = INFINITY
  end
  local reset_after_ms, end_ms = free_after_ms(limit, spent, holds, limit.a, now_ms)
  local retry_after_ms = 0
  if not step.fits then
    local wait = free_after_ms(limit, spent, holds, needed, now_ms)
    retry_after_ms = wait == INFINITY and -1 or wait
  end
  if extra > 0 then
    reply(-extra)
  end
  reply(used)
  reply(reset_after_ms)
  if not all_fit then
    reply(retry_after_ms)
  end
  if keeps_answer then
    step.used, step.granted, step.reset, step.retry = used, extra, reset_after_ms, retry_after_ms
  end
  step.found = nil
  if step.event <= GRANT then
    local hold = step.hold
    local is_live = hold and not hold.expired
    if hold and step.event == GRANT then
      is_live = is_same_grant(limit, hold, step.units, step.lease)
    end
    step.found = not hold and UNKNOWN or is_live and LIVE or LATE
    reply(step.found)
  end
  if step.lists and extra > 0 then
    reply_grants(holds)
  end
  return end_ms
end

-- Likewise for a charge that the short way makes, which it now does where the request books.
local function answer_plainly(step, books, keeps_answer, all_fit)
  local cost = books and step.units or 0
  local used, reset_after_ms, retry_after_ms = charge_plainly(step.limit, step.key, cost, step.needed)
  replies[replied + 1], replies[replied + 2] = used, reset_after_ms
  replied = replied + 2
  if not all_fit then
    reply(retry_after_ms)
  end
  if keeps_answer then
    step.used, step.granted, step.reset, step.retry, step.found = used, 0, reset_after_ms, retry_after_ms, nil
  end
end

-- The kept answer for a request whose steps were answered. Mirrors onceOf and encodeOnce.
local function once_of(count, request, allowed, wait_ms)
  local hold
  local step_texts = {}
  for place = 1, count do
    local step = steps[place]
    if step.event == HOLD then
      hold = hold or step.made.id
    end
    step_texts[place] =
      encode_step(step.units, step.used, step.granted, step.reset, step.retry, step.found)
  end
  local head = "o1 " .. request .. " " .. (hold or ".") .. " " .. text_of[now_ms] .. (allowed and " 1" or " 0")
  if wait_ms > 0 then
    head = head .. "+" .. text_of[wait_ms]
  end
  local text = head .. " " .. concat(step_texts, ";")
  return {
    algorithm = once_state,
    kind = "once",
    expires_at_ms = now_ms + wait_ms + REMEMBERED_MS,
    request = request,
    answered_ms = now_ms,
    wait_ms = wait_ms,
    text = text,
    is_told = false,
  }
end
