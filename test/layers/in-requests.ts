// The borrowing layer as in a Worker, where all I/O belongs to a request and ends with it: no call may wait for what another one
// has asked, and ticks come when the test says so.

import type { Layers } from "tollgate/store";
import { BorrowLayer } from "../../src/layers/borrow.ts";
import type { Background } from "../../src/layers/borrow/background.ts";

export function inRequests() {
  const ticks: (() => boolean)[] = [];
  const kept: Promise<unknown>[] = [];
  const background: Background = {
    isShared: false,
    keep: (work) => void kept.push(work),
    tickEach: (_, tick) => void ticks.push(tick),
    stop: () => void ticks.splice(0),
  };
  const layers: Layers = (store, { clock }) => {
    return { store: new BorrowLayer(store, (requests) => store.apply(requests), clock, background) };
  };
  return { layers, kept, tick: () => ticks.at(-1)?.() ?? false };
}
