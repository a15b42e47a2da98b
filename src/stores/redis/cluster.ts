// The Redis store on a cluster: its keys are in shards, of which each is as one server.

import { keysOf } from "../../kernel/decide.ts";
import type { StoreRequest } from "../../kernel/request.ts";
import { dividedLayers } from "../../layers/divided.ts";
import type { DividedStore, StoreShards } from "../../store/shared-store.ts";
import type { SetupCheck, StoreAnswer } from "../../store/store.ts";
import { decideInShards, LaterWork, ShardMemory } from "../../store/wide-request.ts";
import type { RedisLink, Way } from "./link.ts";
import { Renewals } from "./renewals.ts";
import { BATCHING, RedisShard } from "./shard.ts";
import { countsInstances, SHARDS, shardOf, shardPlaces } from "./shards.ts";

export class RedisCluster implements DividedStore {
  readonly layers = dividedLayers;
  readonly batching = BATCHING;
  readonly shards: StoreShards;
  readonly #link: RedisLink;
  readonly #shards: readonly RedisShard[];
  readonly #memory = new ShardMemory();
  readonly #later = new LaterWork();

  constructor(link: RedisLink) {
    this.#link = link;
    const renewals = new Renewals(() => Promise.all(this.#shards.map((shard) => shard.renew())));
    this.#shards = shardPlaces().map(
      (place, shard) =>
        new RedisShard(link, { ...place, counts: countsInstances(shard), renewAll: () => renewals.run() }),
    );
    this.shards = { count: SHARDS, of: shardOf, at: (shard) => this.#at(shard), countsAt: countsInstances };
  }

  get clock() {
    return this.#link.clock;
  }

  get deadlineMs() {
    return this.#link.deadlineMs;
  }

  get lastFault() {
    return this.#link.lastFault;
  }

  async apply(requests: readonly StoreRequest[], leftMs: number = this.deadlineMs): Promise<readonly StoreAnswer[]> {
    this.#link.checkOpen();
    const way = this.#link.within(leftMs);
    if (requests.every((request) => keysOf(request).length === 0)) return this.#askAny(requests, way);
    return decideInShards(requests, {
      of: (key) => String(shardOf(key)),
      decide: (shard, each) => this.#at(Number(shard)).runAll(each, way),
      settle: (shard, each) => this.#at(Number(shard)).runAll(each, this.#link.within(this.deadlineMs)),
      runLater: this.#later.add,
      memory: this.#memory,
    });
  }

  setup(): Promise<readonly SetupCheck[]> {
    return this.#link.setup();
  }

  async close(): Promise<void> {
    this.#link.end();
    await this.#later.done();
    this.#link.close();
  }

  /** What names no key is answered by any server. */
  #askAny(requests: readonly StoreRequest[], way: Way): Promise<readonly StoreAnswer[]> {
    const homes = this.#shards.filter((_, shard) => countsInstances(shard));
    return Promise.any(homes.map((shard) => shard.runAll(requests, way))).catch(({ errors }) => {
      throw errors[0];
    });
  }

  #at(shard: number): RedisShard {
    return this.#shards[shard] as RedisShard;
  }
}
