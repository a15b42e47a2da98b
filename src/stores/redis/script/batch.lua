-- The batch as it came, how far it has been read, and the answer as far as it has been written.

local terms, limit_numbers, shapes, requests = unpack(cjson.decode(ARGV[1]))
-- The last place of `requests` that was read.
local position = 0

local replies = { now_ms }
-- The last place of `replies` that was written.
local replied = 1

-- The next number or name of a request.
local function argument()
  position = position + 1
  return requests[position]
end
