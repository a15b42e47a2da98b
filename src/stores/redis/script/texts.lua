-- Whole numbers as texts, and texts as whole numbers.
-- Mirrors lua: contains, textOf

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

local function contains(text, other)
  return find(text, other, 1, true) ~= nil
end
