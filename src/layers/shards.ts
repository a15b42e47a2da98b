// The layer in front of a store of several shards. A request whose keys are all in one shard, as nearly all are, goes to what stands
// before that shard (shards/fronts.ts). How a request over several is decided is in store/wide-request.ts.

import type { Step, StoreRequest } from "../kernel/request.ts";
import { countdown } from "../clock.ts";
import { asStoreError } from "../store/error.ts";
import type { StoreShards } from "../store/shared-store.ts";
import type { Layer, StoreAnswer } from "../store/store.ts";
import {
  type AskShard,
  decideInShards,
  decideWide,
  LaterWork,
  ShardMemory,
  type Shards,
} from "../store/wide-request.ts";
import { askOne } from "./layer.ts";
import type { Fronts } from "./shards/fronts.ts";

/** The keys of a request are in several shards. */
const SEVERAL = -1;

interface Asked {
  readonly request: StoreRequest;
  readonly leftMs: number | undefined;
  readonly resolve: (answer: StoreAnswer) => void;
  readonly reject: (error: unknown) => void;
}

export class ShardsLayer implements Layer {
  readonly deadlineMs?: number;
  readonly #shards: StoreShards;
  readonly #fronts: Fronts;
  readonly #memory = new ShardMemory();
  /** Requests over several shards that were asked in this tick. */
  #fresh: Asked[] = [];
  readonly #later = new LaterWork();

  /** @param deadlineMs how long a call may take; `undefined`: there is no deadline */
  constructor(shards: StoreShards, fronts: Fronts, deadlineMs: number | undefined) {
    this.#shards = shards;
    this.#fronts = fronts;
    if (deadlineMs !== undefined) this.deadlineMs = deadlineMs;
  }

  apply(requests: readonly StoreRequest[], leftMs?: number): Promise<readonly StoreAnswer[]> {
    const answers = requests.map(async (request) => this.answer(request, leftMs));
    // A shard that fails concerns its own requests alone.
    return Promise.all(answers.map((answer) => answer.catch(asStoreError)));
  }

  answer(request: StoreRequest, leftMs?: number): StoreAnswer | Promise<StoreAnswer> {
    const shard = this.#shardOf(request);
    return shard === SEVERAL
      ? this.#decideWide(request, leftMs)
      : askOne(this.#fronts.at(shard).asked, request, leftMs);
  }

  /** Takes back what no call needs, each part in its shard. */
  giveBack(requests: readonly StoreRequest[]): Promise<readonly StoreAnswer[]> {
    return decideInShards(requests, this.#asking(this.#giveBackIn));
  }

  /** Waits until all shards count again that have something to be booked, or until the time is over. */
  async recovered(withinMs: number, hasMore: boolean): Promise<void> {
    await Promise.all(this.#fronts.all().map(({ failing }) => failing?.recovered(withinMs, hasMore)));
  }

  async close(withinMs?: number): Promise<void> {
    await this.#later.done();
    await this.#fronts.close(withinMs);
  }

  /** The shard of all keys of a request; `SEVERAL`. */
  #shardOf({ steps, once }: StoreRequest): number {
    const [first] = steps;
    const shard = this.#shards.of(once === undefined ? (first?.bucket ?? "") : once.key);
    for (let i = once === undefined ? 1 : 0; i < steps.length; i++) {
      if (this.#shards.of((steps[i] as Step).bucket) !== shard) return SEVERAL;
    }
    return shard;
  }

  /** Those of one tick are decided together: what they ask one shard goes there as one. */
  #decideWide(request: StoreRequest, leftMs = this.deadlineMs): Promise<StoreAnswer> {
    return new Promise((resolve, reject) => {
      const asked = { request, leftMs, resolve, reject };
      if (this.#fresh.push(asked) === 1) void Promise.resolve().then(() => this.#decideFresh());
    });
  }

  #decideFresh(): void {
    const byTime = Map.groupBy(this.#fresh, ({ leftMs }) => leftMs);
    this.#fresh = [];
    for (const [ms, asked] of byTime) {
      const leftMs = ms === undefined ? () => undefined : countdown(ms);
      const decide: AskShard = (shard, requests) => this.#fronts.at(Number(shard)).asked.apply(requests, leftMs());
      const requests = asked.map(({ request }) => request);
      decideWide(requests, this.#asking(decide), (at, answer) => asked[at]?.resolve(answer)).catch((error) => {
        for (const { reject } of asked) reject(error);
      });
    }
  }

  readonly #giveBackIn: AskShard = (shard, requests) => this.#fronts.at(Number(shard)).givesBack.apply(requests);

  #asking(decide: AskShard): Shards {
    return {
      of: (key) => String(this.#shards.of(key)),
      decide,
      settle: this.#giveBackIn,
      runLater: this.#later.add,
      isAway: (shard) => this.#fronts.at(Number(shard)).failing?.isAway === true,
      memory: this.#memory,
    };
  }
}
