-- Says that an instance lives, and which one of how many it is; makes the mark by which it is known that the store has lost
-- what it held. Mirrors decodeMark and encodeMark in src/kernel/encoding/mark.ts. A beat among 4,000 instances costs about as much
-- as one among 100: no command looks at all of them, unless the two sets differ.
--
-- KEYS  the mark; the run id of the server that it was made or found on; two sorted sets of the instances of the group: by
--       name (every score is 0), and by when each ends (ms since 1970); then buckets that the instance saw last
-- ARGV  as one JSON text: the instance, how many ms it lives (0: it leaves), the id of a new incarnation, and whether it has
--       seen buckets (1), also where it names none
-- Returns the time in ms since 1970, how many instances live, the place of this one in the order of their names from 0, and
--       the text of the mark. Only the time where a mark has to be made and the instance has to name its buckets for that
-- Atomic because Redis runs a script alone.

-- Instances live for some minutes after each beat: none says more than this.
local LONGEST_MS = 600000
-- Instances whose end is over that one beat removes. What is left counts until the next beat: shares are smaller meanwhile.
local REMOVED = 100

local call, keys = redis.call, KEYS
local mark_key, server_key, names_key, ends_key, first_seen = keys[1], keys[2], keys[3], keys[4], 5
local instance, lives_ms, incarnation, has_seen = unpack(cjson.decode(ARGV[1]))

local function is_mark(text)
  local id, lost = string.match(text, "^m1 ([%w_-]+) (%l+)$")
  return id ~= nil and #id <= 64 and (lost == "all" or lost == "some")
end

-- Whether all is gone that was in the store before its mark was.
local function has_lost_all()
  if #keys >= first_seen then
    return call("EXISTS", unpack(keys, first_seen)) == 0
  end
  return call("DBSIZE") == 0
end

-- The run id of the server, or nil where the user may not ask.
local function server_run_id()
  local info = redis.pcall("INFO", "server")
  return type(info) == "string" and string.match(info, "run_id:(%w+)") or nil
end

-- The mark as it is, or a new one: also on a server that was started since, which may have lost the last that it wrote.
-- Nil where the instance has to name what it saw first.
local function mark_of(run_id)
  local known = call("MGET", mark_key, server_key)
  local mark, server = known[1], known[2]
  local is_there = mark and is_mark(mark)
  local is_other = run_id and server and server ~= run_id
  if not is_there and has_seen == 1 and #keys < first_seen then
    return nil
  end
  if not is_there or is_other then
    local lost = not is_there and has_lost_all() and "all" or "some"
    mark = "m1 " .. incarnation .. " " .. lost
    call("SET", mark_key, mark)
  end
  if run_id and server ~= run_id then
    call("SET", server_key, run_id)
  end
  return mark
end

local function text_of(number)
  return string.format("%.0f", number)
end

-- Removes what is over, at most so much at once, and shortens the lives that a clock wrote which was ahead.
local function tidy(latest)
  local ended = call("ZRANGE", ends_key, "-inf", text_of(now_ms), "BYSCORE", "LIMIT", 0, REMOVED)
  if #ended > 0 then
    call("ZREM", ends_key, unpack(ended))
    call("ZREM", names_key, unpack(ended))
  end
  for _, member in ipairs(call("ZRANGE", ends_key, "(" .. latest, "+inf", "BYSCORE", "LIMIT", 0, REMOVED)) do
    call("ZADD", ends_key, latest, member)
  end
end

local function come_or_leave()
  if lives_ms == 0 then
    call("ZREM", ends_key, instance)
    call("ZREM", names_key, instance)
  elseif call("ZADD", ends_key, text_of(now_ms + lives_ms), instance) == 1 then
    call("ZADD", names_key, 0, instance)
  end
end

local function beat()
  local mark = mark_of(server_run_id())
  if not mark then
    return { now_ms }
  end
  local latest = text_of(now_ms + math.max(lives_ms, LONGEST_MS))
  tidy(latest)
  come_or_leave()
  local count = call("ZCARD", ends_key)
  -- Another program has changed one of the sets, or the server has evicted it.
  if call("ZCARD", names_key) ~= count then
    call("ZUNIONSTORE", names_key, 1, ends_key, "WEIGHTS", 0)
  end
  call("PEXPIREAT", ends_key, latest)
  call("PEXPIREAT", names_key, latest)
  return { now_ms, count, lives_ms > 0 and call("ZRANK", names_key, instance) or 0, mark }
end

-- Whether a key held what is no sorted set, and so none of ours. It is removed.
local function was_replaced()
  local replaced = false
  for _, key in ipairs({ names_key, ends_key }) do
    local answer = redis.pcall("ZCARD", key)
    if type(answer) == "table" and string.find(answer.err, "WRONGTYPE", 1, true) then
      call("PEXPIREAT", key, 1)
      replaced = true
    end
  end
  return replaced
end

local is_done, answer = pcall(beat)
if not is_done and was_replaced() then
  return beat()
end
if not is_done and type(answer) ~= "table" then
  return { err = answer }
end
return answer
