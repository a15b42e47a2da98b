-- The mark by which an instance knows whether the store has lost what it held.
-- Mirrors encoding/mark: decodeMark

-- The incarnation that a mark names, or nil where the text is no mark.
local function incarnation_in(text)
  local incarnation, lost = match(text, "^m1 ([%w_-]+) (%l+)$")
  local is_mark = incarnation and #incarnation <= MAX_ID_LENGTH and (lost == "all" or lost == "some")
  return is_mark and incarnation or nil
end
