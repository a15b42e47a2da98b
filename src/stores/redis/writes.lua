-- What the batch has changed, written at its end.

-- Units in a state that is a plain counter, or nil.
local function units_of(state)
  return state and state.kind == "counter" and not state.seen and state.spent or nil
end

-- A counter is raised from what it was to what it is: that costs Redis half of what writing it anew does.
local function write_counter(key, units, had, end_ms)
  call("INCRBY", keys[key], text_of[units - had])
  if end_ms ~= expiries[key] then
    call("PEXPIREAT", keys[key], text_of[end_ms])
  end
end

local function write_state(key, state)
  local text = state.algorithm.encode(state)
  if state.expires_at_ms == expiries[key] then
    call("SET", keys[key], text, "KEEPTTL")
  else
    call("SET", keys[key], text, "PXAT", text_of[state.expires_at_ms])
  end
end

local function write_keys()
  for key = 1, #keys do
    if changed[key] then
      local state, text = states[key], values[key]
      local units = counts[key] or units_of(state)
      local had = not text and 0 or number_of[text]
      if units and had then
        write_counter(key, units, had, counts[key] and ends[key] or state.expires_at_ms)
      elseif levels[key] then
        write_level(key)
      elseif state then
        write_state(key, state)
      else
        call("DEL", keys[key])
      end
    end
  end
end
