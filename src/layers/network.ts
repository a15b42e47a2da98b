// The layers in front of a store that is reached over a network, in order from the store to the limiter. Each is a store that
// wraps the one before it. A store brings them along, so that a program pays only for what its store needs.

import type { StoreRequest } from "../kernel/request.ts";
import { isShared } from "../store/shared-store.ts";
import type { Layer, Layered, Layers, LayerSettings, Store, StoreAnswer } from "../store/store.ts";
import { BatchLayer } from "./batch.ts";
import { BorrowLayer } from "./borrow.ts";
import { checkedLayer, type Watch } from "./checked.ts";
import { DenyCacheLayer } from "./deny-cache.ts";
import { FailoverLayer } from "./failover.ts";
import type { FailoverEvent } from "./failover/options.ts";
import { watchSetup } from "./setup-watch.ts";

/** What takes the requests that have to be sent. */
export interface Asked {
  readonly layer: Layer;
  /** Past the batches of calls, and never sent again after an outage. */
  readonly giveBack: GiveBack;
  recovered(withinMs: number, hasMore: boolean): Promise<void>;
}

export type Tell = (event: FailoverEvent) => void;
type GiveBack = NonNullable<Layered["giveBack"]>;

/**
 * For a store that takes time to answer: batches, failover where it is a `SharedStore`, units that are borrowed ahead, and denials that
 * are repeated without asking. It also reads the store's `setup`.
 */
export const networkLayers: Layers = (store, settings) => layersBefore(store, settings, beforeOne);

/** The same, where something else takes the requests that have to be sent. */
export function layersBefore(store: Store, settings: LayerSettings, before: typeof beforeOne): Layered {
  const { denyCacheMs, clock, emit } = settings;
  const watch = watchSetup(store, emit);
  const tell = (event: FailoverEvent) => {
    if (event.type === "store.unreachable") watch?.failed();
    emit?.(event);
  };
  const asked = before(store, watch, settings, tell);
  const borrowing = new BorrowLayer(asked.layer, asked.giveBack, clock);
  return {
    store: new DenyCacheLayer(borrowing, denyCacheMs, clock),
    deadlineMs: asked.layer.deadlineMs,
    giveBack: asked.giveBack,
    unwatch: () => watch?.close(),
    recovered: (withinMs) => asked.recovered(withinMs, borrowing.owes),
  };
}

export function beforeOne(store: Store, watch: Watch | null, { group, failover }: LayerSettings, tell: Tell): Asked {
  const checked = checkedLayer(store, watch);
  const failing = failover !== false && isShared(checked) ? new FailoverLayer(checked, group, failover, tell) : null;
  const safe = failing ?? checked;
  const { batching } = safe;
  const giveBack: GiveBack = (requests) => failing?.giveBack(requests) ?? checked.apply(requests);
  return {
    layer: batching === undefined ? safe : new BatchLayer(safe, batching),
    giveBack: batching === undefined ? giveBack : (requests) => inParts(batching.size, requests, giveBack),
    recovered: async (withinMs, hasMore) => failing?.recovered(withinMs, hasMore),
  };
}

/** Asks for at most so many requests at once. */
async function inParts(
  size: number,
  requests: readonly StoreRequest[],
  ask: GiveBack,
): Promise<readonly StoreAnswer[]> {
  if (requests.length <= size) return ask(requests);
  const answers: StoreAnswer[] = [];
  for (let first = 0; first < requests.length; first += size) {
    answers.push(...(await ask(requests.slice(first, first + size))));
  }
  return answers;
}
