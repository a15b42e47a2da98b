-- The mark by which an instance knows whether the store has lost what it held.
-- Mirrors encoding/mark: decodeMark

-- The incarnation that a mark names, or nil where the text is no mark.
local function incarnation_in(text)
  local incarnation, lost = match(text, "^m1 ([%w_-]+) (%l+)$")
  if not incarnation or #incarnation > MAX_ID_LENGTH or (lost ~= "all" and lost ~= "some") then
    return nil
  end
  return incarnation
end
