// The layers in front of the store of Durable Objects. It has no failover layer, because it decides without an object itself
// (away.ts), and neither batches nor borrowed units, because the timers of a Worker end with their request.

import { checkedLayer } from "../layers/checked.ts";
import { DenyCacheLayer } from "../layers/deny-cache.ts";
import type { Layers } from "../store/store.ts";

/** Checks what objects reply, and repeats denials without asking. */
export const objectLayers: Layers = (store, { denyCacheMs, clock }) => {
  return { store: new DenyCacheLayer(checkedLayer(store), denyCacheMs, clock), deadlineMs: store.deadlineMs };
};
