-- Notes that an instance lives or leaves, and says how many instances live and which of them this one is. Makes the mark by
-- which instances know whether the store has lost what it held. A beat among 4,000 instances costs about as much as one among
-- 100, because no command looks at all of them, unless the two sets differ.
--
-- KEYS  The mark; the id of the server on which it was made or found; two sorted sets of the group's instances: by name
--       (every score is 0), and by the end of each (epoch ms); then buckets that the instance saw last.
-- ARGV  One JSON text: the instance ("": only the mark is asked for), how many ms it lives (0: it leaves), the id for a new
--       incarnation, whether the instance has seen buckets (1), also where it names none, and the slot of a shard of a cluster (-1:
--       there are no shards).
-- Returns the time (epoch ms), how many instances live, the rank of this one among their names from 0, and the text of the mark.
--       Only the time where a mark has to be made and the instance has to name its buckets for that.
-- Atomic because Redis runs a script alone.
-- Mirrors encoding/mark: decodeMark, encodeMark
-- Uses mark: incarnation_in; texts: text_of

-- @include ../wire.ts
-- @include standard.lua
-- @include texts.lua
-- @include mark.lua

local mark_key, server_key, names_key, ends_key, first_seen = keys[1], keys[2], keys[3], keys[4], 5
local instance, lives_ms, incarnation, saw_buckets, slot = unpack(cjson.decode(ARGV[1]))

-- Whether nothing is left of what the store held before it had this mark.
local function has_lost_all()
  if #keys >= first_seen then
    return call("EXISTS", unpack(keys, first_seen)) == 0
  end
  -- A user may not be allowed to ask.
  return (slot < 0 and call("DBSIZE") or try_call("CLUSTER", "COUNTKEYSINSLOT", slot)) == 0
end

-- What changes when the server is started, and when it takes over: its run id and the id of its replication. nil where the user may not
-- ask.
local function server_id()
  local info = redis.pcall("INFO", "server", "replication")
  local run_id = type(info) == "string" and match(info, "run_id:(%w+)")
  return run_id and run_id .. " " .. (match(info, "master_replid:(%w+)") or "") or nil
end

-- Returns the mark. Makes one if there is none, or if the server was started or has taken over since: it may have lost its last
-- writes. Returns nil if it needs the instance's buckets to know what was lost.
local function mark_of(id)
  local known = call("MGET", mark_key, server_key)
  local mark, server = known[1], known[2]
  local is_there = mark and incarnation_in(mark)
  local is_other = id and server and server ~= id
  if not is_there and saw_buckets == 1 and #keys < first_seen then
    return nil
  end
  if not is_there or is_other then
    local lost = not is_there and has_lost_all() and "all" or "some"
    mark = "m1 " .. incarnation .. " " .. lost
    call("SET", mark_key, mark)
  end
  if id and server ~= id then
    call("SET", server_key, id)
  end
  return mark
end

-- Removes instances that have ended, a bounded number at once; the others count until the next beat, and shares are smaller
-- meanwhile. Shortens lives that a clock wrote which was ahead.
local function tidy(latest)
  local ended = call("ZRANGE", ends_key, "-inf", text_of[now_ms], "BYSCORE", "LIMIT", 0, ENDED_MEMBERS_PER_BEAT)
  if #ended > 0 then
    call("ZREM", ends_key, unpack(ended))
    call("ZREM", names_key, unpack(ended))
  end
  for _, member in ipairs(call("ZRANGE", ends_key, "(" .. latest, "+inf", "BYSCORE", "LIMIT", 0, ENDED_MEMBERS_PER_BEAT)) do
    call("ZADD", ends_key, latest, member)
  end
end

local function come_or_leave()
  if lives_ms == 0 then
    call("ZREM", ends_key, instance)
    call("ZREM", names_key, instance)
  elseif call("ZADD", ends_key, text_of[now_ms + lives_ms], instance) == 1 then
    call("ZADD", names_key, 0, instance)
  end
end

local function beat()
  local mark = mark_of(server_id())
  if not mark then
    return { now_ms }
  elseif instance == "" then
    return { now_ms, 1, 0, mark }
  end
  local latest = text_of[now_ms + max(lives_ms, LONGEST_LIFE_MS)]
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

-- Removes keys that hold no sorted set, and so nothing of this script. Returns whether there was one.
local function remove_foreign()
  local is_any = false
  for _, key in ipairs({ names_key, ends_key }) do
    local answer = redis.pcall("ZCARD", key)
    if type(answer) == "table" and find(answer.err, "WRONGTYPE", 1, true) then
      call("PEXPIREAT", key, 1)
      is_any = true
    end
  end
  return is_any
end

local is_done, answer = pcall(beat)
if not is_done and remove_foreign() then
  return beat()
elseif not is_done and type(answer) ~= "table" then
  -- An error of Lua is a text; Redis wants a table.
  return { err = answer }
end
return answer
