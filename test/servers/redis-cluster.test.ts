// The Redis store on a cluster of three masters and three replicas.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createLimiter, type PolicyInput, StoreError } from "tollgate";
import type { StoreRequest } from "tollgate/store";
import { type RedisClient, redisStore } from "tollgate/stores/redis";
import { fakeClock } from "tollgate/testing";
import { clientsOfCluster } from "../cluster-clients.ts";
import type { DividedStore } from "../../src/store/shared-store.ts";
import { redisStorage } from "../../src/log/redis.ts";
import { type OpenStorage, testStorage } from "../log/storage-cases.ts";
import { startCluster } from "../redis-cluster.ts";
import { CASE_MS, inPartition, testSharedStore, testStore } from "../stores/store-suite.ts";

// A replica that takes over because the machine is busy would lose what was not copied yet.
const cluster = await startCluster("--cluster-node-timeout", "30000");
const clients = await clientsOfCluster(cluster);

for (const [name, client] of Object.entries(clients)) {
  const open = async () => {
    await cluster.empty();
    const clock = fakeClock();
    return { store: inPartition(redisStore(client, { clock, deadlineMs: CASE_MS }), "s1"), advance: clock.advance };
  };
  testStore(`redis cluster by ${name}`, open, name === "ioredis" ? "all kinds" : "one kind each");
}

const openShard = async () => {
  await cluster.empty();
  const clock = fakeClock();
  const whole = redisStore(clients.ioredis as RedisClient, { clock, deadlineMs: CASE_MS }) as DividedStore;
  const store = whole.shards.at(21);
  store.close = () => whole.close();
  return { store, advance: clock.advance };
};
// The whole cluster has played all of them above: in its shards.
testSharedStore("a shard of a redis cluster", openShard, "one kind each");

for (const name of ["ioredis", "node-redis", "valkey-glide"] as const) {
  const open: OpenStorage = (of, { maxEntries = 10_000, maxAgeMs = 2_678_400_000 } = {}) =>
    redisStorage(clients[name], { maxEntries, maxAgeMs, prefix: `log-${name}-${of}` });
  testStorage(`a log in a redis cluster by ${name}`, open, { slack: 100, isKept: true });
}

const POLICY: PolicyInput = {
  version: 1,
  limits: [
    { name: "per-session", per: ["session"], quota: 100 },
    { name: "per-user", per: ["user"], algorithm: "fixed-window", window: "365d", quota: 20 },
    { name: "tenant-rate", per: ["tenant"], algorithm: "token-bucket", window: "1h", quota: 50 },
    { name: "new-sessions", per: ["user"], distinct: "session", quota: 3 },
    { name: "slow", per: ["tool"], algorithm: "concurrency", quota: 2, when: { tool: ["slow"] } },
  ],
};

for (const [name, client] of Object.entries(clients)) {
  describe(`calls over several slots, by ${name}`, () => {
    const limiter = createLimiter({
      policy: POLICY,
      store: redisStore(client, { deadlineMs: CASE_MS }),
      failover: { deadlineMs: CASE_MS },
    });
    let calls = 0;
    /** Whose calls no other test makes. */
    const whose = () => ({ user: `u-${name}-${++calls}`, tenant: `t-${name}-${calls}`, session: `s-${name}-${calls}` });
    const used = async (of: ReturnType<typeof whose>) => {
      const usages = await limiter.usage({ ...of, tool: "a" });
      return Object.fromEntries(usages.map((usage) => [usage.limit, usage.used]));
    };

    it("are charged in all of them, or in none", async () => {
      const of = whose();
      assert.equal(new Set(Object.values(of).map((each) => cluster.cli("CLUSTER", "KEYSLOT", each))).size, 3);
      for (let i = 0; i < 20; i++) {
        const { allowed, verdicts } = await limiter.consume({ tool: "a", ...of });
        assert.deepEqual([allowed, verdicts[0]?.remaining, verdicts[1]?.remaining], [true, 99 - i, 19 - i]);
      }
      const denied = await limiter.consume({ tool: "a", ...of });
      assert.equal(denied.allowed, false);
      assert.deepEqual(
        denied.verdicts.map(({ limit, allowed, remaining }) => [limit, allowed, remaining]),
        [
          ["per-session", true, 80],
          ["per-user", false, 0],
          ["tenant-rate", true, 30],
          ["new-sessions", true, 2],
        ],
      );
      assert.deepEqual(await used(of), { "per-session": 20, "per-user": 20, "tenant-rate": 20, "new-sessions": 1 });
    });

    it("never pass a quota, at any concurrency", async () => {
      const { user, tenant } = whose();
      const decisions = await Promise.all(
        Array.from({ length: 120 }, (_, i) =>
          limiter.consume({ tool: "a", user, tenant, session: `${user}-${i % 3}` }),
        ),
      );
      const admitted = decisions.filter(({ allowed }) => allowed).length;
      // Calls that hold on their way may deny others that would have passed.
      assert.ok(admitted <= 20 && admitted > 0, `${admitted}`);
      // What they have is given back while no call waits for it.
      const isGivenBack = async () => (await used({ user, tenant, session: `${user}-0` }))["per-user"] === admitted;
      for (let tries = 0; tries < 200 && !(await isGivenBack()); tries++) await sleep(10);
      for (let i = 0; admitted + i < 20; i++) {
        assert.equal((await limiter.consume({ tool: "a", user, tenant, session: `${user}-0` })).allowed, true);
      }
      assert.equal((await limiter.consume({ tool: "a", user, tenant, session: `${user}-0` })).allowed, false);
      assert.equal((await used({ user, tenant, session: `${user}-0` }))["per-user"], 20);
    });

    it("are held, settled and released in all of them", async () => {
      const of = whose();
      const held = await limiter.reserve({ tool: "slow", ...of });
      assert.ok(held.allowed);
      const second = await limiter.reserve({ tool: "slow", ...of });
      assert.equal((await limiter.reserve({ tool: "slow", ...of })).allowed, false);
      assert.equal((await used(of))["per-user"], 2);
      await held.hold.release();
      assert.ok(second.allowed);
      await second.hold.settle();
      assert.deepEqual(await used(of), { "per-session": 1, "per-user": 1, "tenant-rate": 1, "new-sessions": 1 });
    });

    it("are charged once under their key", async () => {
      const of = whose();
      const call = { tool: "a", ...of, idempotencyKey: `k-${of.user}` };
      const first = await limiter.consume(call);
      const again = await limiter.consume(call);
      assert.deepEqual([first.replayed, again.allowed, again.replayed], [false, true, true]);
      assert.equal((await used(of))["tenant-rate"], 1);
      const both = await Promise.all([1, 2].map(() => limiter.consume({ ...call, idempotencyKey: `x-${of.user}` })));
      assert.deepEqual(both.map(({ replayed }) => replayed).sort(), [false, true]);
      assert.equal((await used(of))["tenant-rate"], 2);
    });

    it("are judged again under their key when they were denied", async () => {
      const of = whose();
      for (let i = 0; i < 20; i++) await limiter.consume({ tool: "a", ...of });
      const call = { tool: "a", ...of, idempotencyKey: `k-${of.user}` };
      assert.equal((await limiter.consume(call)).allowed, false);
      await limiter.reset({ limit: "per-user", user: of.user });
      const again = await limiter.consume(call);
      assert.deepEqual([again.allowed, again.replayed], [true, false]);
    });

    it("are charged when their process dies on the way", async () => {
      const store = redisStore(client);
      const key = `rate:1:{dead-${name}}:a`;
      const limit = { algorithm: "budget", quota: 5, ttlMs: 60_000, ttlFrom: "first" } as const;
      const hold: StoreRequest = {
        mode: "judge",
        steps: [
          { bucket: key, limit, event: { type: "hold", id: "on-the-way", units: 1, leaseMs: 30, onExpiry: "charge" } },
        ],
      };
      await store.apply([hold]);
      await new Promise((resolve) => setTimeout(resolve, 60));
      const [reply] = await store.apply([{ mode: "peek", steps: [{ bucket: key, limit, event: { type: "read" } }] }]);
      assert.ok(reply !== undefined && !StoreError.isInstance(reply));
      assert.equal(reply.steps[0]?.used, 1);
    });
  });
}

describe("a command", () => {
  for (const [name, client] of Object.entries(clients)) {
    it(`goes to the server that has its keys, without a redirection: ${name}`, async () => {
      const limiter = createLimiter({
        policy: POLICY,
        store: redisStore(client, { deadlineMs: CASE_MS }),
        failover: { deadlineMs: CASE_MS },
      });
      const call = () =>
        Promise.all(
          Array.from({ length: 20 }, (_, i) => {
            const of = `moved-${name}-${i}`;
            return limiter.consume({ tool: "a", session: of, user: of, tenant: `tenant-${of}` });
          }),
        );
      await call();
      for (const server of cluster.servers) server.cli("CONFIG", "RESETSTAT");
      await call();
      const moved = cluster.servers.map((server) => server.cli("INFO", "errorstats").includes("errorstat_MOVED"));
      assert.ok(!moved.includes(true), `${moved}`);
      await limiter.close();
    });
  }
});

describe("a cluster's set-up", () => {
  it("is read from one of its servers", async () => {
    for (const client of Object.values(clients)) {
      const setup = await redisStore(client).setup?.();
      assert.match(setup?.[0]?.value ?? "", /^Redis \d/);
    }
  });
});
