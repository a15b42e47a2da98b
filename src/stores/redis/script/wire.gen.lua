-- Made from wire.ts by `npm run lua`. Do not edit. In the script the numbers stand in place of the names.

-- Modes of a request, and what may be added to them.
local JUDGE = 0
local PEEK = 1
local FORCE = 2
local UNDO = 3

local WITH_TIME = 40
local WITH_WAIT = 20
local WITH_ONCE = 10

-- Events of a step.
local CHARGE = 0
local READ = -1
local RESET = -2
local HOLD = -3
local SAME_HOLD = -4
local CHARGE_VALUE = -5
local REPORT = -6
local RAISE = -7
local GRANT = -8
local SETTLE = -9
local EXTEND = -10
local REVOKE = -11

-- Replies to a request.
local DENIED = 0
local ALLOWED = 1
local REPLAYED = 2
local STALE = 3
local QUEUED = 4
local READ_ONLY = 5
local FIRM = 6
local FITS = 7
local DAMAGED = -1
local WRONG_TYPE = -2
local TOO_MANY_HOLDS = -3

-- Why the terms refuse a batch.
local TOO_LATE = -4
local OTHER_INCARNATION = -5
local SETTLED = -6
local OVERLOADED = -7

-- How a step found the hold or the grant that it names.
local LIVE = 0
local LATE = 1
local UNKNOWN = 2

-- Stand for a name or a number that is absent.
local NO_KEY = 0
local NO_SHAPE = 0
local NO_OUTCOME = 0

-- Forms of limits.
local BUDGET = 1
local FIXED_WINDOW = 2
local SLIDING_WINDOW = 3
local TOKEN_BUCKET = 4
local CONCURRENCY = 5
local CALENDAR_WINDOW = 6
local ELAPSED = 7
local STREAK = 8
local COOLDOWN = 9

-- Numbers of a limit on the wire.
local LIMIT_NUMBERS = 5

-- Bounds of the kernel and the store.
local MAX_SAFE_INTEGER = 9007199254740991
local EXACT_FOR_CLIENTS = 9007199254740000
local MAX_INSTANT_MS = 4503599627370496
local MAX_FAST_COST = 1099511627776
local MAX_HOLDS = 1000
local MAX_QUEUED = 256
local REMEMBERED_MS = 600000
local MAX_ID_LENGTH = 64
local MAX_RECEIPTS = 16
local RECEIPTS_KEPT_MS = 86400000
local MAX_SEEN = 1000
local VALUE_HASH_LENGTH = 16
local SUB_WINDOWS = 10
local LONGEST_LIFE_MS = 600000
local ENDED_MEMBERS_PER_BEAT = 100
