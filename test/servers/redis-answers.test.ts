// What a Redis answers when it cannot do what it is asked, each from a real server: what calls get meanwhile, and that they
// are counted again afterwards. docs/stores/redis.md has a row for each.

import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { after, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { createLimiter, type Limiter, type LimiterOptions, StoreError } from "tollgate";
import { type RedisClient, redisStore } from "tollgate/stores/redis";
import { ownServers, type RedisServer, startRedis } from "../servers.ts";

const POLICY = { version: 1, limits: [{ name: "session", per: ["session"], quota: 1_000_000 }] } as const;
const WITHIN_MS = 10_000;
const WRONG_PORT = "1";

interface Case {
  readonly settings?: readonly string[];
  /** Makes the server answer so. */
  readonly cause: (server: RedisServer) => unknown;
  /** What calls get meanwhile: the reason why they are degraded. */
  readonly reason: string;
  readonly heal: (server: RedisServer) => unknown;
}

const closings: (() => unknown)[] = [];
after(async () => {
  for (const close of closings.reverse()) await close();
});

/** A limiter that counts, closed with the test file. */
async function counting(client: RedisClient, options: Partial<LimiterOptions> = {}): Promise<Limiter> {
  const limiter = createLimiter({ policy: POLICY, store: redisStore(client), ...options });
  closings.push(() => limiter.close({ withinMs: 0 }));
  await until("the store counts", async () => (await reasonOf(limiter)) === null);
  return limiter;
}

/** A script that runs until it is killed. */
function runForEver(server: RedisServer): void {
  const busy = server.ioredis();
  busy.call("EVAL", "while true do end", "0").catch(() => busy.disconnect());
}

const cases: Readonly<Record<string, Case>> = {
  READONLY: {
    cause: (server) => server.cli("REPLICAOF", "127.0.0.1", WRONG_PORT),
    reason: "read-only",
    heal: (server) => server.cli("REPLICAOF", "NO", "ONE"),
  },
  MASTERDOWN: {
    settings: ["--replica-serve-stale-data", "no"],
    cause: (server) => server.cli("REPLICAOF", "127.0.0.1", WRONG_PORT),
    reason: "unavailable",
    heal: (server) => server.cli("REPLICAOF", "NO", "ONE"),
  },
  OOM: {
    settings: ["--maxmemory-policy", "noeviction"],
    cause: (server) => server.cli("CONFIG", "SET", "maxmemory", "1"),
    reason: "out-of-memory",
    heal: (server) => server.cli("CONFIG", "SET", "maxmemory", "0"),
  },
  NOREPLICAS: {
    cause: (server) => server.cli("CONFIG", "SET", "min-replicas-to-write", "1"),
    reason: "read-only",
    heal: (server) => server.cli("CONFIG", "SET", "min-replicas-to-write", "0"),
  },
  MISCONF: {
    async cause(server) {
      // There is no folder any more into which it could save.
      rmSync(server.cli("CONFIG", "GET", "dir").split("\n")[1] ?? "", { recursive: true });
      server.cli("CONFIG", "SET", "save", "3600 1");
      server.cli("BGSAVE");
      const isFailed = async () => /^rdb_last_bgsave_status:err/m.test(server.cli("INFO", "persistence"));
      await until("the server could not save", isFailed);
    },
    reason: "read-only",
    heal: (server) => server.cli("CONFIG", "SET", "stop-writes-on-bgsave-error", "no"),
  },
  BUSY: {
    settings: ["--busy-reply-threshold", "50"],
    async cause(server) {
      runForEver(server);
      await sleep(200);
    },
    reason: "unavailable",
    heal: (server) => server.cli("SCRIPT", "KILL"),
  },
};

const ask = (limiter: Limiter) => limiter.consume({ tool: "search", session: "s1" });
const reasonOf = async (limiter: Limiter) => (await ask(limiter)).degraded?.reason ?? null;

/** Asks until an answer is as wanted. */
async function until(what: string, isWanted: () => Promise<boolean>): Promise<void> {
  const endsAtMs = performance.now() + WITHIN_MS;
  while (!(await isWanted())) {
    assert.ok(performance.now() < endsAtMs, `Not so within ${WITHIN_MS} ms: ${what}.`);
    await sleep(50);
  }
}

describe("a Redis that answers", ownServers, () => {
  for (const [word, { settings = [], cause, reason, heal }] of Object.entries(cases)) {
    it(`${word}: calls are decided without it, and counted when it can write again`, async () => {
      const server = await startRedis(...settings);
      const limiter = await counting(server.ioredis());
      await cause(server);
      const found: (string | null)[] = [];
      for (let i = 0; i < 10; i++) {
        found.push(await reasonOf(limiter));
        await sleep(50);
      }
      assert.ok(found.includes(reason), found.join());
      assert.ok(!found.includes(null), found.join());
      await heal(server);
      await until("the store counts again", async () => (await reasonOf(limiter)) === null);
    });
  }

  it("LOADING: calls are decided without it, and counted when it has its data", async () => {
    const server = await startRedis("--appendonly", "yes", "--key-load-delay", "10000");
    const limiter = await counting(server.ioredis());
    for (let i = 0; i < 100; i++) server.cli("SET", `key-${i}`, "value");
    await server.restart();
    const found = new Set<string | null>();
    await until("the store counts again", async () => {
      found.add(await reasonOf(limiter));
      return found.has(null);
    });
    assert.ok(found.size > 1, [...found].join());
  });

  it("UNBLOCKED: a call that an operator unblocks is settled, and later answers are correct", async () => {
    const server = await startRedis();
    const client = server.ioredis();
    const limiter = await counting(client, { failover: { deadlineMs: 2_000 } });
    const id = String(await client.call("CLIENT", "ID"));
    server.cli("CLIENT", "PAUSE", "700", "WRITE");
    const asked = reasonOf(limiter);
    await sleep(100);
    assert.equal(server.cli("CLIENT", "UNBLOCK", id, "ERROR"), "1");
    assert.equal(await asked, "unavailable");
    await until("the store counts again", async () => (await reasonOf(limiter)) === null);
    const [before] = await limiter.usage({ session: "s1" });
    for (let i = 0; i < 5; i++) await ask(limiter);
    const [after] = await limiter.usage({ session: "s1" });
    assert.equal((after?.used ?? 0) - (before?.used ?? 0), 5);
  });

  it("CLUSTERDOWN: a call fails as one that may succeed later, and does", async () => {
    const server = await startRedis("--cluster-enabled", "yes");
    const store = redisStore(server.ioredis());
    const charge = () =>
      store.apply([
        {
          mode: "judge",
          steps: [
            {
              bucket: "b",
              limit: { algorithm: "budget", quota: 5, ttlMs: 60_000, ttlFrom: "last" },
              event: { type: "charge", cost: 1 },
            },
          ],
        },
      ]);
    await assert.rejects(
      charge(),
      (error) => StoreError.isInstance(error) && error.code === "unavailable" && error.transient,
    );
    server.cli("CLUSTER", "ADDSLOTSRANGE", "0", "16383");
    await until("the server serves its slots", () =>
      charge().then(
        () => true,
        () => false,
      ),
    );
    await store.close();
  });
});

describe("a user whose rights are taken away while the store runs", ownServers, () => {
  const connects: Readonly<Record<string, (url: string) => Promise<{ client: RedisClient; close(): unknown }>>> = {
    async ioredis(url) {
      const client = new Redis(url);
      client.on("error", () => {});
      return { client, close: () => client.disconnect() };
    },
    async "node-redis"(url) {
      const client = createClient({ url });
      await client.on("error", () => {}).connect();
      return { client, close: () => client.destroy() };
    },
  };
  const GRANT = ["ACL", "SETUSER", "agent", "on", ">secret", "~*", "+@all"] as const;

  for (const [name, connect] of Object.entries(connects)) {
    const started = async () => {
      const server = await startRedis();
      // Some clients send what waits before they know that they are refused.
      server.cli("ACL", "SETUSER", "default", "resetkeys");
      server.cli(...GRANT);
      const { client, close } = await connect(`redis://agent:secret@127.0.0.1:${server.port}`);
      closings.push(close);
      return { server, limiter: await counting(client) };
    };
    const outcome = (limiter: Limiter) =>
      reasonOf(limiter).catch((error) => (StoreError.isInstance(error) ? error.code : String(error)));

    it(`NOPERM: calls fail through ${name}, and are counted when the right is restored`, async () => {
      const { server, limiter } = await started();
      server.cli("ACL", "SETUSER", "agent", "-evalsha", "-eval");
      assert.equal(await outcome(limiter), "unauthorized");
      server.cli("ACL", "SETUSER", "agent", "+evalsha", "+eval");
      await until("calls are counted", async () => (await outcome(limiter)) === null);
    });

    it(`WRONGPASS: ${name} cannot connect again until the user is back, and calls are counted then`, async () => {
      const { server, limiter } = await started();
      // It ends the user's connections.
      server.cli("ACL", "DELUSER", "agent");
      for (let i = 0; i < 20; i++) {
        const seen = await outcome(limiter);
        assert.ok(seen === "unauthorized" || seen === "unavailable", String(seen));
        await sleep(50);
      }
      server.cli(...GRANT);
      await until("calls are counted", async () => (await outcome(limiter)) === null);
    });
  }
});
