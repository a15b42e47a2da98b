// A batch inside a transaction, for stores that read states, let the kernel decide, and write what changed. Whether the batch
// may be booked at all, and what was booked of it before, is in receipts.ts.

import { keysOf } from "../kernel/decide.ts";
import type { StoreRequest } from "../kernel/request.ts";
import type { StoredState } from "../kernel/state.ts";
import { decide, type ReadState, validTime } from "./check.ts";
import { damagedKey, tooManyHolds } from "./error.ts";
import type { StoreAnswer } from "./store.ts";

/** A decided batch. */
export interface DecidedBatch {
  /** One for each request, in order. */
  readonly replies: readonly StoreAnswer[];
  /** What has to be written: `undefined` where nothing is to be kept. */
  readonly changed: ReadonlyMap<string, StoredState | undefined>;
}

/**
 * Decides requests in order, as if one by one. A request of a damaged bucket fails alone; a reset mends the bucket.
 *
 * @param read what the store holds for a key; called once for each key
 * @param nowMs the store's time, read once after everything that is read was locked
 * @throws StoreError `invalid-reply` (the time is not a whole number): nothing is booked
 */
export function decideBatch(
  requests: readonly StoreRequest[],
  read: (key: string) => ReadState,
  nowMs: number,
): DecidedBatch {
  const batch = new Batch(read, nowMs);
  return { replies: requests.map((request) => batch.book(request)), changed: batch.changed };
}

/** The states that a batch has read and changed so far. */
export class Batch {
  readonly #read: (key: string) => ReadState;
  readonly #nowMs: number;
  readonly #states = new Map<string, ReadState>();
  readonly #changed = new Map<string, StoredState | undefined>();

  /** @throws StoreError `invalid-reply` */
  constructor(read: (key: string) => ReadState, nowMs: number) {
    this.#read = read;
    this.#nowMs = validTime(nowMs);
  }

  /** The states to write. */
  get changed(): DecidedBatch["changed"] {
    return this.#changed;
  }

  /** Decides the next request, on what those before it have left. */
  book(request: StoreRequest): StoreAnswer {
    const { mode, steps } = request;
    const keys = keysOf(request);
    const answer = mode === "undo" ? undefined : this.#stateOf(keys[steps.length]);
    // A request that was answered before is answered again, also where its buckets are damaged.
    const isAnswered = answer?.kind === "once" && this.#nowMs < answer.expiresAtMs;
    let broken: string | undefined;
    for (const [i, key] of keys.entries()) {
      if (this.#stateOf(key) !== null || isAnswered) continue;
      if (steps[i]?.event.type === "reset" && mode !== "peek") this.write(key, undefined);
      else broken ??= key;
    }
    if (broken !== undefined) return damagedKey(broken);
    const states = keys.map((key) => this.#states.get(key) ?? undefined);
    const { reply, next } = decide(request, states, this.#nowMs);
    if (next !== null) {
      for (const [i, key] of keys.entries()) if (next[i] !== states[i]) this.write(key, next[i]);
    }
    return reply ?? tooManyHolds();
  }

  write(key: string, state: StoredState | undefined): void {
    this.#states.set(key, state);
    this.#changed.set(key, state);
  }

  #stateOf(key: string | undefined): ReadState {
    if (key !== undefined && !this.#states.has(key)) this.#states.set(key, this.#read(key));
    return key === undefined ? undefined : this.#states.get(key);
  }
}
