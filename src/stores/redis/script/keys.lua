-- What the keys hold. All texts are read at once; a text is understood only when a request asks for its key. The fast path
-- keeps a counter, a level or nothing as numbers: with states alone, plain decisions take a fifth longer inside Redis, and those
-- under an idempotency key a third. The general path keeps anything as a state. A key belongs to one of the two at a time: to the
-- general path for good, once that has asked for it.

local values = #keys > 0 and call("MGET", unpack(keys)) or {}
-- When Redis will remove a key (epoch ms, -1 never), once that was asked.
local expiries = {}
-- What the fast path has: units or levels, and when they end; 0 and 0 where the key holds nothing.
local counts, levels, ends = {}, {}, {}
-- What the general path has: a state, false where the key holds nothing, or DAMAGED or WRONG_TYPE.
local states = {}
-- Keys whose value has to be written.
local changed = {}

do
  local absent = {}
  for key = 1, #keys do
    if not values[key] then
      absent[#absent + 1] = keys[key]
    end
  end
  -- MGET shows a key of another type as absent.
  if #absent > 0 and call("EXISTS", unpack(absent)) > 0 then
    for key = 1, #keys do
      if not values[key] and call("EXISTS", keys[key]) == 1 then
        states[key] = WRONG_TYPE
      end
    end
  end
end
