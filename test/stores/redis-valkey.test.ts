// The Redis store through the clients of Valkey, which work with any Redis, and those of Sentinel.

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { GlideClient, Logger } from "@valkey/valkey-glide";
import { Redis as Valkey } from "iovalkey";
import { createSentinel } from "redis";
import { createLimiter } from "tollgate";
import { type RedisClient, redisStore } from "tollgate/stores/redis";
import { fakeClock } from "tollgate/testing";
import { startSentinels } from "../redis-cluster.ts";
import { anyRedis, ownServers } from "../servers.ts";
import { CASE_MS, testSharedStore } from "./store-suite.ts";

// It writes of every connection that ends.
Logger.init("off");
const server = await anyRedis();
const { hostname: host, port } = new URL(server.url);
const io = new Valkey(server.url, { autoResendUnfulfilledCommands: false });
// Its own deadline of 250 ms is short for a machine that is busy with other tests.
const glide = await GlideClient.createClient({ addresses: [{ host, port: Number(port) }], requestTimeout: 5_000 });
after(() => {
  io.disconnect();
  glide.close();
});
const clients: Record<string, RedisClient> = { iovalkey: io, "valkey-glide": glide };

for (const [name, client] of Object.entries(clients)) {
  const open = async () => {
    await server.empty();
    const clock = fakeClock();
    return { store: redisStore(client, { clock, deadlineMs: CASE_MS }), advance: clock.advance };
  };
  // redis.test.ts plays all of them, by another client.
  testSharedStore(`redis by ${name}`, open, "one kind each");

  describe(`the Redis store by ${name}`, () => {
    it("answers more than 1,000 calls at once, and admits exactly the quota", async () => {
      server.cli("FLUSHALL");
      const limiters = Array.from({ length: 4 }, () =>
        createLimiter({
          policy: { version: 1, limits: [{ name: "per-session", per: ["session"], quota: 700 }] },
          store: redisStore(client),
          failover: { deadlineMs: CASE_MS },
        }),
      );
      const calls = Array.from({ length: 4_000 }, (_, i) => limiters[i % 4]?.consume({ tool: "a", session: "s1" }));
      assert.equal((await Promise.all(calls)).filter((decision) => decision?.allowed).length, 700);
      // Else they would give back what the server loses with the next FLUSHALL.
      await Promise.all(limiters.map((limiter) => limiter.close()));
    });

    it("answers more than 1,000 batches at once", async () => {
      server.cli("FLUSHALL");
      const stores = Array.from({ length: 4 }, () => redisStore(client, { deadlineMs: 10_000 }));
      const limit = { algorithm: "budget", quota: 700, ttlMs: 60_000, ttlFrom: "first" } as const;
      const batches = Array.from({ length: 2_500 }, (_, i) =>
        stores[i % 4]?.apply([{ mode: "judge", steps: [{ bucket: "b", limit, event: { type: "charge", cost: 1 } }] }]),
      );
      const replies = (await Promise.all(batches)).flat();
      assert.equal(replies.filter((reply) => reply !== undefined && "allowed" in reply && reply.allowed).length, 700);
    });

    it("reads how the server is set up", async () => {
      const setup = await redisStore(client).setup?.();
      assert.deepEqual(
        setup?.map(({ name }) => name),
        ["version", "eviction", "persistence", "client"],
      );
      assert.match(setup?.[0]?.value ?? "", /^(Redis|Valkey) \d/);
    });
  });
}

describe("the Redis store by Sentinel", ownServers, () => {
  it("counts on the server that it names, by each client", async () => {
    const { master, name, sentinels } = await startSentinels();
    const viaIo = new Valkey({ sentinels: [...sentinels], name, autoResendUnfulfilledCommands: false });
    const viaNode = await createSentinel({ name, sentinelRootNodes: [...sentinels] }).connect();
    try {
      for (const [i, client] of ([viaIo, viaNode] as RedisClient[]).entries()) {
        const store = redisStore(client);
        const limiter = createLimiter({
          policy: { version: 1, limits: [{ name: "per-session", per: ["session"], quota: 5 }] },
          store,
        });
        assert.equal((await limiter.consume({ tool: "a", session: "s1" })).verdicts[0]?.remaining, 4 - i);
        assert.match((await store.setup?.())?.[0]?.value ?? "", /^(Redis|Valkey) \d/);
      }
      assert.equal(master.cli("GET", "rate:1:{s1}:per-session"), "2");
    } finally {
      viaIo.disconnect();
      viaNode.destroy();
    }
  });
});
