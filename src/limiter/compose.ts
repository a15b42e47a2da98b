// The layers between a limiter and its store. Each is a store that wraps the one before it.

import type { Clock } from "../clock.ts";
import { batchLayer } from "../layers/batch.ts";
import { leaseLayer } from "../layers/borrow.ts";
import { checkedLayer } from "../layers/checked.ts";
import { denyCacheLayer } from "../layers/deny-cache.ts";
import { type FailoverEvent, type FailoverOptions, failoverLayer } from "../layers/failover.ts";
import { isShared } from "../store/shared-store.ts";
import type { Store } from "../store/store.ts";
import type { LimiterContext } from "./context.ts";
import type { SetupWatch } from "./setup.ts";

export interface ComposeOptions {
  readonly prefix: string;
  readonly failover: FailoverOptions | false;
  readonly denyCacheMs: number;
  readonly clock: Clock;
  readonly setup: SetupWatch | null;
  readonly onFailover: (event: FailoverEvent) => void;
}

/** The layers, in order from the store to the limiter. */
export function composeStore(
  store: Store,
  { prefix, failover, denyCacheMs, clock, setup, onFailover }: ComposeOptions,
): Pick<LimiterContext, "store" | "deadlineMs" | "recovered"> {
  const checked = store.answer === undefined || isShared(store) ? checkedLayer(store, setup) : store;
  const failing = failover !== false && isShared(checked) ? failoverLayer(checked, prefix, failover, onFailover) : null;
  const safe = failing ?? checked;
  const batched = safe.batching === undefined ? safe : batchLayer(safe, safe.batching);
  const { deadlineMs } = safe;
  // A store that answers at once is asked each time.
  if (store.answer !== undefined) {
    return { store: batched, deadlineMs, recovered: async (withinMs) => failing?.recovered(withinMs) };
  }
  const borrowing = leaseLayer(batched, (requests) => store.apply(requests), clock);
  const recovered = async (withinMs: number) => failing?.recovered(withinMs, borrowing.owes);
  return { store: denyCacheLayer(borrowing, denyCacheMs, clock), deadlineMs, recovered };
}
