// One request to a store, whichever way that is asked.

import type { Store, StoreError, StoreReply, StoreRequest } from "../store.ts";

/** What a store says of one request. */
export type Found = StoreReply | StoreError;

/** Asks a store for one thing: at once where it can. A store that breaks its contract may have no answer at all. */
export function askOne(store: Store, request: StoreRequest): Found | undefined | Promise<Found | undefined> {
  return store.answer === undefined ? store.apply([request]).then(([reply]) => reply) : store.answer(request);
}
