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

-- The whole number of a text of digits; nil for one above 2^53 - 1, and without a text.
local function whole_of(digits)
  local number = tonumber(digits)
  return number and number <= MAX_SAFE_INTEGER and number or nil
end

-- The instant of a text of digits, or nil where no state may name it.
local function instant_of(digits)
  local number = tonumber(digits)
  return number and number <= MAX_INSTANT_MS and number or nil
end

local ZERO = byte("0")

-- The whole number of a text of digits that is just what `text_of` writes; nil for any other text of digits, and without one.
local function canonical_of(digits)
  return digits and (digits == "0" or byte(digits) ~= ZERO) and whole_of(digits) or nil
end
