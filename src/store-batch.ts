// A batch inside a transaction: for stores that read states, let the kernel decide, and write what changed.

import { decide, keysOf, type StoreReply, type StoreRequest } from "./kernel/decide.ts";
import type { StoredState } from "./kernel/stored.ts";
import { StoreError, tooManyHolds } from "./store-error.ts";

/** What a key holds: `undefined` nothing, `null` a text that no version writes. */
export type Known = StoredState | undefined | null;

/** What a batch came to. */
export interface DecidedBatch {
  /** One for each request, in order. */
  readonly replies: readonly (StoreReply | StoreError)[];
  /** What has to be written: `undefined` where nothing is to be kept. */
  readonly changed: ReadonlyMap<string, StoredState | undefined>;
}

/**
 * Decides requests in order, as if one by one. A request of a damaged bucket fails alone; a reset mends the bucket.
 *
 * @param read what the store holds for a key; asked once for each
 * @param nowMs the store's time, read once after everything that is read was locked
 */
export function decideBatch(
  requests: readonly StoreRequest[],
  read: (key: string) => Known,
  nowMs: number,
): DecidedBatch {
  const known = new Map<string, Known>();
  const changed = new Map<string, StoredState | undefined>();
  const set = (key: string, state: StoredState | undefined) => {
    known.set(key, state);
    changed.set(key, state);
  };

  const decideOne = (request: StoreRequest): StoreReply | StoreError => {
    const keys = keysOf(request);
    const states: (StoredState | undefined)[] = [];
    for (const [i, key] of keys.entries()) {
      if (!known.has(key)) known.set(key, read(key));
      if (known.get(key) === null && request.steps[i]?.event.type === "reset" && request.mode !== "peek") {
        set(key, undefined);
      }
      const state = known.get(key);
      if (state === null) {
        return new StoreError("damaged-bucket", `the bucket ${key} holds what no version writes`, { transient: false });
      }
      states.push(state);
    }
    const { reply, next } = decide(request, states, nowMs);
    if (next !== null) {
      for (const [i, key] of keys.entries()) if (next[i] !== states[i]) set(key, next[i]);
    }
    return reply ?? tooManyHolds();
  };

  return { replies: requests.map(decideOne), changed };
}
