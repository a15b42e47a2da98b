// A store of several shards without a network: each is a remote store with faults of its own.

import { dividedLayers } from "../../src/layers/divided.ts";
import { decideInShards, ShardMemory } from "../../src/store/wide-request.ts";
import type { DividedStore, SharedStore, StoreShards } from "../../src/store/shared-store.ts";
import type { StoreRequest } from "../../src/store/api.ts";
import { type Clock, fakeClock } from "../../src/testing/testing.ts";
import { RemoteStore } from "./remote.ts";

/** The shards that count instances. */
const HOMES = 2;

export class DividedRemote implements DividedStore {
  readonly layers = dividedLayers;
  readonly shards: StoreShards;
  readonly remotes: readonly RemoteStore[];
  readonly #memory = new ShardMemory();
  /** How often the setup was read. */
  setups = 0;
  /** How often the whole store was closed. */
  closed = 0;
  /** Whether the client sends every batch once more, as some do when a connection breaks before the answer. */
  sendsTwice = false;

  constructor(count = 4, clock: Clock = fakeClock()) {
    this.remotes = Array.from({ length: count }, () => new RemoteStore(clock));
    this.shards = {
      count,
      of: (key) => shardIn(key, count),
      // Instances have connections of their own: what one closes stays open for others.
      at: (shard) => openCopyOf(this.#at(shard), () => this.sendsTwice),
      countsAt: (shard) => shard < HOMES,
    };
  }

  apply(requests: readonly StoreRequest[]) {
    const decide = (shard: string, each: readonly StoreRequest[]) => this.#at(Number(shard)).apply(each);
    return decideInShards(requests, {
      of: (key) => String(this.shards.of(key)),
      decide,
      settle: decide,
      runLater: () => {},
      memory: this.#memory,
    });
  }

  async setup() {
    this.setups++;
    return [];
  }

  async close(): Promise<void> {
    this.closed++;
  }

  #at(shard: number): RemoteStore {
    return this.remotes[shard] as RemoteStore;
  }
}

function openCopyOf(remote: RemoteStore, sendsTwice: () => boolean): SharedStore {
  const { layers, batching } = remote;
  const [apply, beat] = [remote.apply.bind(remote), remote.beat.bind(remote)];
  return {
    layers,
    batching,
    apply,
    beat,
    async book(...batch) {
      if (sendsTwice()) await remote.book(...batch);
      return remote.book(...batch);
    },
    async close() {},
  };
}

/** The last digit of the tag names the shard: `s1`, `user=u2`. */
function shardIn(key: string, count: number): number {
  return Number(/(\d)}/.exec(key)?.[1] ?? 0) % count;
}
