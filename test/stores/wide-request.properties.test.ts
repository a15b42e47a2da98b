// Calls over several shards whose messages and answers arrive in any order, and may be lost. No bucket is ever above its quota; and
// when all is answered and given back, each bucket counts exactly the calls that were admitted, and at most what was lost.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as inNextTurn } from "node:timers/promises";
import { type LimitSpec, type Step, StoreError, type StoreReply, type StoreRequest } from "tollgate/store";
import { memoryStore } from "tollgate/stores/memory";
import { fakeClock } from "tollgate/testing";
import { algorithmOf } from "../../src/kernel/algorithms/registry.ts";
import { tagOf } from "../../src/kernel/key.ts";
import { decideInShards, ShardMemory } from "../../src/store/wide-request.ts";
import { cases } from "../length.ts";
import { numbers } from "./numbers.ts";

const DAY_MS = 86_400_000;
const KINDS: readonly ((quota: number) => LimitSpec)[] = [
  (quota) => ({ algorithm: "budget", quota, ttlMs: DAY_MS, ttlFrom: "last" }),
  (quota) => ({ algorithm: "fixed-window", quota, windowMs: DAY_MS, align: "first-use" }),
  (quota) => ({ algorithm: "sliding-window", quota, windowMs: DAY_MS }),
  (burst) => ({ algorithm: "token-bucket", burst, levelPerUnit: DAY_MS, levelPerMs: 1 }),
  (_) => ({ algorithm: "cooldown", quota: 1, pauseMs: DAY_MS }),
];
/** One shard of one session, several that many share, and one of all. */
const SHARDS = ["s1", "s2", "user=u", "tenant=t", "all"];

interface Bucket {
  readonly key: string;
  readonly limit: LimitSpec;
  readonly capacity: number;
  admitted: number;
  /** Units of messages that were lost, or whose answers were. */
  unsure: number;
}

type Random = (below: number) => number;

class Network {
  readonly #random: Random;
  readonly #losesOneOf: number;
  readonly #stores = new Map(SHARDS.map((shard, i) => [shard, memoryStore({ clock: fakeClock(1e12 + i * 777) })]));
  readonly #memory = new ShardMemory(fakeClock());
  readonly buckets: Map<string, Bucket>;
  /** What arrives next, in any order. */
  readonly #arriving: (() => Promise<void>)[] = [];

  constructor(random: Random, losesOneOf: number) {
    this.#random = random;
    this.#losesOneOf = losesOneOf;
    this.buckets = new Map(
      SHARDS.map((shard) => {
        const limit = (KINDS[random(KINDS.length)] as (typeof KINDS)[number])(1 + random(6));
        const key = shard === "all" ? "{all}:all" : `{${shard}}:b`;
        return [shard, { key, limit, capacity: algorithmOf(limit).capacity(limit), admitted: 0, unsure: 0 }];
      }),
    );
  }

  /** Decides requests, counts what is admitted. */
  async send(requests: readonly StoreRequest[]): Promise<void> {
    const ask = (shard: string, each: readonly StoreRequest[]) => this.#ask(shard, each);
    const answers = await decideInShards(requests, {
      of: tagOf,
      decide: ask,
      settle: ask,
      runLater: () => {},
      memory: this.#memory,
    });
    for (const [i, answer] of answers.entries()) {
      if (StoreError.isInstance(answer) || !answer.allowed) continue;
      for (const step of (requests[i] as StoreRequest).steps) this.#bucketOf(step).admitted += unitsOf(step);
    }
  }

  /** Lets messages and answers arrive until there are none. */
  async arrive(): Promise<void> {
    for (;;) {
      await inNextTurn();
      const [next] = this.#arriving.splice(this.#random(this.#arriving.length), 1);
      if (next === undefined) return;
      await next();
    }
  }

  async used({ key, limit }: Bucket): Promise<number> {
    const steps = [{ bucket: key, limit, event: { type: "read" } } as const];
    const [reply] = (await this.#stores.get(tagOf(key))?.apply([{ mode: "peek", steps }])) ?? [];
    return (reply as StoreReply).steps[0]?.used ?? Number.NaN;
  }

  #ask(shard: string, requests: readonly StoreRequest[]) {
    return new Promise<Awaited<ReturnType<ReturnType<typeof memoryStore>["apply"]>>>((resolve, reject) => {
      const lose = () => {
        for (const step of requests.flatMap(({ steps }) => steps)) this.#bucketOf(step).unsure += unitsOf(step);
        reject(new StoreError("unavailable", "lost", { transient: true }));
      };
      this.#arriving.push(async () => {
        if (this.#isLost()) return lose();
        const answers = await this.#stores.get(shard)?.apply(requests);
        const bucket = this.buckets.get(shard) as Bucket;
        assert.ok((await this.used(bucket)) <= bucket.capacity, `${shard} is above its quota`);
        this.#arriving.push(async () => (this.#isLost() ? lose() : resolve(answers ?? [])));
      });
    });
  }

  #isLost(): boolean {
    return this.#losesOneOf > 0 && this.#random(this.#losesOneOf) === 0;
  }

  #bucketOf({ bucket }: Step): Bucket {
    return this.buckets.get(tagOf(bucket)) as Bucket;
  }
}

const unitsOf = ({ event }: Step) => (event.type === "charge" ? event.cost : event.type === "hold" ? event.units : 0);

let ids = 0;
/** A call or a reservation over some of the shards. */
function requestOf(random: Random, buckets: ReadonlyMap<string, Bucket>): StoreRequest {
  const isHeld = random(5) === 0;
  const one = SHARDS[random(SHARDS.length)];
  const chosen = [...buckets].filter(([shard]) => shard === one || random(5) < 3).map(([, bucket]) => bucket);
  const id = `h${++ids}`;
  const steps = chosen.map(({ key, limit }): Step => {
    const units = limit.algorithm === "cooldown" ? 1 : random(3);
    const charge = { type: "charge", cost: units } as const;
    const hold = { type: "hold", id, units, leaseMs: DAY_MS, onExpiry: "charge" } as const;
    return { bucket: key, limit, event: isHeld ? hold : charge };
  });
  return { mode: "judge", steps };
}

async function play(seed: number, losesOneOf: number): Promise<Network> {
  const random = numbers(seed);
  const network = new Network(random, losesOneOf);
  for (let round = 0; round < 4; round++) {
    const batches = Array.from({ length: 1 + random(4) }, () =>
      Array.from({ length: 1 + random(5) }, () => requestOf(random, network.buckets)),
    );
    const sent = batches.map((batch) => network.send(batch));
    await network.arrive();
    await Promise.all(sent);
  }
  return network;
}

describe("calls over several shards at the same time", () => {
  it("leave exactly what was admitted", async () => {
    let admitted = 0;
    for (let seed = 1; seed <= cases(60, 300); seed++) {
      const network = await play(seed, 0);
      for (const bucket of network.buckets.values()) {
        admitted += bucket.admitted;
        assert.equal(await network.used(bucket), bucket.admitted, `seed ${seed}, ${bucket.key}`);
      }
    }
    assert.ok(admitted > 300, `${admitted}`);
  });

  it("leave at least what was admitted, and at most what was lost beside it", async () => {
    for (let seed = 1; seed <= cases(60, 300); seed++) {
      const network = await play(seed, 8);
      for (const bucket of network.buckets.values()) {
        const used = await network.used(bucket);
        const words = `seed ${seed}, ${bucket.key}: ${used} used, ${bucket.admitted} admitted, ${bucket.unsure} unsure`;
        assert.ok(used >= bucket.admitted && used <= bucket.admitted + bucket.unsure, words);
      }
    }
  });
});
