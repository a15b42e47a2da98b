-- What is replied of a request's steps.
-- Mirrors decide: stepReply
-- Uses batch: replied, replies; bucket/contents: free_after_ms, used_in; bucket/entries: granted_in; bucket/grants:
--   is_same_grant; texts: text_of

local function reply(number)
  replied = replied + 1
  replies[replied] = number < EXACT_FOR_CLIENTS and number > -EXACT_FOR_CLIENTS and number or text_of[number]
end

local function reply_text(text)
  replied = replied + 1
  replies[replied] = text
end

-- Replies how many grants are there, and of each its id, its units and in how many ms it ends.
local function reply_grants(entries)
  replied = replied + 1
  local count_at, count = replied, 0
  for _, entry in ipairs(entries) do
    if entry.kind == "grant" and not entry.expired then
      count = count + 1
      reply_text(entry.id)
      reply(entry.units)
      reply(entry.expires_at_ms - now_ms)
    end
  end
  replies[count_at] = count
end

-- Whether the reply to an event lists the bucket's grants.
local function lists_grants(event)
  return event == READ or event == RESET or event == GRANT or event == REVOKE
end

-- How a step found the entry that it names.
local function found_by(step)
  local named = step.named
  if not named then
    return UNKNOWN
  end
  local is_live = not named.expired
  if step.event == GRANT then
    is_live = is_same_grant(step.limit, named, step.units, step.lease_ms)
  end
  return is_live and LIVE or LATE
end

-- Replies how a step's bucket stands; with `keeps_answer` the step keeps that as well. Returns the end of a bucket with entries,
-- where that is known.
local function reply_step(step, spent, entries, all_fit, keeps_answer)
  local limit, needed = step.limit, step.needed
  local is_reset = step.event == RESET
  if is_reset then
    -- How the bucket stood before.
    spent, entries = step.spent, step.entries
  elseif limit.algorithm.never_comes_back then
    needed = INFINITY
  end
  local used, extra = used_in(limit, spent, entries, now_ms), granted_in(limit, entries)
  local reset_ms, end_ms = free_after_ms(limit, spent, entries, limit.capacity, now_ms)
  local retry_ms = 0
  if not step.fits then
    local wait_ms = free_after_ms(limit, spent, entries, needed, now_ms)
    retry_ms = wait_ms == INFINITY and -1 or wait_ms
  end
  if extra > 0 then
    reply(-extra)
  end
  reply(used)
  reply(reset_ms)
  if not all_fit then
    reply(retry_ms)
  end
  if keeps_answer then
    step.used, step.granted, step.reset_ms, step.retry_ms = used, extra, reset_ms, retry_ms
  end
  step.found = nil
  if step.event <= GRANT then
    step.found = found_by(step)
    reply(step.found)
  elseif step.found_earlier then
    reply(step.found_earlier)
  end
  if lists_grants(step.event) then
    reply_grants(entries)
  end
  return not is_reset and end_ms or nil
end

-- Replies the same for a charge that the fast path makes, and makes it where the request is booked.
local function reply_fast_step(step, books, all_fit, keeps_answer)
  local used, reset_ms, retry_ms = step.limit.charge(step.limit, step.key, books and step.units or 0, step.needed)
  replies[replied + 1], replies[replied + 2] = used, reset_ms
  replied = replied + 2
  if not all_fit then
    reply(retry_ms)
  end
  if keeps_answer then
    step.used, step.granted, step.reset_ms, step.retry_ms, step.found = used, 0, reset_ms, retry_ms, nil
  end
end
