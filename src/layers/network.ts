// The layers in front of a store that is reached over a network, in order from the store to the limiter. Each is a store that
// wraps the one before it. A store brings them along, so that a program pays only for what its store needs.

import type { StoreRequest } from "../kernel/request.ts";
import type { Layered, Layers, LayerSettings, Store, StoreAnswer } from "../store/store.ts";
import { isShared } from "../store/shared-store.ts";
import { BatchLayer } from "./batch.ts";
import { BorrowLayer } from "./borrow.ts";
import { checkedLayer } from "./checked.ts";
import { DenyCacheLayer } from "./deny-cache.ts";
import { FailoverLayer } from "./failover.ts";
import { watchSetup } from "./setup-watch.ts";

/**
 * For a store that takes time to answer: batches, failover where it is a `SharedStore`, units that are borrowed ahead, and
 * denials that are repeated without asking. It also reads the store's `setup`.
 */
export const networkLayers: Layers = (
  store: Store,
  { group, failover, denyCacheMs, clock, emit }: LayerSettings,
): Layered => {
  const watch = watchSetup(store, emit);
  const checked = checkedLayer(store, watch);
  const failing =
    failover !== false && isShared(checked)
      ? new FailoverLayer(checked, group, failover, (event) => {
          if (event.type === "store.unreachable") watch?.failed();
          emit?.(event);
        })
      : null;
  const safe = failing ?? checked;
  const batched = safe.batching === undefined ? safe : new BatchLayer(safe, safe.batching);
  // Units are given back to the store itself: what a layer sends again after an outage could take back another call's.
  const borrowing = new BorrowLayer(batched, (requests) => inParts(store, safe.batching?.size, requests), clock);
  return {
    store: new DenyCacheLayer(borrowing, denyCacheMs, clock),
    deadlineMs: safe.deadlineMs,
    unwatch: () => watch?.close(),
    recovered: async (withinMs) => failing?.recovered(withinMs, borrowing.owes),
  };
};

/** Asks a store for at most so many requests at once. */
async function inParts(
  store: Store,
  size: number | undefined,
  requests: readonly StoreRequest[],
): Promise<readonly StoreAnswer[]> {
  if (size === undefined || requests.length <= size) return store.apply(requests);
  const answers: StoreAnswer[] = [];
  for (let first = 0; first < requests.length; first += size) {
    answers.push(...(await store.apply(requests.slice(first, first + size))));
  }
  return answers;
}
