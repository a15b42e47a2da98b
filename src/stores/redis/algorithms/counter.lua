-- Mirrors quota.ts, fixed-window.ts and counter.ts in src/kernel/algorithms: units spent until an instant.
-- A limit's numbers: a quota; b ttl or window in ms; c 1 when the ttl runs from the first charge, or windows begin with
-- it.

local quota = { kind = "counter" }
local fixed_window = { kind = "counter" }

local function used(limit, state)
  return state.spent
end

local function free_after_ms(limit, state, units, now_ms)
  if units <= limit.a - state.spent then
    return 0
  end
  return state.expires_at_ms - now_ms
end

-- One that is only thought of lasts until the next one is.
local thought = { algorithm = quota, kind = "counter" }

local function counter(spent, expires_at_ms, is_thought)
  if is_thought then
    thought.spent, thought.expires_at_ms = spent, expires_at_ms
    return thought
  end
  return { algorithm = quota, kind = "counter", spent = spent, expires_at_ms = expires_at_ms }
end

local function spent_after(state, cost)
  return state.spent + min(cost, MAX_SAFE_INTEGER - state.spent)
end

function quota.end_of(limit, now_ms)
  return now_ms + limit.b
end

function quota.book(limit, state, cost, now_ms, is_thought)
  if not state then
    return counter(cost, now_ms + limit.b, is_thought)
  end
  local expires_at_ms = state.expires_at_ms
  if limit.c == 0 then
    expires_at_ms = max(expires_at_ms, now_ms + limit.b)
  end
  return counter(spent_after(state, cost), expires_at_ms, is_thought)
end

function fixed_window.end_of(limit, now_ms)
  if limit.c == 1 then
    return now_ms + limit.b
  end
  return now_ms - now_ms % limit.b + limit.b
end

function fixed_window.book(limit, state, cost, now_ms, is_thought)
  if not state then
    return counter(cost, fixed_window.end_of(limit, now_ms), is_thought)
  end
  return counter(spent_after(state, cost), state.expires_at_ms, is_thought)
end

quota.used, fixed_window.used = used, used
quota.free_after_ms, fixed_window.free_after_ms = free_after_ms, free_after_ms

function quota.encode(state)
  return text_of[state.spent]
end

function quota.decode(text, expires_at_ms)
  local spent = (text == "0" or find(text, "^[1-9]%d*$")) and tonumber(text)
  return spent and spent <= MAX_SAFE_INTEGER and counter(spent, expires_at_ms) or nil
end
