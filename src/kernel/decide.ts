// The oracle: states in, a reply and states out. Memory and SQLite run it; every other store must equal it.
// It knows no call, no policy and no clock: a request names buckets, limits and costs, and the store names the time.

import { algorithmOf, type BucketState, type LimitSpec } from "./algorithms/registry.ts";

/** What one step asks of one bucket. */
export type StepEvent =
  /** Take `cost` units (0 to 2^53 - 1). A cost of 0 takes nothing, and is denied when nothing is left. */
  | { readonly type: "charge"; readonly cost: number }
  /** Say how the bucket stands. Never denied. */
  | { readonly type: "read" }
  /** Say how the bucket stands, then empty it. Never denied. */
  | { readonly type: "reset" };

/** One event on one bucket under one limit. */
export interface Step {
  /** The bucket's key. A request names a bucket at most once. */
  readonly bucket: string;
  readonly limit: LimitSpec;
  readonly event: StepEvent;
}

/** Steps that are judged together and booked all or none. */
export interface StoreRequest {
  /**
   * `judge` books when every step is allowed; `peek` answers the same and books nothing; `force` books in any case, also
   * past the capacity, and says what would have been allowed.
   */
  readonly mode: "judge" | "peek" | "force";
  readonly steps: readonly Step[];
}

/** How one step's bucket stands after the request (after a charge that was only peeked at: as if it were booked). */
export interface StepReply {
  readonly allowed: boolean;
  /** Units that are not free; more than the capacity after a quota was lowered. */
  readonly used: number;
  /** Milliseconds until everything is free again. */
  readonly resetAfterMs: number;
  /** Milliseconds until this cost would pass if nothing else happens; 0 when it passes, `null` when it never will. */
  readonly retryAfterMs: number | null;
}

/** The answer for one request. */
export interface StoreReply {
  /** Whether every step is allowed. */
  readonly allowed: boolean;
  /** The store's time (epoch ms) at which all of it was decided. */
  readonly nowMs: number;
  /** One for each step, in their order. */
  readonly steps: readonly StepReply[];
}

/** A reply, and what the store has to write. */
export interface Outcome {
  readonly reply: StoreReply;
  /** What each step's bucket holds from now on (`undefined`: nothing), or `null` when nothing changes. */
  readonly next: readonly (BucketState | undefined)[] | null;
}

/**
 * Decides one request.
 *
 * @param request what is asked
 * @param states what the store holds for each step's bucket, in the order of the steps; expired states are fine
 * @param nowMs the store's time, an integer, read once for all requests of a batch
 */
export function decide(request: StoreRequest, states: readonly (BucketState | undefined)[], nowMs: number): Outcome {
  const { mode, steps } = request;
  const before = steps.map((step, i) => live(step.limit, states[i], nowMs));
  const fits = steps.map((step, i) => stepFits(step, before[i], nowMs));
  const allowed = !fits.includes(false);
  const books = allowed || mode === "force";
  const after = books ? steps.map((step, i) => stepBooked(step, before[i], nowMs)) : before;
  const replies = steps.map((step, i) =>
    stepReply(step, fits[i] === true, step.event.type === "reset" ? before[i] : after[i], nowMs),
  );
  const reply = { allowed, nowMs, steps: replies };
  return { reply, next: books && mode !== "peek" ? written(steps, states, before, after) : null };
}

type States = readonly (BucketState | undefined)[];

/** What the buckets hold from now on. What nobody books on stays as it is, also a state of another algorithm. */
function written(steps: readonly Step[], states: States, before: States, after: States): States | null {
  const next = steps.map(({ event }, i) => (after[i] === before[i] && event.type !== "reset" ? states[i] : after[i]));
  return next.some((state, i) => state !== states[i]) ? next : null;
}

/** An expired state, or one of another algorithm, is no state. */
function live(limit: LimitSpec, state: BucketState | undefined, nowMs: number): BucketState | undefined {
  return state !== undefined && nowMs < state.expiresAtMs && state.kind === algorithmOf(limit).kind ? state : undefined;
}

/** Free units that a charge needs: an unknown cost (0) needs one, so that a spent budget stops it. */
function unitsNeeded(cost: number): number {
  return Math.max(1, cost);
}

function stepFits({ limit, event }: Step, state: BucketState | undefined, nowMs: number): boolean {
  if (event.type !== "charge") return true;
  const algorithm = algorithmOf(limit);
  return unitsNeeded(event.cost) <= algorithm.capacity(limit) - algorithm.used(limit, state, nowMs);
}

function stepBooked({ limit, event }: Step, state: BucketState | undefined, nowMs: number): BucketState | undefined {
  if (event.type === "reset") return undefined;
  if (event.type === "read" || event.cost === 0) return state;
  return algorithmOf(limit).book(limit, state, event.cost, nowMs);
}

/** At the latest when the state ends: one that another window or rate wrote may end before its units come back by this. */
function freeAfterMs(limit: LimitSpec, state: BucketState | undefined, units: number, nowMs: number): number {
  if (state === undefined) return 0;
  return Math.min(algorithmOf(limit).freeAfterMs(limit, state, units, nowMs), state.expiresAtMs - nowMs);
}

function stepReply({ limit, event }: Step, allowed: boolean, state: BucketState | undefined, nowMs: number): StepReply {
  const algorithm = algorithmOf(limit);
  const capacity = algorithm.capacity(limit);
  const need = event.type === "charge" ? unitsNeeded(event.cost) : 0;
  return {
    allowed,
    used: algorithm.used(limit, state, nowMs),
    resetAfterMs: freeAfterMs(limit, state, capacity, nowMs),
    retryAfterMs: allowed ? 0 : need > capacity ? null : freeAfterMs(limit, state, need, nowMs),
  };
}
