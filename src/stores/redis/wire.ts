// What each number means that the store sends to its script and the script answers. The Lua sources use all names
// in capitals (`MAX_HOLDS` is `maxHolds`), and `npm run lua` puts the numbers in their place.

import { MAX_FAST, MAX_INSTANT_MS, type WireForm } from "../../kernel/algorithms/algorithm.ts";
import { ALGORITHMS, MAX_SEEN, SUB_WINDOWS, VALUE_LENGTH } from "../../kernel/algorithms/registry.ts";
import { MAX_ENTRIES, REMEMBERED_MS } from "../../kernel/bucket/entries.ts";
import { MAX_QUEUED } from "../../kernel/bucket/queue.ts";
import { MAX_ID_LENGTH } from "../../kernel/encoding/scan.ts";
import { MAX_RECEIPTS, RECEIPTS_KEPT_MS, RECEIPTS_STEP_MS } from "../../kernel/receipts.ts";
import type { StepEvent, StepReply, StoreRequest } from "../../kernel/request.ts";
import { ENDED_MEMBERS_PER_BEAT, LONGEST_LIFE_MS } from "../../store/shared-store.ts";

/** Where the terms stand among the arguments, and the batch itself behind them. */
export const TERM_PLACES = {
  /** Until when the batch may be booked, epoch ms. */
  notAfterAt: 1,
  /** That the sender knows; "": it knows none. */
  incarnationAt: 2,
  /** The number of the batch, "" where it has no receipt, and below which number all batches are settled. */
  numberAt: 3,
  fromAt: 4,
  /** Which part of the batch this is; -1 less the part where this settles its own number. */
  partAt: 5,
  batchAt: 6,
} as const;

/** Where in the batch what stands. The limits, the shapes of requests and the requests follow one another. */
export const PLACES = {
  firstShapeAt: 1,
  firstRequestAt: 2,
  firstLimitAt: 3,
} as const;

/** The mode of a request. The flags of `MODE_FLAGS` are added to it. */
export const MODES = { judge: 0, peek: 1, force: 2, undo: 3 } as const satisfies Record<StoreRequest["mode"], number>;

/** What may be added to a mode. What belongs to a flag follows the mode, that of the largest flag first. */
export const MODE_FLAGS = {
  /** The request was admitted earlier, or undoes what was: at which instant (epoch ms). */
  withTime: 40,
  /** The request may wait: the id of the queued call, and for how many ms. */
  withWait: 20,
  /** The request is booked once: the number of the key of its answer, and the request's fingerprint. */
  withOnce: 10,
} as const;

/**
 * What a step asks. A charge has no code of its own: its cost in units, 0 or more, stands in the code's place. The events from
 * `grant` down name a hold or a grant, and the reply says how that was found.
 */
export const EVENTS = {
  charge: 0,
  read: -1,
  reset: -2,
  /** Id, units, lease in ms, and 1 when the units are spent at the end of the lease. */
  hold: -3,
  /** A hold with all of that as in the hold before it in the request. */
  sameHold: -4,
  /** A charge for a value: the value's hash, and the cost. */
  chargeValue: -5,
  /** The outcome, or `NO_OUTCOME`. */
  report: -6,
  /** Id, units, when they were booked (epoch ms), how long they are remembered in ms, and 1 when only some use was lost. */
  raise: -7,
  /** Id, units, and how long they are there in ms. */
  grant: -8,
  /** The hold's id, and the actual units. */
  settle: -9,
  /** The hold's id, and its lease from now in ms. */
  extend: -10,
  /** The grant's id. */
  revoke: -11,
} as const satisfies Record<StepEvent["type"], number> & Record<string, number>;

/** Stands before the event of a step that has its own instant: the instant follows (epoch ms), and then the event. */
export const STEP_FLAGS = { ownTime: -12 } as const;

/** The first number of a request's reply. A step's reply, where there is one, follows for each step. */
export const REPLIES = {
  denied: 0,
  allowed: 1,
  /** The request was answered before: the text of the kept answer follows, and no steps. */
  replayed: 2,
  /** The time is outside of a calendar's windows. Nothing follows. */
  stale: 3,
  /** Allowed at its turn: in how many ms that is, then the steps. */
  queued: 4,
  /** Only read, because the receipt says that the request was decided before. */
  readOnly: 5,
  /** Denied for as long as only time passes. */
  firm: 6,
  /** Allowed, and each step fits: the steps leave out `retryAfterMs`. */
  fits: 7,
  /** The number of the key follows. */
  damaged: -1,
  /** The number of the key follows. */
  wrongType: -2,
  tooManyHolds: -3,
} as const;

/**
 * Why the terms refuse a whole batch. It is all that is answered, beside the time, and stands where the first reply would: so
 * the numbers continue those of `REPLIES`.
 */
export const REFUSALS = { tooLate: -4, otherIncarnation: -5, settled: -6, tooManyOpen: -7 } as const;

/** How a step found the hold or the grant that it names. Of a grant: the same grant, something else, nothing. */
export const FOUND = { live: 0, late: 1, unknown: 2 } as const satisfies Record<
  NonNullable<StepReply["found"]>,
  number
>;

/** Stands for a name or a number that is absent; `notFound` for how an earlier try found a hold or a grant, where that is not known. */
export const ABSENT = { noKey: 0, noShape: 0, noOutcome: 0, notFound: -1 } as const;

/**
 * The forms of limits, by their names in the script: the code of each, and the names of the numbers that follow the code, at
 * most four. The first number is the capacity, and the script calls it so; the others have these names there. Each algorithm
 * declares its own.
 */
export const FORMS: Readonly<Record<string, WireForm>> = Object.fromEntries(
  Object.values(ALGORITHMS)
    .flatMap(({ wire }) => Object.entries(wire.forms))
    .sort(([, one], [, other]) => one.code - other.code),
);

/** Numbers of a limit on the wire: the code, and four that are zeros where its form has fewer. */
export const LIMIT_NUMBERS = 5;

/** Bounds that the script keeps as the kernel and the store do. */
export const BOUNDS = {
  maxSafeInteger: Number.MAX_SAFE_INTEGER,
  /** Clients read integers digit by digit, and the last digits near 2^53 wrongly: from here on they go as text. */
  exactForClients: 9_007_199_254_740_000,
  /** Of instants. The fast path counts only up to it, far below 2^53, so that no sum of a batch saturates. */
  maxInstantMs: MAX_INSTANT_MS,
  maxFastCost: MAX_FAST,
  maxHolds: MAX_ENTRIES,
  maxQueued: MAX_QUEUED,
  rememberedMs: REMEMBERED_MS,
  /** Of ids, fingerprints and outcomes. */
  maxIdLength: MAX_ID_LENGTH,
  maxReceipts: MAX_RECEIPTS,
  receiptsKeptMs: RECEIPTS_KEPT_MS,
  receiptsStepMs: RECEIPTS_STEP_MS,
  maxSeen: MAX_SEEN,
  valueHashLength: VALUE_LENGTH,
  subWindows: SUB_WINDOWS,
  longestLifeMs: LONGEST_LIFE_MS,
  endedMembersPerBeat: ENDED_MEMBERS_PER_BEAT,
} as const;
