// The layers in front of a store that is reached over a network, in order from the store to the limiter. Each is a store that
// wraps the one before it. A store brings them along, so that a program pays only for what its store needs.

import type { StoreRequest } from "../kernel/request.ts";
import { type DividedStore, isDivided, isShared } from "../store/shared-store.ts";
import type { Layer, Layered, Layers, LayerSettings, Store, StoreAnswer } from "../store/store.ts";
import { BatchLayer } from "./batch.ts";
import { BorrowLayer } from "./borrow.ts";
import { checkedLayer, type Watch } from "./checked.ts";
import { DenyCacheLayer } from "./deny-cache.ts";
import { FailoverLayer } from "./failover.ts";
import { DEFAULT_DEADLINE_MS, type FailoverEvent } from "./failover/options.ts";
import { watchSetup } from "./setup-watch.ts";
import { UnitsLayer } from "./units.ts";
import { Fronts } from "./units/fronts.ts";

/**
 * For a store that takes time to answer: batches, failover where it is a `SharedStore` or consists of such units, units that are
 * borrowed ahead, and denials that are repeated without asking. It also reads the store's `setup`.
 */
export const networkLayers: Layers = (store: Store, settings: LayerSettings): Layered => {
  const { denyCacheMs, clock, emit } = settings;
  const watch = watchSetup(store, emit);
  const tell = (event: FailoverEvent) => {
    if (event.type === "store.unreachable") watch?.failed();
    emit?.(event);
  };
  const asked = isDivided(store) ? beforeUnits(store, watch, settings, tell) : beforeOne(store, watch, settings, tell);
  const borrowing = new BorrowLayer(asked.layer, asked.giveBack, clock);
  return {
    store: new DenyCacheLayer(borrowing, denyCacheMs, clock),
    deadlineMs: asked.layer.deadlineMs,
    giveBack: asked.giveBack,
    unwatch: () => watch?.close(),
    recovered: (withinMs) => asked.recovered(withinMs, borrowing.owes),
  };
};

/** What takes the requests that have to be sent. */
interface Asked {
  readonly layer: Layer;
  /** Past the batches of calls, and never sent again after an outage. */
  readonly giveBack: GiveBack;
  recovered(withinMs: number, hasMore: boolean): Promise<void>;
}

type Tell = (event: FailoverEvent) => void;
type GiveBack = NonNullable<Layered["giveBack"]>;

function beforeOne(store: Store, watch: Watch | null, { group, failover }: LayerSettings, tell: Tell): Asked {
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

function beforeUnits(store: DividedStore, watched: Watch | null, settings: LayerSettings, tell: Tell): Asked {
  const { failover } = settings;
  const deadlineMs = failover === false ? store.deadlineMs : (failover.deadlineMs ?? DEFAULT_DEADLINE_MS);
  const { watch, tell: told } = failover === false ? { watch: watched, tell } : watchUnits(watched, tell);
  const layer = new UnitsLayer(store.units, new Fronts(store, watch, settings, told), deadlineMs);
  const recovered = (withinMs: number, hasMore: boolean) => layer.recovered(withinMs, hasMore);
  return { layer, giveBack: (requests) => layer.giveBack(requests), recovered };
}

/** While some units fail and others answer, the setup need not be read again and again: once when the last one is back. */
function watchUnits(watch: Watch | null, tell: Tell): { readonly watch: Watch | null; readonly tell: Tell } {
  const calm = watch && { answered: () => watch.answered(), failed: () => {} };
  return {
    watch: calm,
    tell(event) {
      if (event.type === "store.recovered") watch?.failed();
      tell(event);
    },
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
