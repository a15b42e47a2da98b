// The layers in front of a store that consists of shards: those of network.ts, with batches and failover before each shard.

import { type DividedStore, isDivided } from "../store/shared-store.ts";
import type { Layers, LayerSettings } from "../store/store.ts";
import type { Watch } from "./checked.ts";
import { DEFAULT_DEADLINE_MS } from "./failover/options.ts";
import { type Asked, beforeOne, layersBefore, type Tell } from "./network.ts";
import { ShardsLayer } from "./shards.ts";
import { Fronts } from "./shards/fronts.ts";

export const dividedLayers: Layers = (store, settings) =>
  layersBefore(store, settings, isDivided(store) ? (_, ...others) => beforeShards(store, ...others) : beforeOne);

function beforeShards(store: DividedStore, watched: Watch | null, settings: LayerSettings, tell: Tell): Asked {
  const { failover } = settings;
  const deadlineMs = failover === false ? store.deadlineMs : (failover.deadlineMs ?? DEFAULT_DEADLINE_MS);
  const { watch, tell: told } = failover === false ? { watch: watched, tell } : watchShards(watched, tell);
  const layer = new ShardsLayer(store.shards, new Fronts(store, watch, settings, told), deadlineMs);
  const recovered = (withinMs: number, hasMore: boolean) => layer.recovered(withinMs, hasMore);
  return { layer, giveBack: (requests) => layer.giveBack(requests), recovered };
}

/** While some shards fail and others answer, the setup need not be read again and again: once when the last one is back. */
function watchShards(watch: Watch | null, tell: Tell): { readonly watch: Watch | null; readonly tell: Tell } {
  const calm = watch && { answered: () => watch.answered(), failed: () => {} };
  return {
    watch: calm,
    tell(event) {
      if (event.type === "store.recovered") watch?.failed();
      tell(event);
    },
  };
}
