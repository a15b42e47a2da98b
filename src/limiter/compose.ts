// The layers between a limiter and its store. Each is a store that wraps the one before it.

import { batchLayer } from "../layers/batch.ts";
import { borrowLayer } from "../layers/borrow.ts";
import { checkedLayer } from "../layers/checked.ts";
import { denyCacheLayer } from "../layers/deny-cache.ts";
import { type FailoverEvent, failoverLayer } from "../layers/failover.ts";
import { isShared } from "../store/shared-store.ts";
import type { Store } from "../store/store.ts";
import type { LimiterContext } from "./context.ts";
import type { LimiterOptions } from "./options.ts";

type ComposeOptions = Required<Pick<LimiterOptions, "prefix" | "failover" | "denyCacheMs">> &
  Pick<LimiterContext, "clock" | "setup"> & { readonly onFailover: (event: FailoverEvent) => void };

/** The layers, in order from the store to the limiter. */
export function composeStore(
  store: Store,
  { prefix, failover, denyCacheMs, clock, setup, onFailover }: ComposeOptions,
): Pick<LimiterContext, "store" | "deadlineMs" | "recovered"> {
  // As memory and SQLite do. No layer that saves requests pays there, and the limiter checks the replies (ask.ts).
  const answersAtOnce = store.answer !== undefined;
  const checked = answersAtOnce && !isShared(store) ? store : checkedLayer(store, setup);
  const failing = failover !== false && isShared(checked) ? failoverLayer(checked, prefix, failover, onFailover) : null;
  const safe = failing ?? checked;
  const batched = safe.batching === undefined ? safe : batchLayer(safe, safe.batching);
  // Units are given back to the store itself: what a layer sends again after an outage could take back another call's.
  const borrowing = answersAtOnce ? null : borrowLayer(batched, (requests) => store.apply(requests), clock);
  return {
    store: borrowing === null ? batched : denyCacheLayer(borrowing, denyCacheMs, clock),
    deadlineMs: safe.deadlineMs,
    recovered: async (withinMs) => failing?.recovered(withinMs, borrowing?.owes),
  };
}
