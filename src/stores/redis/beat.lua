-- Says that an instance lives, and which one of how many it is; makes the mark by which it is known that the store has lost
-- what it held. Mirrors decodeMark and encodeMark in src/kernel/receipts.ts.
--
-- KEYS  the mark; the run id of the server that it was made or found on; the instances of the group (a sorted set, by when
--       each ends, ms since 1970); then buckets that the instance saw last
-- ARGV  as one JSON text: the instance, how many ms it lives (0: it leaves), and the id of a new incarnation
-- Returns the time in ms since 1970, how many instances live, the place of this one in the order of their names from 0, and
--       the text of the mark
-- Atomic because Redis runs a script alone.

-- Instances live for some seconds after each beat: none says more than this.
local LONGEST_MS = 60000

local call, keys = redis.call, KEYS
local mark_key, server_key, instances_key, first_seen = keys[1], keys[2], keys[3], 4
local instance, lives_ms, incarnation = unpack(cjson.decode(ARGV[1]))

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
local function mark_of(run_id)
  local known = call("MGET", mark_key, server_key)
  local mark, server = known[1], known[2]
  local is_there = mark and is_mark(mark)
  local is_other = run_id and server and server ~= run_id
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

-- Names by their bytes: what < says of texts depends on the server's language.
local function is_before(one, other)
  for place = 1, math.min(#one, #other) do
    local a, b = string.byte(one, place), string.byte(other, place)
    if a ~= b then
      return a < b
    end
  end
  return #one < #other
end

local function text_of(number)
  return string.format("%.0f", number)
end

-- Forgets instances whose end is over. A value of another type, which is none of ours, is removed.
local function forget_ended()
  local answer = redis.pcall("ZREMRANGEBYSCORE", instances_key, "-inf", text_of(now_ms))
  if type(answer) ~= "table" then
    return nil
  elseif not string.find(answer.err, "WRONGTYPE", 1, true) then
    return answer
  end
  call("PEXPIREAT", instances_key, 1)
  return nil
end

local failure = forget_ended()
if failure then
  return failure
end
local mark = mark_of(server_run_id())
-- A clock that was ahead wrote later ends than an instance can have that beats now.
local latest = text_of(now_ms + math.max(lives_ms, LONGEST_MS))
for _, member in ipairs(call("ZRANGE", instances_key, "(" .. latest, "+inf", "BYSCORE")) do
  call("ZADD", instances_key, latest, member)
end
if lives_ms > 0 then
  call("ZADD", instances_key, text_of(now_ms + lives_ms), instance)
else
  call("ZREM", instances_key, instance)
end
local members = call("ZRANGE", instances_key, 0, -1)
local rank = 0
if #members > 0 then
  -- A score that another program wrote may have a fraction, which no expiry may.
  local last_ms = math.ceil(tonumber(call("ZSCORE", instances_key, members[#members])))
  call("PEXPIREAT", instances_key, text_of(last_ms))
end
for _, member in ipairs(members) do
  if lives_ms > 0 and is_before(member, instance) then
    rank = rank + 1
  end
end
return { now_ms, #members, rank, mark }
