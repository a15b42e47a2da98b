// States in this process's memory, bounded: calls are refused where there is no room for their buckets, what ends a call
// never is. For the memory store, and for an instance whose store is unreachable.

import { algorithmOfKind, type SpentState } from "../kernel/algorithms/registry.ts";
import { isSettledKey } from "../kernel/key.ts";
import type { StoreReply, StoreRequest } from "../kernel/request.ts";
import type { States, StoredState } from "../kernel/state.ts";

// Buckets looked at for expiry with each new one: more than it makes, so that expired ones never pile up.
const SWEPT_PER_KEY = 2;
// Buckets looked at before a new one is refused for want of room: a bound on how long that may take.
const SWEPT_AT_CAPACITY = 1_000;
/** Answers of ended holds that are kept also where buckets leave no room for them. */
export const KEPT_ENDS = 1_000;

/**
 * How many buckets there may be after a request. The end of a live hold always has room: it adds at most one bucket for
 * each of its limits, and holds are bounded. What else ends a call has an eighth more, which no call takes.
 */
export function roomFor(request: StoreRequest, reply: StoreReply, max: number): number {
  if (!endsCall(request)) return max;
  const isHeld = reply.steps.some(({ hold }) => hold === "live" || hold === "late");
  return isHeld ? Number.POSITIVE_INFINITY : max + Math.ceil(max / 8);
}

/**
 * Whether a request is about a call that was allowed before: it settles, releases or extends what that holds, or reports
 * what came of it. Where calls are refused for want of room, these are not: refused, they would leave the hold in place.
 */
export function endsCall({ mode, steps, once }: StoreRequest): boolean {
  if (mode !== "force") return false;
  if (once !== undefined && isSettledKey(once.key)) return true;
  return steps.some(({ event: { type } }) => type === "settle" || type === "extend" || type === "report");
}

/**
 * How many buckets of a request would be new: of a call also those that it may be charged to when it ends.
 *
 * @param isWritten whether something is to be kept for the n-th of its keys
 */
export function newIn(
  { mode, steps, once }: StoreRequest,
  isWritten: (i: number) => boolean,
  isThere: (key: string) => boolean,
): number {
  let count = 0;
  for (let i = 0; i < steps.length; i++) {
    const { bucket, event } = steps[i] as (typeof steps)[number];
    const isCall = mode === "judge" && (event.type === "charge" || event.type === "hold");
    if ((isCall || isWritten(i)) && !isThere(bucket)) count++;
  }
  const isKept = once !== undefined && isWritten(steps.length) && !isSettledKey(once.key);
  return isKept && !isThere(once.key) ? count + 1 : count;
}

/** The states of some buckets, and kept answers. */
export class BoundedStates {
  readonly #max: number;
  readonly #buckets = new Map<string, StoredState>();
  #hand = this.#buckets.entries();
  /** Kept answers of ended holds. They take the room that buckets leave, and the oldest are forgotten first. */
  readonly #ends = new Map<string, StoredState>();
  #ageing = this.#ends.entries();
  #oldest: readonly [key: string, state: StoredState] | null = null;

  /** @param max most buckets, and answers for idempotency keys */
  constructor(max: number) {
    this.#max = max;
  }

  /** What is kept for each key of a request, in the order of `keysOf`. */
  read({ mode, steps, once }: StoreRequest): (StoredState | undefined)[] {
    const states = new Array<StoredState | undefined>(steps.length);
    for (let i = 0; i < steps.length; i++) states[i] = this.#buckets.get(steps[i]?.bucket ?? "");
    if (once !== undefined && mode !== "peek") states.push(this.#mapOf(once.key).get(once.key));
    return states;
  }

  /** The state of one bucket. */
  get(bucket: string): StoredState | undefined {
    return this.#buckets.get(bucket);
  }

  clear(): void {
    this.#buckets.clear();
    this.#ends.clear();
    this.#oldest = null;
  }

  /**
   * Keeps what a request made of its states, all or nothing.
   *
   * @returns whether there was room
   */
  write(request: StoreRequest, before: States, next: States, reply: StoreReply, nowMs: number): boolean {
    if (isAdding(before, next) && !this.#makeRoom(request, next, reply, nowMs)) return false;
    const { steps, once } = request;
    for (let i = 0; i < steps.length; i++) {
      const state = next[i];
      if (state === undefined) this.#buckets.delete(steps[i]?.bucket ?? "");
      else if (!isUpdated(before[i], state, nowMs)) this.#buckets.set(steps[i]?.bucket ?? "", state);
    }
    if (once === undefined || next.length === steps.length) return true;
    const answer = next[steps.length];
    if (answer === undefined) this.#mapOf(once.key).delete(once.key);
    else this.#mapOf(once.key).set(once.key, answer);
    if (this.#ends.size > 0) this.#forgetEnds(nowMs);
    return true;
  }

  #mapOf(key: string): Map<string, StoredState> {
    return isSettledKey(key) ? this.#ends : this.#buckets;
  }

  #makeRoom(request: StoreRequest, next: States, reply: StoreReply, nowMs: number): boolean {
    this.#sweep(next.length * SWEPT_PER_KEY, nowMs);
    const most = roomFor(request, reply, this.#max);
    const isThere = (key: string) => this.#buckets.has(key);
    const hasRoom = () => this.#buckets.size + newIn(request, (i) => next[i] !== undefined, isThere) <= most;
    if (hasRoom()) return true;
    this.#sweep(SWEPT_AT_CAPACITY, nowMs);
    return hasRoom();
  }

  /** Moves the hand over `count` buckets and drops those that have expired. */
  #sweep(count: number, nowMs: number): void {
    for (let looked = 0; looked < count && this.#buckets.size > 0; looked++) {
      const { done, value } = this.#hand.next();
      if (done === true) this.#hand = this.#buckets.entries();
      else if (nowMs >= value[1].expiresAtMs) this.#buckets.delete(value[0]);
    }
  }

  /** Drops the oldest answers of ended holds: those for which there is no room, and some that have expired. */
  #forgetEnds(nowMs: number): void {
    const most = Math.max(KEPT_ENDS, this.#max - this.#buckets.size);
    for (let dropped = 0; this.#ends.size > 0; ) {
      if (this.#oldest === null) {
        const { done, value } = this.#ageing.next();
        if (done === true) this.#ageing = this.#ends.entries();
        else this.#oldest = value;
        continue;
      }
      const [key, { expiresAtMs }] = this.#oldest;
      const isOver = nowMs >= expiresAtMs && dropped < SWEPT_PER_KEY;
      if (this.#ends.size <= most && !isOver) return;
      this.#ends.delete(key);
      this.#oldest = null;
      dropped++;
    }
  }
}

/**
 * Counts in place where only the count has changed: a new object in an old map would be the collector's work, at each call.
 * Nothing else refers to the old one.
 */
function isUpdated(before: StoredState | undefined, after: StoredState, nowMs: number): boolean {
  if (before === after) return true;
  // One that has ended may have been swept away by now.
  if (before === undefined || nowMs >= before.expiresAtMs) return false;
  if (before.kind !== after.kind) return false;
  return algorithmOfKind(before.kind as string)?.overwrite?.(before as SpentState, after as SpentState) ?? false;
}

function isAdding(before: States, after: States): boolean {
  for (let i = 0; i < after.length; i++) if (before[i] === undefined && after[i] !== undefined) return true;
  return false;
}
