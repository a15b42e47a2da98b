// The Redis store through the clients of Valkey, which work with any Redis.

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { GlideClient } from "@valkey/valkey-glide";
import { Redis as Valkey } from "iovalkey";
import { createLimiter } from "tollgate";
import { type RedisClient, redisStore } from "tollgate/stores/redis";
import { fakeClock } from "tollgate/testing";
import { anyRedis } from "../servers.ts";
import { testStore } from "./store-suite.ts";

const server = await anyRedis();
const { hostname: host, port } = new URL(server.url);
const io = new Valkey(server.url, { autoResendUnfulfilledCommands: false });
const glide = await GlideClient.createClient({ addresses: [{ host, port: Number(port) }] });
after(() => {
  io.disconnect();
  glide.close();
});
const clients: Record<string, RedisClient> = { iovalkey: io, "valkey-glide": glide };

for (const [name, client] of Object.entries(clients)) {
  testStore(`redis by ${name}`, () => {
    server.cli("FLUSHALL");
    const clock = fakeClock();
    return { store: redisStore(client, { clock }), advance: clock.advance };
  });

  describe(`the Redis store by ${name}`, () => {
    it("answers more than 1,000 calls at once, and admits exactly the quota", async () => {
      server.cli("FLUSHALL");
      const limiters = Array.from({ length: 4 }, () =>
        createLimiter({
          policy: { version: 1, limits: [{ name: "per-session", per: ["session"], quota: 700 }] },
          store: redisStore(client),
        }),
      );
      const calls = Array.from({ length: 4_000 }, (_, i) => limiters[i % 4]?.consume({ tool: "a", session: "s1" }));
      assert.equal((await Promise.all(calls)).filter((decision) => decision?.allowed).length, 700);
    });

    it("answers more than 1,000 batches at once", async () => {
      server.cli("FLUSHALL");
      const store = redisStore(client, { deadlineMs: 10_000 });
      const limit = { algorithm: "quota", quota: 700, ttlMs: 60_000, ttlFrom: "first" } as const;
      const batches = Array.from({ length: 2_500 }, () =>
        store.apply([{ mode: "judge", steps: [{ bucket: "b", limit, event: { type: "charge", cost: 1 } }] }]),
      );
      const replies = (await Promise.all(batches)).flat();
      assert.equal(replies.filter((reply) => "allowed" in reply && reply.allowed).length, 700);
    });

    it("reads how the server is set up", async () => {
      const setup = await redisStore(client).setup?.();
      assert.deepEqual(
        setup?.map(({ name }) => name),
        ["version", "eviction", "persistence", "client"],
      );
      assert.match(setup?.[0]?.value ?? "", /^(Redis|Valkey) \d/);
      assert.equal(setup?.[3]?.problem, null);
    });
  });
}
