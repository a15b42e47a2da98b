// The store of one process: fast, bounded, forgotten with the process.

import { type Clock, checkClock, systemClock } from "../clock.ts";
import type { CounterState } from "../kernel/algorithms/counter.ts";
import { checkOptionKeys, checkWhole } from "../kernel/errors.ts";
import {
  decide,
  refuseTerms,
  type Store,
  type StoredState,
  StoreError,
  type StoreReply,
  type StoreRequest,
  type Terms,
  tooManyHolds,
} from "../store.ts";

/** How a memory store is made. */
export interface MemoryStoreOptions {
  /** Most buckets kept, 1 to 10,000,000. Default 1,000,000 (some 250 bytes each). */
  readonly maxBuckets?: number;
  /** For tests. Default: the machine's clock. */
  readonly clock?: Clock;
}

type States = readonly (StoredState | undefined)[];

// Buckets looked at for expiry with each new one: more than it makes, so that the dead never pile up.
const SWEPT_PER_KEY = 2;
// Buckets looked at before a new one is refused for want of room: a bound on how long that may take.
const SWEPT_AT_CAPACITY = 1_000;

/**
 * Keeps buckets in this process alone: for one process, for tests, and as a fallback. At its bound it refuses new
 * buckets (`StoreError` `capacity`), unless it finds expired ones among the next 1,000 that it looks at, and never
 * forgets a live one.
 *
 * @throws MisuseError `invalid-option`
 *
 * @example
 * ```ts
 * import { createLimiter } from "tollgate";
 * import { memoryStore } from "tollgate/stores/memory";
 *
 * const limiter = createLimiter({
 *   policy: { version: 1, limits: [{ name: "per-session", per: ["session"], quota: 1 }] },
 *   store: memoryStore({ maxBuckets: 10_000 }),
 * });
 * await limiter.consume({ tool: "search", session: "s1" });
 * const decision = await limiter.consume({ tool: "search", session: "s1" });
 * console.log(decision.allowed); // false
 * ```
 */
export function memoryStore(options: MemoryStoreOptions = {}): Store {
  checkOptionKeys(options, ["maxBuckets", "clock"]);
  const { maxBuckets = 1_000_000, clock = systemClock } = options;
  checkWhole("maxBuckets", maxBuckets, 1, 10_000_000);
  checkClock(clock);
  return new MemoryStore(maxBuckets, clock);
}

class MemoryStore implements Store {
  readonly clock?: Clock;
  readonly #maxBuckets: number;
  readonly #clock: Clock;
  readonly #buckets = new Map<string, StoredState>();
  #hand = this.#buckets.entries();
  #closed = false;

  constructor(maxBuckets: number, clock: Clock) {
    this.#maxBuckets = maxBuckets;
    this.#clock = clock;
    if (clock !== systemClock) this.clock = clock;
  }

  async apply(requests: readonly StoreRequest[], terms?: Terms): Promise<(StoreReply | StoreError)[]> {
    refuseTerms(terms);
    this.#checkOpen();
    const nowMs = this.#clock.nowMs();
    return requests.map((request) => this.#decide(request, nowMs));
  }

  answer(request: StoreRequest): StoreReply | StoreError {
    this.#checkOpen();
    return this.#decide(request, this.#clock.nowMs());
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#buckets.clear();
  }

  #checkOpen(): void {
    if (this.#closed) throw new StoreError("closed", "the memory store was closed", { transient: false });
  }

  #decide(request: StoreRequest, nowMs: number): StoreReply | StoreError {
    const { steps, once, mode } = request;
    const states = new Array<StoredState | undefined>(steps.length);
    for (let i = 0; i < steps.length; i++) states[i] = this.#buckets.get(keyAt(request, i));
    if (once !== undefined && mode !== "peek") states.push(this.#buckets.get(once.key));
    const { reply, next } = decide(request, states, nowMs);
    if (reply === null) return tooManyHolds();
    if (next === null) return reply;
    if (isAdding(states, next) && !this.#makeRoom(request, next, nowMs)) {
      return new StoreError("capacity", `the memory store holds its ${this.#maxBuckets} buckets`, { transient: true });
    }
    for (let i = 0; i < next.length; i++) {
      const key = keyAt(request, i);
      const state = next[i];
      if (state === undefined) this.#buckets.delete(key);
      else if (!isUpdated(states[i], state, nowMs)) this.#buckets.set(key, state);
    }
    return reply;
  }

  #makeRoom(request: StoreRequest, next: States, nowMs: number): boolean {
    this.#sweep(next.length * SWEPT_PER_KEY, nowMs);
    const hasRoom = () => this.#buckets.size + this.#newIn(request, next) <= this.#maxBuckets;
    if (hasRoom()) return true;
    this.#sweep(SWEPT_AT_CAPACITY, nowMs);
    return hasRoom();
  }

  /** How many keys of a request would be new. */
  #newIn(request: StoreRequest, next: States): number {
    let count = 0;
    for (let i = 0; i < next.length; i++) {
      if (next[i] !== undefined && !this.#buckets.has(keyAt(request, i))) count++;
    }
    return count;
  }

  /** Moves the hand over `count` buckets and drops those that have expired. */
  #sweep(count: number, nowMs: number): void {
    for (let looked = 0; looked < count && this.#buckets.size > 0; looked++) {
      const { done, value } = this.#hand.next();
      if (done === true) this.#hand = this.#buckets.entries();
      else if (nowMs >= value[1].expiresAtMs) this.#buckets.delete(value[0]);
    }
  }
}

/**
 * Counts in place where only the count has changed: a new object in an old map would be the collector's work, at each call.
 * Nobody but this store has the old one.
 */
function isUpdated(before: StoredState | undefined, after: StoredState, nowMs: number): boolean {
  if (before === after) return true;
  // One that has ended may have been swept away by now.
  if (before === undefined || nowMs >= before.expiresAtMs) return false;
  if (before.kind !== "counter" || after.kind !== "counter" || before.seen !== after.seen) return false;
  const own: { -readonly [Field in keyof CounterState]: CounterState[Field] } = before;
  own.spent = after.spent;
  own.expiresAtMs = after.expiresAtMs;
  return true;
}

function isAdding(before: States, after: States): boolean {
  for (let i = 0; i < after.length; i++) if (before[i] === undefined && after[i] !== undefined) return true;
  return false;
}

/** A key of a request, in the order of `keysOf`. */
function keyAt({ steps, once }: StoreRequest, i: number): string {
  return steps[i]?.bucket ?? once?.key ?? "";
}
