-- The batch as it came, how far it has been read, and the answer as far as it has been written.

local args = cjson.decode(ARGV[BATCH_AT])
local last_arg = #args
-- Shapes of requests are numbered from behind this place.
local before_shapes = args[FIRST_SHAPE_AT] - 1
-- The last argument that was read. quick/charge.lua and general.lua move it on.
local position = args[FIRST_REQUEST_AT] - 1

-- As long as the shortest: a table that grows is made again.
local replies = { now_ms, nil, nil, nil }
-- The last of `replies` that was written. quick/charge.lua and answers.lua move it on.
local replied = 1
