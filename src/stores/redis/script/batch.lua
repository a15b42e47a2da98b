-- The batch as it came, how far it has been read, and the answer as far as it has been written.

local terms, limit_numbers, shapes, requests = unpack(cjson.decode(ARGV[1]))
-- The last of `requests` that was read. fast/decide.lua and steps.lua move it on, too.
local position = 0

local replies = { now_ms }
-- The last of `replies` that was written. fast/decide.lua and answers.lua move it on.
local replied = 1

-- The next number or name of a request.
local function argument()
  position = position + 1
  return requests[position]
end
