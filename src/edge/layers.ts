// The layers in front of the store of Durable Objects. It has no failover layer, because it decides without an object itself
// (away.ts), and no batches, because no request may wait for the message of another one.

import { BorrowLayer } from "../layers/borrow.ts";
import { checkedLayer } from "../layers/checked.ts";
import { DenyCacheLayer } from "../layers/deny-cache.ts";
import type { Layers } from "../store/store.ts";
import { RequestBackground } from "./background.ts";

/** Checks what objects reply, borrows units ahead, and repeats denials without asking. */
export const objectLayers: Layers = (store, { denyCacheMs, clock }) => {
  const checked = checkedLayer(store);
  const borrowing = new BorrowLayer(checked, (requests) => store.apply(requests), clock, new RequestBackground(clock));
  return { store: new DenyCacheLayer(borrowing, denyCacheMs, clock), deadlineMs: store.deadlineMs };
};
