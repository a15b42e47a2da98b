// A batch inside a transaction, for stores that read states, let the kernel decide, and write what changed. Whether the batch
// may be booked at all, and what was booked of it before, is in receipts.ts.

import { decide, keptAnswer, keysOf } from "../kernel/decide.ts";
import type { StoreRequest } from "../kernel/request.ts";
import type { StoredState } from "../kernel/state.ts";
import { type ReadState, validTime } from "./check.ts";
import { damagedError, tooManyHolds } from "./error.ts";
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
  validTime(nowMs);
  const states = new Map<string, ReadState>();
  const changed = new Map<string, StoredState | undefined>();
  const stateOf = (key: string): ReadState => {
    if (!states.has(key)) states.set(key, read(key));
    return states.get(key);
  };
  const statesOf = (keys: readonly string[]) => keys.map((key) => stateOf(key) ?? undefined);
  const change = (key: string, state: StoredState | undefined): void => {
    states.set(key, state);
    changed.set(key, state);
  };
  const decideNext = (request: StoreRequest): StoreAnswer => {
    const { mode, steps } = request;
    const keys = keysOf(request);
    // A request that was answered before is answered again, also where its buckets are damaged: nothing reads them then.
    const isAnswered = keptAnswer(request, statesOf(keys), nowMs) !== undefined;
    let damaged: string | undefined;
    for (const [i, key] of keys.entries()) {
      if (stateOf(key) !== null || isAnswered) continue;
      if (steps[i]?.event.type === "reset" && mode !== "peek") change(key, undefined);
      else damaged ??= key;
    }
    if (damaged !== undefined) return damagedError(damaged);
    const before = statesOf(keys);
    const { reply, next } = decide(request, before, nowMs);
    for (const [i, state] of next?.entries() ?? []) if (state !== before[i]) change(keys[i] as string, state);
    return reply ?? tooManyHolds();
  };
  return { replies: requests.map(decideNext), changed };
}
