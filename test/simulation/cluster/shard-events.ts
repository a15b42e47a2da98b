// What each shard of a limiter says of its outages. A program hears only when the first shard leaves and when the last one is back.

import { Outages } from "../../../src/layers/shards/outages.ts";

type Hear = (shard: number, type: string) => void;

let hear: Hear = () => {};

const { of } = Outages.prototype;

Outages.prototype.of = function (shard) {
  const tell = of.call(this, shard);
  return (event) => {
    hear(shard, event.type);
    tell(event);
  };
};

/** Listens to all shards from now on. */
export function listenToShards(listener: Hear): void {
  hear = listener;
}
