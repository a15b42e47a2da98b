-- The compiled kernel, and what of it the script calls.
-- Uses batch: args; kernel: decideAny, decodeHeld, decodeOnce, decodeSpent, encodeHeld, encodeOnce, encodeSpent,
--   keptUntilMs, rulesOfCode; quick/limits: limits

local decide_request, kept_until_ms, rules_of_code
local decode_held, decode_once, decode_spent, encode_held, encode_once, encode_spent
-- In a block, because Lua bounds how many locals there are.
do
  -- @include kernel.lua
  decide_request, kept_until_ms, rules_of_code = decideAny, keptUntilMs, rulesOfCode
  decode_held, decode_once, decode_spent = decodeHeld, decodeOnce, decodeSpent
  encode_held, encode_once, encode_spent = encodeHeld, encodeOnce, encodeSpent
end

-- The limits as the kernel has them.
for number, limit in ipairs(limits) do
  local at, rules = FIRST_LIMIT_AT + LIMIT_NUMBERS * (number - 1), rules_of_code(limit.code)
  limit.spec = rules.limitOf(limit.code, limit.capacity, args[at + 2], args[at + 3], args[at + 4])
  limit.spec.rules = rules
end
