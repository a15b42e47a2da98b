// What a call is known by: its idempotency key names one call, and its hold can be ended with that call alone. In every store,
// and over HTTP.

import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { type Call, createLimiter, type Limiter, type PolicyInput, type Reserved, StoreError } from "tollgate";
import { createRemoteLimiter } from "tollgate/client";
import type { SharedStore, Store } from "tollgate/store";
import { memoryStore } from "tollgate/stores/memory";
import { redisStore } from "tollgate/stores/redis";
import { sqliteStore } from "tollgate/stores/sqlite";
import { fakeClock } from "tollgate/testing";
import { networkLayers } from "../../src/layers/network.ts";
import { anyRedis } from "../servers.ts";
import { served } from "../service/served.ts";
import { temporaryFolder } from "../temporary.ts";
import { isMisuse } from "./fixture.ts";

/** No limit is per user, agent, turn or plan, and none but `searches` is per arguments. */
const POLICY: PolicyInput = {
  version: 1,
  tools: { search: { ignoreArgs: ["at"] } },
  limits: [
    { name: "calls", per: ["session"], quota: 100 },
    { name: "tokens", per: ["tenant"], unit: "tokens", quota: 1_000 },
    { name: "per-tool", per: ["tool"], quota: 100, hold: { onExpiry: "refund" } },
    { name: "searches", per: ["session", "args"], when: { tool: ["search"] }, quota: 100 },
    { name: "plans", per: ["plan"], onMissing: "skip", quota: 100 },
  ],
};
const folder = temporaryFolder();
const redis = await anyRedis();
let opened = 0;

const stores: Readonly<Record<string, () => Store>> = {
  memory: () => memoryStore(),
  sqlite: () => sqliteStore(join(folder, `${opened}.db`)),
  redis: () => redisStore(redis.ioredis()),
};
/** Two limiters on one store, as two processes have them, and the same over HTTP. */
const pairs: Readonly<Record<string, () => Promise<readonly [Limiter, Limiter]>>> = {
  ...Object.fromEntries(
    Object.entries(stores).map(([name, open]) => [
      name,
      async () => {
        const store = open();
        // Limiters of earlier tests are still there: each pair has its own keys.
        const options = { policy: POLICY, store, prefix: `test-${opened++}` };
        return [createLimiter(options), createLimiter(options)] as const;
      },
    ]),
  ),
  "a client": async () => {
    const { url } = await served({ policy: POLICY });
    return [createRemoteLimiter({ url }), createRemoteLimiter({ url })];
  },
  "a store that is away": async () => {
    const away: SharedStore = {
      layers: networkLayers,
      apply: () => Promise.reject(new StoreError("unavailable", "away", { transient: true })),
      book: () => Promise.reject(new StoreError("unavailable", "away", { transient: true })),
      beat: () => Promise.reject(new StoreError("unavailable", "away", { transient: true })),
      close: async () => {},
    };
    const policy = { ...POLICY, limits: POLICY.limits.map((limit) => ({ ...limit, onStoreError: "allow" as const })) };
    const limiter = createLimiter({ policy, store: away });
    return [limiter, limiter];
  },
};

const call: Call = {
  tool: "search",
  tenant: "acme",
  user: "u1",
  session: "s1",
  turn: 1,
  agent: "a1",
  plan: "pro",
  args: { query: "weather", page: { from: 1, to: 2 }, at: 5 },
  cost: { tokens: 10 },
  idempotencyKey: "job-17",
} as Call;

/** Calls that differ from it, each in one thing. */
const others: Readonly<Record<string, object>> = {
  tool: { tool: "fetch" },
  tenant: { tenant: "globex" },
  user: { user: "u2" },
  "no user": { user: undefined },
  turn: { turn: 2 },
  agent: { agent: "a2" },
  plan: { plan: "free" },
  arguments: { args: { query: "weather", page: { from: 1, to: 3 } } },
  "no arguments": { args: undefined },
  "text for a number": { args: { query: "weather", page: { from: "1", to: 2 } } },
};
/** The same call, said otherwise. */
const retries: Readonly<Record<string, object>> = {
  "the same object": {},
  "another order of keys": { args: { page: { to: 2, from: 1 }, query: "weather" } },
  "arguments as text": { args: '{ "query": "weather", "page": { "from": 1.0, "to": 2e0 } }' },
  "another volatile field": { args: { query: "weather", page: { from: 1, to: 2 }, at: 6 } },
  "a bigint for a number": { args: { query: "weather", page: { from: 1n, to: 2n } } },
  "a text for a number as dimension": { turn: "1" },
  "another estimate": { cost: { tokens: 20 } },
  "another id of the model's": { toolCallId: "call_2" },
};

for (const [name, open] of Object.entries(pairs)) {
  describe(`an idempotency key, on ${name}`, () => {
    it("is refused for a call that differs in anything", async () => {
      const [limiter, second] = await open();
      assert.deepEqual(await outcome(limiter.consume(call)), [true, false]);
      for (const [what, other] of Object.entries(others)) {
        for (const by of [limiter, second]) {
          await assert.rejects(by.consume({ ...call, ...other }), isMisuse("idempotency-conflict"), what);
        }
      }
      for (const verb of ["record", "reserve"] as const) {
        await assert.rejects(second[verb](call), isMisuse("idempotency-conflict"), verb);
      }
      await assert.rejects(
        second.run(call, () => assert.fail("ran")),
        isMisuse("idempotency-conflict"),
      );
      const batch = await Promise.allSettled([
        limiter.consume({ ...call, idempotencyKey: "batch" }),
        limiter.consume({ ...call, idempotencyKey: "batch", user: "u2" }),
      ]);
      assert.deepEqual(
        batch.map(({ status }) => status),
        ["fulfilled", "rejected"],
      );
    });

    it("is charged once for a retry, in any spelling of the call", async () => {
      const [limiter, second] = await open();
      await limiter.consume(call);
      for (const [what, retry] of Object.entries(retries)) {
        assert.deepEqual(await outcome(second.consume({ ...call, ...retry })), [true, true], what);
      }
      if (name !== "a store that is away") {
        const usages = await second.usage({ session: "s1" });
        assert.deepEqual(
          usages.map(({ limit, used }) => [limit, used]),
          [
            ["calls", 1],
            ["per-tool", 1],
          ],
        );
      }
    });

    it("keeps what is reserved or run under it", async () => {
      const [limiter, second] = await open();
      const first = (await limiter.reserve(call)) as Reserved;
      const again = (await second.reserve({ ...call, cost: { tokens: 30 } })) as Reserved;
      assert.deepEqual([again.replayed, again.hold.id], [true, first.hold.id]);
      await assert.rejects(second.reserve({ ...call, agent: "a2" }), isMisuse("idempotency-conflict"));
      const key = { idempotencyKey: "run" };
      assert.equal((await limiter.run({ ...call, ...key }, () => 1)).allowed, true);
      await assert.rejects(
        second.run({ ...call, ...key, args: {} }, () => assert.fail("ran")),
        isMisuse("idempotency-conflict"),
      );
    });
  });
}

for (const [name, open] of Object.entries(pairs)) {
  if (name === "a store that is away") continue;
  describe(`a hold, on ${name}`, () => {
    const { idempotencyKey: _, ...free } = call;
    const toolUnits = async (limiter: Limiter) =>
      (await limiter.usage({ tool: "search" })).find(({ limit }) => limit === "per-tool")?.used;

    it("is unknown with another call, and stays unchanged", async () => {
      const [limiter, second] = await open();
      const held = (await limiter.reserve(free)) as Reserved;
      for (const [what, other] of Object.entries(others)) {
        if (what === "tool") continue;
        const wrong = second.getHold(held.hold.id, { ...free, ...other });
        await assert.rejects(wrong.release(), isMisuse("unknown-hold"), what);
        await assert.rejects(wrong.extend(), isMisuse("unknown-hold"), what);
        const settlement = await wrong.settle({ calls: 0, tokens: 0 });
        assert.equal(settlement.status, "unknown-hold", what);
        assert.equal(await toolUnits(second), 1, what);
      }
      assert.equal(await second.getHold(held.hold.id, free).extend(), true);
      const settlement = await second
        .getHold(held.hold.id, { ...free, args: '{"page":{"to":2,"from":1},"query":"weather"}' })
        .settle();
      assert.equal(settlement.status, "settled");
      assert.equal((await held.hold.settle()).replayed, true);
    });

    it("of a call that runs is unknown with another call, too", async () => {
      const [limiter, second] = await open();
      const slots = { ...free, tool: "fetch" };
      const held = (await limiter.reserve(slots)) as Reserved;
      await assert.rejects(
        second.getHold(held.hold.id, { ...slots, tenant: "globex" }).release(),
        isMisuse("unknown-hold"),
      );
      // No limit of this tool is per arguments, so the process that ends the call need not pass them.
      const { args: __, ...without } = slots;
      assert.equal((await second.getHold(held.hold.id, without).release()).status, "settled");
    });
  });
}

describe("a hold that was made under another policy", () => {
  const { limits, ...rest } = POLICY;
  const perArgs = { name: "same", per: ["session", "args"], onMissing: "skip", quota: 100 };
  const policies = { without: { ...rest, limits }, with: { ...rest, limits: [...limits, perArgs] } };
  for (const [from, to] of [
    ["without", "with"],
    ["with", "without"],
  ] as const) {
    it(`is ended by its id after a reload from one ${from} a limit per args to one ${to}`, async () => {
      const { idempotencyKey: _, ...free } = call;
      const own = { ...free, tool: "fetch" };
      const limiter: Limiter = createLimiter({ policy: policies[from] as PolicyInput, store: memoryStore() });
      const [released, settled] = [(await limiter.reserve(own)) as Reserved, (await limiter.reserve(own)) as Reserved];
      limiter.reload(policies[to] as PolicyInput);
      assert.equal((await limiter.getHold(settled.hold.id, own).settle({ calls: 1, tokens: 4 })).status, "settled");
      await assert.rejects(
        limiter.getHold(released.hold.id, { ...own, tenant: "globex" }).release(),
        isMisuse("unknown-hold"),
      );
      assert.equal((await limiter.getHold(released.hold.id, own).release()).status, "settled");
    });
  }
});

describe("a hold that was made before a limit was added", () => {
  it("is extended by its id where it lives", async () => {
    const clock = fakeClock(1_000_000);
    const limits = [{ name: "tokens", per: ["session"], unit: "tokens", quota: 100 }] as const;
    const added = [...limits, { name: "all-tokens", per: [], unit: "tokens", quota: 1_000 }] as const;
    const limiter: Limiter = createLimiter({ policy: { version: 1, limits }, store: memoryStore({ clock }) });
    const own = { tool: "model", session: "s1", cost: { tokens: 5 } };
    const { hold } = (await limiter.reserve(own, { leaseMs: 1_000 })) as Reserved;
    limiter.reload({ version: 1, limits: added });
    assert.equal(await limiter.getHold(hold.id, own).extend({ leaseMs: 5_000 }), true);
    clock.advance(4_000);
    assert.equal((await limiter.getHold(hold.id, own).settle({ tokens: 5 })).status, "settled");
    const gone = (await limiter.reserve(own, { leaseMs: 1_000 })) as Reserved;
    clock.advance(1_000);
    assert.equal(await limiter.getHold(gone.hold.id, own).extend(), false);
  });
});

describe("a hold that some of its buckets have forgotten", () => {
  it("is settled in the others", async () => {
    const limiter = createLimiter({ policy: POLICY, store: memoryStore() });
    const { idempotencyKey: _, ...free } = call;
    const held = (await limiter.reserve(free)) as Reserved;
    await limiter.reset({ limit: "calls", session: "s1" });
    const settlement = await limiter.getHold(held.hold.id, free).settle({ calls: 1, tokens: 4 });
    assert.equal(settlement.status, "settled");
    const used = Object.fromEntries(settlement.usages.map(({ limit, used }) => [limit, used]));
    assert.deepEqual([used.calls, used.tokens, used["per-tool"]], [1, 4, 1]);
  });
});

async function outcome(asked: ReturnType<Limiter["consume"]>): Promise<[allowed: boolean, replayed: boolean]> {
  const { allowed, replayed } = await asked;
  return [allowed, replayed];
}
