// How one request is put to a store: at once where the store can answer at once.

import type { StoreReply, StoreRequest } from "../kernel/request.ts";
import type { StoreError } from "./error.ts";
import type { Store } from "./store.ts";

/** A store's answer to one request. */
export type Found = StoreReply | StoreError;

/** Asks a store for one thing: at once where it can. A store that breaks its contract may have no answer at all. */
export function askOne(
  store: Pick<Store, "apply" | "answer">,
  request: StoreRequest,
  leftMs?: number,
): Found | undefined | Promise<Found | undefined> {
  if (store.answer !== undefined) return store.answer(request, leftMs);
  return store.apply([request], leftMs).then(([reply]) => reply);
}
