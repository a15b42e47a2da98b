// A store of several units without a network: each is a remote store with faults of its own.

import { dividedLayers } from "../../src/layers/divided.ts";
import { decideInShards, ShardMemory } from "../../src/store/wide-request.ts";
import type { DividedStore, SharedStore, Units } from "../../src/store/shared-store.ts";
import type { StoreRequest } from "../../src/store/api.ts";
import { type Clock, fakeClock } from "../../src/testing/testing.ts";
import { RemoteStore } from "./remote.ts";

/** The units that count instances. */
const HOMES = 2;

export class DividedRemote implements DividedStore {
  readonly layers = dividedLayers;
  readonly units: Units;
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
    this.units = {
      count,
      of: (key) => unitIn(key, count),
      // Instances have connections of their own: what one closes stays open for others.
      at: (unit) => openCopyOf(this.#at(unit), () => this.sendsTwice),
      countsAt: (unit) => unit < HOMES,
    };
  }

  apply(requests: readonly StoreRequest[]) {
    const decide = (shard: string, each: readonly StoreRequest[]) => this.#at(Number(shard)).apply(each);
    return decideInShards(requests, {
      of: (key) => String(this.units.of(key)),
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

  #at(unit: number): RemoteStore {
    return this.remotes[unit] as RemoteStore;
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

/** The last digit of the tag names the unit: `s1`, `user=u2`. */
function unitIn(key: string, count: number): number {
  return Number(/(\d)}/.exec(key)?.[1] ?? 0) % count;
}
