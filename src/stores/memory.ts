// The store of one process: fast, bounded, forgotten with the process.

import { type Clock, checkClock, systemClock } from "../clock.ts";
import { checkOptionKeys, checkWhole } from "../kernel/errors.ts";
import {
  decide,
  keysOf,
  type Outcome,
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

// Buckets looked at for expiry with each key that is written: more than it can make, so that the dead never pile up.
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
  readonly #maxBuckets: number;
  readonly #clock: Clock;
  readonly #buckets = new Map<string, StoredState>();
  #hand = this.#buckets.entries();
  #closed = false;

  constructor(maxBuckets: number, clock: Clock) {
    this.#maxBuckets = maxBuckets;
    this.#clock = clock;
  }

  async apply(requests: readonly StoreRequest[], terms?: Terms): Promise<(StoreReply | StoreError)[]> {
    refuseTerms(terms);
    if (this.#closed) throw new StoreError("closed", "the memory store was closed", { transient: false });
    const nowMs = this.#clock.nowMs();
    return requests.map((request) => this.#decide(request, nowMs));
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#buckets.clear();
  }

  #decide(request: StoreRequest, nowMs: number): StoreReply | StoreError {
    const keys = keysOf(request);
    const states = keys.map((key) => this.#buckets.get(key));
    const { reply, next } = decide(request, states, nowMs);
    if (reply === null) return tooManyHolds();
    if (next === null) return reply;
    this.#sweep(keys.length * SWEPT_PER_KEY, nowMs);
    if (!this.#hasRoom(keys, next)) {
      this.#sweep(SWEPT_AT_CAPACITY, nowMs);
      if (!this.#hasRoom(keys, next)) {
        return new StoreError("capacity", `the memory store holds its ${this.#maxBuckets} buckets`, {
          transient: true,
        });
      }
    }
    for (const [i, key] of keys.entries()) {
      const state = next[i];
      if (state === undefined) this.#buckets.delete(key);
      else this.#buckets.set(key, state);
    }
    return reply;
  }

  #hasRoom(keys: readonly string[], next: NonNullable<Outcome["next"]>): boolean {
    if (this.#buckets.size + keys.length <= this.#maxBuckets) return true;
    const added = keys.filter((key, i) => next[i] !== undefined && !this.#buckets.has(key)).length;
    return this.#buckets.size + added <= this.#maxBuckets;
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
