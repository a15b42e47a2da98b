-- What the keys hold. All texts are read at once; a text is understood only when a request asks for its key. The quick way keeps a
-- counter, a level or nothing as numbers: with states alone, plain decisions take a fifth longer inside Redis, and those under an
-- idempotency key a third. The general path keeps anything as a state. A key belongs to one of the two at a time: to the general
-- path for good, once that has asked for it.

local values = #keys > 0 and call("MGET", unpack(keys)) or {}
-- Stands for tables that are made only when they are needed: to make one takes time.
local none = {}
-- When Redis will remove a key (epoch ms, -1 never), once that was asked.
local expiries = none
-- What the quick way has: units or levels, and when they end; 0 and 0 where the key holds nothing. Of each level: at which instant
-- the bucket stood at it (epoch ms), and the size of a unit in it.
local counts, ends = {}, {}
local levels, base_instants, unit_sizes = none, none, none
-- Of each answer that the quick way keeps: its text.
local kept_texts = none
-- What the general path has: a state, false where the key holds nothing, or DAMAGED or WRONG_TYPE.
local states = none
-- Keys that have to be written: true; or by how much a counter is raised, where only the quick way has changed it, and not its end.
local changed = {}
