-- Functions of Lua and of Redis under short local names, which Lua finds faster than fields of a global table.
-- Every file may use them; `now_ms`, the time in epoch ms, is in the first line, which the store puts in front.

local abs, floor, ceil, max, min, INFINITY = math.abs, math.floor, math.ceil, math.max, math.min, math.huge
local byte, find, format, gmatch, match, sub = string.byte, string.find, string.format, string.gmatch, string.match, string.sub
local concat, insert, remove, ipairs, tonumber = table.concat, table.insert, table.remove, ipairs, tonumber
local call, keys = redis.call, KEYS
