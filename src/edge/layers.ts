// What a limiter in a Worker puts in front of Durable Objects: denials that are repeated without asking, and units that are
// borrowed ahead. There are no batches: no request may wait for the message of another one.

import { BorrowLayer } from "../layers/borrow.ts";
import { checkedLayer } from "../layers/checked.ts";
import { DenyCacheLayer } from "../layers/deny-cache.ts";
import type { Layered, LayerSettings, Store } from "../store/store.ts";
import { RequestBackground } from "./background.ts";

export function edgeLayers(store: Store, { denyCacheMs, clock }: LayerSettings): Layered {
  const checked = checkedLayer(store);
  const borrowing = new BorrowLayer(checked, (requests) => store.apply(requests), clock, new RequestBackground(clock));
  return { store: new DenyCacheLayer(borrowing, denyCacheMs, clock), deadlineMs: store.deadlineMs };
}
