// A store of shards answers as one that decides everything in one step: the same calls, one after the other, on both.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Call, MisuseError, type PolicyInput } from "tollgate";
import type { Store } from "tollgate/store";
import { memoryStore } from "tollgate/stores/memory";
import { type FakeClock, fakeClock } from "tollgate/testing";
import { tagOf } from "../../src/kernel/key.ts";
import { createHostedLimiter, type HostedLimiter } from "../../src/limiter.ts";
import { decideInShards, ShardMemory } from "../../src/store/wide-request.ts";
import { cases } from "../length.ts";
import { numbers } from "./numbers.ts";

const POLICY: PolicyInput = {
  version: 1,
  limits: [
    { name: "per-session", per: ["session"], quota: 40 },
    { name: "values", per: ["session"], distinct: "tool", quota: 3 },
    { name: "per-user", per: ["user"], algorithm: "fixed-window", window: "1h", quota: 12 },
    { name: "tokens", per: ["user"], unit: "tokens", quota: 200 },
    { name: "tenant-rate", per: ["tenant"], algorithm: "token-bucket", window: "1m", quota: 10 },
    { name: "errors", per: ["tool"], algorithm: "streak", of: "errors", quota: 2 },
    { name: "slots", per: ["tenant"], algorithm: "concurrency", quota: 2, when: { tool: ["slow"] } },
    // Makes the dimension known.
    { name: "never", per: ["workspace"], quota: 1, when: { tool: ["other"] } },
    { name: "all", per: [], algorithm: "sliding-window", window: "1h", quota: 60 },
  ],
};
/** Has no limit in the object where answers are kept. */
const WIDE_ONLY: PolicyInput = {
  ...POLICY,
  partition: "workspace",
  limits: POLICY.limits.filter(({ name }) => name !== "values"),
};

/** A store of one memory store for each tag. */
function sharded(clock: FakeClock): { readonly store: Store; settled(): Promise<unknown> } {
  const shards = new Map<string, Store>();
  const memory = new ShardMemory();
  let later: Promise<unknown>[] = [];
  const ask = async (shard: string, requests: Parameters<Store["apply"]>[0]) => {
    const store = shards.get(shard) ?? memoryStore({ clock });
    shards.set(shard, store);
    return store.apply(requests);
  };
  const store: Store = {
    apply: (requests) =>
      decideInShards(requests, {
        of: (key) => tagOf(key),
        decide: ask,
        settle: ask,
        runLater: (work) => void later.push(work),
        memory,
      }),
    close: async () => {},
  };
  const settled = () => {
    const all = later;
    later = [];
    return Promise.all(all);
  };
  return { store, settled };
}

/** Ids are random. A hold on the way makes buckets end later. */
const DIFFERS = new Set(["hold", "id", "holdId", "resetAfterMs"]);

/**
 * What a method gave back or threw, as far as it is the same on both stores. An answer that is given again says of other shards
 * how they stand now.
 */
async function shown(ask: () => Promise<unknown>): Promise<unknown> {
  try {
    const answer = ((await ask()) ?? null) as { readonly replayed?: boolean } | null;
    if (answer?.replayed === true) return "replayed";
    return JSON.parse(JSON.stringify(answer, (key, value) => (DIFFERS.has(key) ? undefined : value)));
  } catch (error) {
    assert.ok(MisuseError.isInstance(error), String((error as Error).stack));
    // How an ended hold was found is kept only of the steps in the last shard.
    return error.code === "unknown-hold" ? "replayed" : error.code;
  }
}

/** A method that a turn calls on both limiters, which are numbered. */
type Verb = (limiter: HostedLimiter, which: number) => Promise<unknown>;

type Pick = <Item>(...items: Item[]) => Item;

function callOf(pick: Pick): Call {
  const of = { user: pick("u1", "u2"), tenant: pick("t1", "t2"), session: pick("s1", "s2") };
  const call = { tool: pick("a", "b", "c", "d"), ...of, workspace: pick("w1", "w2"), cost: { tokens: pick(0, 1, 30) } };
  return pick(true, false) ? { ...call, idempotencyKey: pick("k1", "k2", "k3") } : call;
}

/** What can be done with a call. Holds that are made are added to `held`, with their ids on both limiters. */
function verbsFor(call: Call, held: [ids: string[], call: Call][], pick: Pick): Record<string, Verb> {
  const { idempotencyKey: _, ...plain } = call;
  const { cost: __, ...of } = plain;
  const bucket = { limit: "per-user", user: String(of.user) };
  const grant = { id: pick("g1", "g2"), units: 1, durationMs: 60_000 };
  const usage = pick({ tokens: 10 }, { tokens: 40 }, {});
  const [ids, begun] = pick<[string[], Call]>([[], call], ...held);
  const holdOf = (limiter: HostedLimiter, which: number) => limiter.getHold(ids[which] ?? "x", begun);
  const reserveBy = async (limiter: HostedLimiter, which: number, options: { readonly force?: boolean }) => {
    const slow = { ...call, tool: call.tool === "b" ? "slow" : call.tool };
    const reserved = await limiter.reserveForRemote(slow, options);
    if (!reserved.allowed) return reserved;
    if (which === 0) held.push([[], slow]);
    held.at(-1)?.[0].push(reserved.hold.id);
    return reserved;
  };
  return {
    consume: (limiter) => limiter.consume(call),
    "consume by force": (limiter) => limiter.consumeForRemote(call, { force: true }),
    record: (limiter) => limiter.record(call),
    peek: (limiter) => limiter.peek(plain),
    usage: (limiter) => limiter.usage(of),
    reset: (limiter) => limiter.reset(bucket),
    grant: (limiter) => limiter.grant(bucket, grant),
    error: (limiter) => limiter.reportOutcome(plain, { error: "no" }),
    reserve: (limiter, which) => reserveBy(limiter, which, {}),
    "reserve by force": (limiter, which) => reserveBy(limiter, which, { force: true }),
    settle: (limiter, which) => holdOf(limiter, which).settle(usage),
    release: (limiter, which) => holdOf(limiter, which).release(),
    extend: (limiter, which) => holdOf(limiter, which).extend(),
  };
}

/** Calls the same on both stores. Each gives the answer of the other. */
async function play(policy: PolicyInput, seed: number, turns: number): Promise<void> {
  const random = numbers(seed);
  const pick: Pick = (...items) => items[random(items.length)] as (typeof items)[number];
  const clock = fakeClock();
  const shards = sharded(clock);
  const onEvent = () => {};
  const limiters = [shards.store, memoryStore({ clock })].map((store) =>
    createHostedLimiter({ policy, store, onEvent }),
  );
  const held: [ids: string[], call: Call][] = [];
  let call = callOf(pick);
  for (let turn = 0; turn < turns; turn++) {
    clock.advance(pick(0, 0, 10, 1_000, 20_000));
    // Now and then the same call again, perhaps with another method.
    if (random(3) > 0) call = callOf(pick);
    const verbs = verbsFor(call, held, pick);
    const name = pick("consume", "consume", "record", "reserve", "settle", ...Object.keys(verbs));
    const answers: unknown[] = [];
    for (const [which, limiter] of limiters.entries()) {
      answers.push(await shown(async () => verbs[name]?.(limiter, which)));
      await shards.settled();
    }
    assert.deepEqual(answers[0], answers[1], `seed ${seed}, turn ${turn}: ${name} ${JSON.stringify(call)}`);
  }
}

describe("a store of shards", () => {
  for (const [name, policy] of Object.entries({
    "in the partition and beside it": POLICY,
    "all beside the partition": WIDE_ONLY,
  })) {
    it(`answers as one store does, with limits ${name}`, async () => {
      for (let seed = 1; seed <= cases(30, 100); seed++) await play(policy, seed, 60);
    });
  }
});
