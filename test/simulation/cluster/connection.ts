// The cluster as a limiter has it: the shards of the Redis store, each with a simulated way to its server.

import { within } from "../../../src/deadlines.ts";
import { dividedLayers } from "../../../src/layers/divided.ts";
import { FORGOTTEN_AFTER_MS } from "../../../src/layers/failover/heartbeat.ts";
import {
  type Batching,
  type Beat,
  type Member,
  networkLayers,
  type SharedStore,
  type StoreAnswer,
  type StoreRequest,
  type Terms,
} from "../../../src/store/api.ts";
import type { DividedStore, StoreShards } from "../../../src/store/shared-store.ts";
import { type AskShard, decideInShards, ShardMemory } from "../../../src/store/wide-request.ts";
import { Renewals } from "../../../src/stores/redis/renewals.ts";
import { RedisShard } from "../../../src/stores/redis/shard.ts";
import type { Census } from "../census.ts";
import type { Machine } from "../machine.ts";
import type { Network } from "../network.ts";
import type { SimulatedStore } from "../store.ts";
import { prefixOf } from "./beat-script.ts";
import { DEADLINE_MS, type Renewed, SimulatedLink } from "./link.ts";

/** What is at the other end. */
interface ClusterSide {
  readonly network: Network;
  readonly store: SimulatedStore;
  readonly census: Census;
}

/** So many shards count the instances. */
const HOMES = 3;

export class ClusterConnection implements DividedStore {
  readonly layers = dividedLayers;
  readonly batching: Batching;
  readonly deadlineMs = DEADLINE_MS;
  readonly shards: StoreShards;
  readonly #shards: readonly ShardConnection[];
  readonly #of: (key: string) => string;
  readonly #memory = new ShardMemory();

  constructor(machine: Machine, { network, store, census }: ClusterSide, batching: Batching) {
    this.batching = batching;
    const renewed: Renewed = { beganMs: null, endedMs: null };
    const renewals = new Renewals(async () => {
      const beganMs = machine.world.nowMs;
      await Promise.all(this.#shards.map((shard) => shard.renew()));
      Object.assign(renewed, { beganMs, endedMs: machine.world.nowMs });
    });
    this.#shards = store.servers.map((_, shard) => {
      const link = new SimulatedLink(machine, network, store, shard, renewed);
      const place = { prefix: prefixOf(shard), slot: shard, counts: countsAt(shard), renewAll: () => renewals.run() };
      const redis = new RedisShard(link, place);
      return new ShardConnection(redis, link, machine, countsAt(shard) ? census : null, batching);
    });
    this.#of = (key) => String(store.shardOf(key));
    this.shards = {
      count: this.#shards.length,
      of: (key) => store.shardOf(key),
      at: (shard) => this.#at(shard),
      countsAt,
    };
  }

  apply(requests: readonly StoreRequest[], leftMs: number = DEADLINE_MS): Promise<readonly StoreAnswer[]> {
    const decide =
      (ms: number): AskShard =>
      (shard, each) =>
        this.#at(Number(shard)).apply(each, ms);
    return decideInShards(requests, {
      of: this.#of,
      decide: decide(leftMs),
      settle: decide(DEADLINE_MS),
      runLater: () => {},
      memory: this.#memory,
    });
  }

  async close(): Promise<void> {
    for (const shard of this.#shards) await shard.end();
  }

  #at(shard: number): ShardConnection {
    return this.#shards[shard] as ShardConnection;
  }
}

/** Whether a shard counts the instances. */
export function countsAt(shard: number): boolean {
  return shard < HOMES;
}

class ShardConnection implements SharedStore {
  readonly layers = networkLayers;
  readonly batching: Batching;
  readonly deadlineMs = DEADLINE_MS;
  readonly #redis: RedisShard;
  readonly #link: SimulatedLink;
  readonly #machine: Machine;
  /** `null`: the shard does not count the instances. */
  readonly #census: Census | null;

  constructor(redis: RedisShard, link: SimulatedLink, machine: Machine, census: Census | null, batching: Batching) {
    this.#redis = redis;
    this.#link = link;
    this.#machine = machine;
    this.#census = census;
    this.batching = batching;
  }

  apply(requests: readonly StoreRequest[], leftMs: number = DEADLINE_MS): Promise<readonly StoreAnswer[]> {
    return this.#link.ask({ requests, terms: {} }, () => this.#redis.apply(requests, leftMs));
  }

  book(requests: readonly StoreRequest[], terms: Terms): Promise<readonly StoreAnswer[]> {
    return this.#link.ask({ requests, terms }, () => this.#redis.book(requests, terms));
  }

  async beat(member: Member): Promise<Beat> {
    const asked = this.#redis.beat(member);
    if (this.#census === null) return asked;
    const { name, world } = this.#machine;
    // An instance learns from no later answer: when that is, its own clock says, and how long it stood still.
    const beat = await this.#census.whileAsked(name, within(FORGOTTEN_AFTER_MS, asked));
    this.#census.learn(name, world.nowMs, beat);
    return beat;
  }

  renew(): Promise<void> {
    return this.#redis.renew();
  }

  /** The store closes its shards. */
  async close(): Promise<void> {}

  async end(): Promise<void> {
    this.#link.end();
  }
}
