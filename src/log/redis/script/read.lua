-- Answers a question about a decision log, by looking at a bounded number of things. It writes nothing. Scripts answer alike through all
-- clients, which read other commands into lists or objects of their own.
--
-- KEYS  What the question is about.
-- ARGV  The question, and what it says of itself.
-- Returns a flat list, of texts alone; each function says which.

local call = redis.call
-- Rows of minutes after which an answer ends.
local MOST_ROWS = 2000

local function position_in(id)
  return string.match(id, "^%d+")
end

local function has_all(body, groups)
  for _, group in ipairs(groups) do
    local has_one = false
    for _, text in ipairs(group) do
      has_one = has_one or string.find(body, text, 1, true) ~= nil
    end
    if not has_one then
      return false
    end
  end
  return true
end

local questions = {}

-- The position of the newest entry, or an empty text.
function questions.last()
  local newest = call("XREVRANGE", KEYS[1], "+", "-", "COUNT", 1)[1]
  return { newest and position_in(newest[1]) or "" }
end

-- Says which entries behind a position have one text of each group: at most `most` of the next `count`. Answers with how many it
-- looked at, the position of the last of these, and position and text of each.
function questions.entries()
  local is_forward, from, count, most, groups = ARGV[2] == "1", ARGV[3], ARGV[4], tonumber(ARGV[5]), cjson.decode(ARGV[6])
  local found
  if is_forward then
    found = call("XRANGE", KEYS[1], "(" .. from .. "-1", "+", "COUNT", count)
  else
    found = call("XREVRANGE", KEYS[1], "(" .. from .. "-1", "-", "COUNT", count)
  end
  local looked, last, answer = 0, from, {}
  for _, entry in ipairs(found) do
    if #answer == 2 * most then
      break
    end
    looked, last = looked + 1, position_in(entry[1])
    if has_all(entry[2][2], groups) then
      answer[#answer + 1] = last
      answer[#answer + 1] = entry[2][2]
    end
  end
  return { looked, last, unpack(answer) }
end

-- The text of the entry with an id; none where there is no such entry.
function questions.entry()
  local position = call("ZSCORE", KEYS[2], ARGV[2])
  local id = position and string.format("%.0f-1", position)
  local found = id and call("XRANGE", KEYS[1], id, id)[1]
  return { found and found[2][2] }
end

-- Names and counts of the rows of minutes: how many names and counts the first has, and these; then the next, until they are many.
function questions.rows()
  local answer = {}
  for _, key in ipairs(KEYS) do
    if #answer > 2 * MOST_ROWS then
      break
    end
    local rows = call("HGETALL", key)
    answer[#answer + 1] = #rows .. ""
    for _, each in ipairs(rows) do
      answer[#answer + 1] = each
    end
  end
  return answer
end

-- How many rows minutes have: where to go on, and each minute with its count.
function questions.minutes()
  local found = call("HSCAN", KEYS[1], ARGV[2], "COUNT", 500)
  return { found[1], unpack(found[2]) }
end

-- Members of the second key from a score on, beginning with the nth, `count` at most: each, and what the first key says of it.
function questions.members()
  local is_falling, from, nth, count = ARGV[2] == "1", ARGV[3], ARGV[4], ARGV[5]
  local names
  if is_falling then
    names = call("ZRANGE", KEYS[2], "+inf", from, "BYSCORE", "REV", "LIMIT", nth, count)
  else
    names = call("ZRANGE", KEYS[2], from, "+inf", "BYSCORE", "LIMIT", nth, count)
  end
  local answer = {}
  if #names > 0 then
    for i, value in ipairs(call("HMGET", KEYS[1], unpack(names))) do
      answer[#answer + 1] = names[i]
      answer[#answer + 1] = value or ""
    end
  end
  return answer
end

-- What a hash says of some names; an empty text where it says nothing.
function questions.fields()
  local answer = {}
  for i, value in ipairs(call("HMGET", KEYS[1], unpack(ARGV, 2))) do
    answer[i] = value or ""
  end
  return answer
end

return questions[ARGV[1]]()
