-- Functions of Lua and of Redis under short local names, which Lua finds faster than fields of a global table.
-- Every file may use them; `now_ms`, the time in epoch ms, is in the first line, which the store puts in front.

local call, try_call, keys = redis.call, redis.pcall, KEYS
local find, format, gmatch, match, sub = string.find, string.format, string.gmatch, string.match, string.sub
local abs, ceil, floor, max, min, INFINITY = math.abs, math.ceil, math.floor, math.max, math.min, math.huge
local byte, concat, insert, remove, ipairs, tonumber = string.byte, table.concat, table.insert, table.remove, ipairs, tonumber
