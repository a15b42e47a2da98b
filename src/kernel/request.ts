// What a store is asked for, and what it replies: steps on buckets, decided together. No call, no policy and no state.

import type { LimitSpec } from "./algorithms/registry.ts";
import type { Degraded, UsageGrant } from "./decision.ts";
import type { OnStoreError } from "./policy/input.ts";

/** What one step asks of one bucket. */
export type StepEvent =
  /**
   * Spend `cost` units (0 to 2^53 - 1). A cost of 0 takes nothing, and is denied when nothing is left. With `seen`, the
   * mark of a value (16 hexadecimal digits), only when this bucket has not seen it: else nothing is spent or denied.
   */
  | { readonly type: "charge"; readonly cost: number; readonly seen?: string }
  /**
   * Hold units (0 to 2^53 - 1) for `leaseMs`; denied as a charge of them would be. The id is the caller's: 1 to 64
   * letters, digits, `_` or `-`, and no other hold's of this bucket.
   */
  | ({ readonly type: "hold" } & NewHold)
  /**
   * End a hold and spend the actual units, also past the capacity. One that expired and was charged is made good up to
   * them. They are spent also where there is no such hold. Never denied.
   */
  | { readonly type: "settle"; readonly id: string; readonly units: number }
  /** Let a hold live for `leaseMs` from now. Denied when it does not live. */
  | { readonly type: "extend"; readonly id: string; readonly leaseMs: number }
  /** Say what came of a call, for limits of streaks; `null` ends the row. Never denied. */
  | { readonly type: "report"; readonly outcome: string | null }
  /** Add units (0 to 2^53 - 1) to the capacity for `leaseMs`, once for an id: nothing is added where the id is taken. Never denied. */
  | { readonly type: "grant"; readonly id: string; readonly units: number; readonly leaseMs: number }
  /** End a grant now. Its id stays taken for ten minutes, so that a grant that is sent again does not come back. Never denied. */
  | { readonly type: "revoke"; readonly id: string }
  /** Give back use that the store has lost. Never denied. */
  | ({ readonly type: "raise" } & Raise)
  /** Say how the bucket stands. Never denied. */
  | { readonly type: "read" }
  /** Say how the bucket stands, then empty it. Never denied. */
  | { readonly type: "reset" };

/** How a hold or a grant was found, in the order of the digits that receipts have for it. */
export const FOUND = ["live", "late", "unknown"] as const;
/** Whether the replies to an event say how the hold or the grant was found. */
export function namesEntry(type: StepEvent["type"]): boolean {
  return type === "settle" || type === "extend" || type === "grant" || type === "revoke";
}

/** Whether the replies to an event list the grants: it reads a bucket, or changes it by hand. */
export function listsGrants(type: StepEvent["type"]): boolean {
  return type === "read" || type === "reset" || type === "grant" || type === "revoke";
}

/** One event on one bucket under one limit. */
export interface Step {
  /** The bucket's key. A request names a bucket at most once. */
  readonly bucket: string;
  readonly limit: LimitSpec;
  readonly event: StepEvent;
  /** Whether it is left out of the judgement: it denies no request, and is booked when the request is. */
  readonly shadow?: boolean;
  /** In a request with `atMs`: the instant of this step, where its units flow back from another one on. */
  readonly atMs?: number;
  /** What the limiter's layers need to know; a store ignores it. */
  readonly hints?: StepHints;
}

/** What the layers between limiter and store need to know of a step's limit. */
export interface StepHints {
  /** Whether units may be borrowed ahead. */
  readonly borrow?: true;
  /** What holds while the store is away. Absent: an instance's share of what was left. */
  readonly onStoreError?: Exclude<OnStoreError, "share">;
}

/** Steps that are judged together and booked all or none. */
export interface StoreRequest {
  /**
   * `judge` books when every step is allowed; `peek` answers the same and books nothing; `force` books in any case, also
   * past the capacity, and says what would have been allowed; `undo` takes back what was booked at `atMs`, as far as that
   * is still in its window: charges, holds, and the answer that is kept; values and time have been seen. It is not allowed, and
   * takes back nothing, where that answer was given again since then.
   */
  readonly mode: "judge" | "peek" | "force" | "undo";
  readonly steps: readonly Step[];
  /**
   * Of `force`: when it was admitted (epoch ms, store's time), if that is over. What it spends belongs to the windows of
   * then, and is dropped where they are over, too. Of `undo`: when it was booked; in a batch with a receipt, an undo without it
   * takes back what the earlier try of that batch has booked.
   */
  readonly atMs?: number;
  /** Book this once: when it was booked before, the answer is the first one. A peek does not look. */
  readonly once?: Once;
  /** Wait in queues, where only limits with a queue deny. */
  readonly wait?: Wait;
}

/**
 * A turn in the queue of each bucket that denies, for a request that is denied only by limits with a queue (`queues`). When all
 * of it passes within `maxMs`, it is allowed. Its charges are held until its turn; those for a value are booked at once. A
 * settle of the id gives the turn up. Only the last turn of a queue goes to another call. Holds keep their own ids, and their
 * leases begin at the turn.
 */
export interface Wait {
  /** As of a hold. */
  readonly id: string;
  /** Milliseconds. */
  readonly maxMs: number;
}

/** How one step's bucket stands after the request (after a charge that was only peeked at: as if it were booked). */
export interface StepReply {
  readonly allowed: boolean;
  /** Units that are not free; more than the capacity after a quota was lowered. */
  readonly used: number;
  /** Units granted on top of the capacity. Absent: none, or the capacity is 0, to which grants add nothing. */
  readonly granted?: number;
  /** Of a read, a reset, a grant or a revoke: the grants that are there, the first that ends first. Absent: none. */
  readonly grants?: readonly UsageGrant[];
  /** Milliseconds until everything is free again. */
  readonly resetAfterMs: number;
  /** Milliseconds until this cost would pass if nothing else happens; 0 when it passes, `null` when it never will. */
  readonly retryAfterMs: number | null;
  /**
   * Of a settle or an extend, how the hold was found, and of a revoke, how the grant. `late`: it had ended. Of a grant, what
   * has its id: nothing (`unknown`: the units were added), the same grant (`live`), or another or one that has ended (`late`).
   */
  readonly found?: (typeof FOUND)[number];
  /** A layer sets it, no store does: it is denied because the store is away, and not because so much was used. */
  readonly away?: true;
  /** A layer sets it, no store does: it is denied, and instances still hold borrowed units that they use or return within `retryAfterMs`. */
  readonly isBorrowed?: true;
}

/** The answer for one request. */
export interface StoreReply {
  /** Whether every step is allowed that is not in shadow. */
  readonly allowed: boolean;
  /** Set when nothing was decided, because `nowMs` is in none of a calendar's windows; there are no steps then. */
  readonly stale?: true;
  /** The store's time (epoch ms) at which all of it was decided. */
  readonly nowMs: number;
  /** Set when it waits: milliseconds until it is this request's turn. */
  readonly waitMs?: number;
  /**
   * Set on a denial that lasts until time passes, or a grant or reset comes: no bucket that denies has entries, live or
   * remembered, and none counts outcomes, time or calls under way.
   */
  readonly firm?: true;
  /** One for each step, in their order. Of an answer that is given again: of the first request's steps. */
  readonly steps: readonly StepReply[];
  /** Set when this is the answer for an earlier request, given again. */
  readonly replay?: Replay;
  /** A layer sets it, no store does: the store was away. */
  readonly degraded?: Degraded;
}

/** How a request is known again. */
export interface Once {
  /** The key under which the answer is kept, beside the buckets. */
  readonly key: string;
  /** 1 to 64 letters, digits, `_` or `-`: what a request must be alike in to be the same. */
  readonly request: string;
}

/** What an answer that is given again repeats. */
export interface Replay {
  /** What the first request was alike in. */
  readonly request: string;
  /** The first request's hold, or `null`. */
  readonly hold: string | null;
  /** Units that each step of the first request took. */
  readonly units: readonly number[];
}

/** Use of a bucket as an instance saw it before the store lost it. */
export interface Raise {
  /** The incarnation in which it is given back: 1 to 64 letters, digits, `_` or `-`. The highest view of one counts. */
  readonly id: string;
  /** Units that were used, 0 to 2^53 - 1. */
  readonly units: number;
  /** An instant (epoch ms) at which a booking of them would have ended as they do. */
  readonly atMs: number;
  /** How long the view is remembered, so that another one is compared with it. */
  readonly keptMs: number;
  /**
   * Whether the store had lost this bucket for sure, so that what it holds was spent since, or may have kept some of it: then
   * what it holds when its first view is given back counts as kept.
   */
  readonly lost: "all" | "some";
}

/** What a hold is made of. */
export interface NewHold {
  /** 1 to 64 letters, digits, `_` or `-`. */
  readonly id: string;
  readonly units: number;
  readonly onExpiry: "charge" | "refund";
  /** How long it lives unless it is extended. */
  readonly leaseMs: number;
}
