-- Whole numbers as texts, and texts as whole numbers.

-- The text of a whole number. `tostring` would round it to 14 digits. Each text is made once, because the same numbers come
-- again and again.
local text_of = setmetatable({ [0] = "0" }, {
  __index = function(texts, number)
    local text = format("%.0f", number)
    texts[number] = text
    return text
  end,
})

-- The whole number of a text of digits, or nil from 2^53 on.
local function whole_of(digits)
  local number = tonumber(digits)
  if number <= MAX_SAFE_INTEGER then
    return number
  end
  return nil
end

-- The instant of a text of digits, or nil where no state may name it.
local function instant_of(digits)
  local number = tonumber(digits)
  if number <= MAX_INSTANT_MS then
    return number
  end
  return nil
end

local ZERO = byte("0")

-- Whether a text of digits is what `text_of` writes: a state that is written back must have the same text.
local function is_canonical(digits)
  return (digits == "0" or byte(digits) ~= ZERO) and whole_of(digits) ~= nil
end
