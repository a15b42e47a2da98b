// The store of one process: fast, bounded, forgotten with the process.

import { type Clock, clockOption, systemClock } from "../clock.ts";
import { readOptions, type TableOf, whole } from "../kernel/options.ts";
import type { StoreRequest } from "../kernel/request.ts";
import { decide, validTime } from "../store/check.ts";
import { closedError, StoreError, tooManyHolds } from "../store/error.ts";
import { BoundedStates } from "../store/states.ts";
import type { Store, StoreAnswer } from "../store/store.ts";

/** How a memory store is made. */
export interface MemoryStoreOptions {
  /** Most buckets that calls make, 1 to 10,000,000; what ends calls may add an eighth. Default 1,000,000 (some 250 bytes each). */
  readonly maxBuckets?: number;
  /** For tests. Default: the machine's clock. */
  readonly clock?: Clock;
}

const OPTIONS = {
  maxBuckets: whole(1, 10_000_000, 1_000_000),
  clock: clockOption,
} satisfies TableOf<MemoryStoreOptions>;

/**
 * Keeps buckets in this process alone: for one process, for tests, and as a fallback. At its bound it refuses calls that
 * need new buckets (`StoreError` `capacity`), unless it finds expired ones among the next 1,000 that it looks at, and never
 * forgets a live one. A hold can always be settled, released and extended.
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
  const { maxBuckets, clock } = readOptions(OPTIONS, options);
  return new MemoryStore(maxBuckets, clock);
}

class MemoryStore implements Store {
  readonly clock: Clock | undefined;
  readonly #states: BoundedStates;
  #isClosed = false;

  constructor(maxBuckets: number, clock: Clock | undefined) {
    this.clock = clock;
    this.#states = new BoundedStates(maxBuckets);
  }

  async apply(requests: readonly StoreRequest[]): Promise<StoreAnswer[]> {
    const nowMs = this.#nowMs();
    return requests.map((request) => this.#decide(request, nowMs));
  }

  answer(request: StoreRequest): StoreAnswer {
    return this.#decide(request, this.#nowMs());
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#states.clear();
  }

  /** @throws StoreError `closed`, `invalid-reply` */
  #nowMs(): number {
    if (this.#isClosed) throw closedError("memory");
    return validTime((this.clock ?? systemClock).nowMs());
  }

  /** Not by `decideBatch`: states that are objects are never damaged, and a request that comes alone needs no maps. */
  #decide(request: StoreRequest, nowMs: number): StoreAnswer {
    const plain = this.#states.decidePlain(request, nowMs);
    if (plain !== null) return plain;
    const before = this.#states.read(request);
    const { reply, next } = decide(request, before, nowMs);
    if (reply === null) return tooManyHolds();
    if (next === null || this.#states.write(request, before, next, reply, nowMs)) return reply;
    return new StoreError("capacity", `the memory store is full: it keeps at most ${this.#states.max} buckets`, {
      transient: true,
    });
  }
}
