-- Writes a part of a batch of a decision log: all of it, or nothing, and once for each number of an instance.
--
-- KEYS  1 the log's salt and version, 2 the last part of this instance, 3 the stream of entries, 4 the positions of entries by their
--       ids, 5 sessions, 6 when each called last, negated, 7 buckets near their limit, 8 how full each is, 9 when each was charged last,
--       10 policies, 11 since when there is each, 12 how many rows a minute has; then the rows of minutes: counts, and the values with
--       most calls.
-- ARGV  1 a JSON list: the number of the batch and of its part; the time, epoch ms; most entries; how long things are kept, ms; the
--       salt; the version; the minutes of the keys after the 12th, two keys each; how many entries, rows of minutes, buckets, sessions
--       and policies follow. Then these, one after the other:
--       of an entry its id and its text; of a row its key among those of minutes, its name and its counts; of a bucket its name, tenant,
--       how full it is, the time and its text; of a session its name, the first and the last call, calls, denied ones, user and limit;
--       of a policy its version, the time and its source.
-- Returns 1, or 0 where the part was written before.
-- Positions grow, also where the server has lost everything: the first is the time in microseconds.
-- Atomic because Redis runs a script alone, and refuses it as a whole when its memory is full.

local call = redis.call
local number, part, now_ms, max_entries, max_age_ms, salt, version, minutes, counts = unpack(cjson.decode(ARGV[1]))
local META, WRITER, ENTRIES, IDS, SESSIONS, SESSION_TIMES = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local NEAR, NEAR_FILLS, NEAR_TIMES, POLICIES, POLICY_TIMES, ROWS = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11], KEYS[12]
local FIRST_MINUTE = 12
local IS_NEAR = 0.8
local MOST_SESSIONS = 100000
local MOST_NEAR = 10000
local MOST_POLICIES = 100
-- Entries and rows that are removed at once.
local STEP = 1000
-- Arguments of one command.
local MOST_ARGUMENTS = 1000

local read = 1
local function take()
  read = read + 1
  return ARGV[read]
end

local function text_of(whole)
  return string.format("%.0f", whole)
end

local function entry_at(command, from, to)
  local found = call(command, ENTRIES, from, to, "COUNT", 1)[1]
  return found and tonumber(string.match(found[1], "^%d+")), found and found[2][2]
end

local function write_entries(count)
  local position = entry_at("XREVRANGE", "+", "-") or now_ms * 1000
  local ids = {}
  for _ = 1, count do
    position = position + 1
    local at, id = text_of(position), take()
    call("XADD", ENTRIES, at .. "-1", "b", take())
    ids[#ids + 1], ids[#ids + 2] = at, id
    if #ids >= MOST_ARGUMENTS then
      call("ZADD", IDS, unpack(ids))
      ids = {}
    end
  end
  if #ids > 0 then
    call("ZADD", IDS, unpack(ids))
  end
end

-- The position behind the entries at the beginning that are too old; nil where there are none.
local function after_old()
  local _, first = entry_at("XRANGE", "-", "+")
  local function is_old(body)
    return tonumber(string.match(body, "\"atMs\":(%d+)")) < now_ms - max_age_ms
  end
  if not first or not is_old(first) then
    return nil
  end
  local found
  for _, entry in ipairs(call("XRANGE", ENTRIES, "-", "+", "COUNT", STEP)) do
    found = entry[1]
    if not is_old(entry[2][2]) then
      break
    end
  end
  return found
end

local function remove_entries()
  local last = entry_at("XREVRANGE", "+", "-")
  if not last then
    return
  end
  local old = after_old()
  if old then
    call("XTRIM", ENTRIES, "MINID", old)
  end
  call("XTRIM", ENTRIES, "MINID", "~", text_of(math.max(1, last - max_entries + 1)), "LIMIT", STEP)
  call("ZREMRANGEBYSCORE", IDS, "-inf", "(" .. text_of(entry_at("XRANGE", "-", "+")))
end

-- Adds the counts of a row, a text such as "5 1 0", to those that are there.
local function add_row(key, name, added)
  local known = call("HGET", key, name)
  if known then
    local sums, others = {}, string.gmatch(known, "%d+")
    for each in string.gmatch(added, "%d+") do
      sums[#sums + 1] = text_of(each + others())
    end
    added = table.concat(sums, " ")
  end
  call("HSET", key, name, added)
end

local function write_rows(count)
  for _ = 1, count do
    add_row(KEYS[FIRST_MINUTE + tonumber(take())], take(), take())
  end
  for i, minute in ipairs(minutes) do
    local counted, most = KEYS[FIRST_MINUTE + 2 * i - 1], KEYS[FIRST_MINUTE + 2 * i]
    call("HSET", ROWS, text_of(minute), call("HLEN", counted) + call("HLEN", most))
    local ends_ms = text_of((minute + 1) * 60000 + max_age_ms)
    call("PEXPIREAT", counted, ends_ms)
    call("PEXPIREAT", most, ends_ms)
  end
end

local function remove_named(names, ...)
  if #names == 0 then
    return
  end
  for i, key in ipairs({ ... }) do
    call(i == 1 and "HDEL" or "ZREM", key, unpack(names))
  end
end

local function write_buckets(count)
  for _ = 1, count do
    local name, tenant, fill, at_ms, body = take(), take(), take(), take(), take()
    if tonumber(fill) < IS_NEAR then
      remove_named({ name }, NEAR, NEAR_FILLS, NEAR_TIMES)
    else
      local known = tenant == "" and call("HGET", NEAR, name)
      -- A change by hand does not say whose calls it has.
      tenant = known and string.match(known, "^%Z*") or tenant
      call("HSET", NEAR, name, tenant .. "\0" .. body)
      call("ZADD", NEAR_FILLS, fill, name)
      call("ZADD", NEAR_TIMES, at_ms, name)
    end
  end
  local oldest = text_of(now_ms - max_age_ms)
  remove_named(call("ZRANGE", NEAR_TIMES, "-inf", "(" .. oldest, "BYSCORE", "LIMIT", 0, STEP), NEAR, NEAR_FILLS, NEAR_TIMES)
  local beyond = math.min(call("ZCARD", NEAR_TIMES) - MOST_NEAR, STEP)
  if beyond > 0 then
    remove_named(call("ZRANGE", NEAR_TIMES, 0, beyond - 1), NEAR, NEAR_FILLS, NEAR_TIMES)
  end
end

local function write_sessions(count)
  for _ = 1, count do
    local name, first, last, calls, denied, user, limit = take(), take(), take(), take(), take(), take(), take()
    local known = call("HGET", SESSIONS, name)
    if known then
      local first0, last0, calls0, denied0, user0, limit0 = string.match(known, "^(%d+) (%d+) (%d+) (%d+) (%Z*)%z(%Z*)$")
      first, last = math.min(first, first0), math.max(last, last0)
      calls, denied = calls + calls0, denied + denied0
      user, limit = user == "" and user0 or user, limit == "" and limit0 or limit
    end
    call("HSET", SESSIONS, name, string.format("%.0f %.0f %.0f %.0f ", first, last, calls, denied) .. user .. "\0" .. limit)
    call("ZADD", SESSION_TIMES, "-" .. text_of(last), name)
  end
  local oldest = "(-" .. text_of(now_ms - max_age_ms)
  remove_named(call("ZRANGE", SESSION_TIMES, oldest, "+inf", "BYSCORE", "LIMIT", 0, STEP), SESSIONS, SESSION_TIMES)
  remove_named(call("ZRANGE", SESSION_TIMES, MOST_SESSIONS, MOST_SESSIONS + STEP), SESSIONS, SESSION_TIMES)
end

local function write_policies(count)
  for _ = 1, count do
    local name, at_ms, source = take(), take(), take()
    call("HSET", POLICIES, name, source)
    call("ZADD", POLICY_TIMES, at_ms, name)
  end
  local beyond = call("ZCARD", POLICY_TIMES) - MOST_POLICIES
  if beyond > 0 then
    remove_named(call("ZRANGE", POLICY_TIMES, 0, beyond - 1), POLICIES, POLICY_TIMES)
  end
end

local function is_new()
  local known = call("GET", WRITER)
  local number0, part0 = string.match(known or "0 0", "^(%d+) (%d+)$")
  number0, part0 = tonumber(number0), tonumber(part0)
  return number > number0 or (number == number0 and part > part0)
end

if not is_new() then
  return 0
end
-- A server that has lost everything gets the salt back.
call("HSETNX", META, "salt", salt)
call("HSETNX", META, "version", version)
call("SET", WRITER, text_of(number) .. " " .. part, "PX", text_of(max_age_ms))
write_entries(counts[1])
write_rows(counts[2])
write_buckets(counts[3])
write_sessions(counts[4])
write_policies(counts[5])
remove_entries()
for _, key in ipairs({ ENTRIES, IDS, SESSIONS, SESSION_TIMES, NEAR, NEAR_FILLS, NEAR_TIMES, ROWS }) do
  call("PEXPIRE", key, text_of(max_age_ms))
end
return 1
