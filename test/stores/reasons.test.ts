// What calls fail with, and what is told of a store that is away, says why it cannot be reached.

import assert from "node:assert/strict";
import { createServer } from "node:net";
import { after, describe, it } from "node:test";
import { Cluster, Redis } from "ioredis";
import pg from "pg";
import { createClient } from "redis";
import { createLimiter, type LimiterEvent, StoreError } from "tollgate";
import type { Store } from "tollgate/store";
import { type PostgresClient, postgresStore } from "tollgate/stores/postgres";
import { redisStore } from "tollgate/stores/redis";
import { openStore } from "../../src/cli/store-url.ts";
import { until } from "../e2e/tollgate.ts";
import { freePort } from "../free-port.ts";
import { ownServers, startRedis } from "../servers.ts";

const endings: (() => unknown)[] = [];
after(async () => {
  for (const end of endings) await end();
});

const policy = { version: 1, limits: [{ name: "per-session", per: ["session"], quota: 5 }] } as const;
const port = await freePort();
const REFUSED = new RegExp(`ECONNREFUSED 127\\.0\\.0\\.1:${port}`);

function ioredis(options: { enableOfflineQueue?: boolean; maxRetriesPerRequest?: number } = {}): Redis {
  const client = new Redis({ port, host: "127.0.0.1", retryStrategy: () => 20, ...options });
  endings.push(() => client.disconnect());
  return client.on("error", () => {});
}

function nodeRedis() {
  const client = createClient({ socket: { host: "127.0.0.1", port, reconnectStrategy: 20 } });
  endings.push(() => client.destroy());
  client.on("error", () => {});
  client.connect().catch(() => {});
  return client;
}

function pool(host: string): PostgresClient {
  const made = new pg.Pool({ host, port, user: "me", password: "s3cret" });
  endings.push(() => made.end());
  return made.on("error", () => {});
}

/** Why a store is away, as a limiter tells it. */
async function reasonOf(store: Store): Promise<StoreError> {
  const events: LimiterEvent[] = [];
  if (store.lastFault !== undefined) await until(() => store.lastFault?.() !== undefined);
  const limiter = createLimiter({ policy, store, onEvent: (event) => events.push(event) });
  await limiter.consume({ tool: "x", session: "s" });
  await limiter.close({ withinMs: 0 });
  const [event] = events;
  assert.ok(event?.type === "store.unreachable", JSON.stringify(events));
  return event.error;
}

const causesOf = (error: unknown): unknown[] =>
  error instanceof Error ? [Object(error).code, ...causesOf(error.cause)] : [];

describe("a store that cannot be reached", () => {
  const stores: [name: string, make: () => Store][] = [
    ["ioredis", () => redisStore(ioredis())],
    ["ioredis without a queue", () => redisStore(ioredis({ enableOfflineQueue: false, maxRetriesPerRequest: 1 }))],
    ["node-redis", () => redisStore(nodeRedis())],
    ["pg", () => postgresStore(pool("127.0.0.1"))],
    ["pg by a name with several addresses", () => postgresStore(pool("localhost"))],
  ];
  for (const [name, make] of stores) {
    it(`is unreachable because its port refuses connections: ${name}`, async () => {
      const error = await reasonOf(make());
      assert.match(error.message, REFUSED);
      assert.ok(causesOf(error).includes("ECONNREFUSED"), String(causesOf(error)));
      assert.doesNotMatch(error.message, /s3cret/);
    });
  }

  it("fails calls with the reason where it has no fallback", async () => {
    const store = redisStore(ioredis({ maxRetriesPerRequest: 1 }));
    const limiter = createLimiter({ policy, store, failover: false });
    await assert.rejects(
      limiter.consume({ tool: "x", session: "s" }),
      (error) => StoreError.isInstance(error) && REFUSED.test(error.message) && error.code === "unavailable",
    );
    await limiter.close();
  });

  it("names the server of a cluster", async () => {
    const client = new Cluster([{ host: "127.0.0.1", port }], { clusterRetryStrategy: () => 20 });
    endings.push(() => client.disconnect());
    client.on("error", () => {});
    const store = redisStore(client);
    await until(() => new RegExp(`127\\.0\\.0\\.1:${port}`).test(store.lastFault?.()?.message ?? ""));
  });

  for (const url of [
    `redis://me:s3cret@127.0.0.1:${port}`,
    `redis+cluster://me:s3cret@127.0.0.1:${port}`,
    `redis+sentinel://me:s3cret@127.0.0.1:${port}/main`,
    `postgres://me:s3cret@localhost:${port}/db`,
  ]) {
    it(`is reported by commands with the reason, and without the password: ${url.split(":")[0]}`, async () => {
      await assert.rejects(openStore(url), (error) => {
        assert.ok(StoreError.isInstance(error));
        assert.match(error.message, REFUSED);
        assert.doesNotMatch(error.message, /s3cret/);
        return true;
      });
    });
  }

  it("may be one that does not speak TLS", async () => {
    const plain = createServer((socket) => socket.end("-ERR\r\n")).listen(0, "127.0.0.1");
    endings.push(() => plain.close());
    await until(() => plain.listening);
    const { port: at } = plain.address() as { port: number };
    await assert.rejects(openStore(`rediss://127.0.0.1:${at}`), /SSL|TLS|ECONNRESET/);
  });
});

describe("a store that is back", ownServers, () => {
  it("is no longer reported as unreachable", async () => {
    const server = await startRedis();
    const client = server.ioredis();
    const store = redisStore(client);
    await client.ping();
    assert.equal(store.lastFault?.(), undefined);
    await server.kill();
    await until(() => store.lastFault?.() !== undefined);
    await server.restart();
    await until(() => store.lastFault?.() === undefined);
  });
});

describe("a Redis whose user may not read its setup", ownServers, () => {
  const eventsWithout = async (...rights: string[]) => {
    const server = await startRedis("--appendonly", "yes");
    server.cli("ACL", "SETUSER", "default", ...rights);
    const events: LimiterEvent[] = [];
    const limiter = createLimiter({
      policy,
      store: redisStore(server.ioredis()),
      onEvent: (each) => events.push(each),
    });
    for (let i = 0; i < 3; i++) assert.equal((await limiter.consume({ tool: "x", session: "s" })).allowed, true);
    await until(() => events.length > 0);
    await limiter.close();
    return { events, url: server.url };
  };

  it("is reported once with what is unknown, why, and what to do: without INFO", async () => {
    const { events } = await eventsWithout("-info");
    const [event, ...more] = events;
    assert.equal(more.length, 0);
    assert.ok(event?.type === "store.check_failed" && StoreError.isInstance(event.error));
    assert.match(event.error.message, /NOPERM.*info[^.]*\. So .*not known: allow INFO.*noeviction and appendonly yes/);
  });

  it("is reported as an unknown command, and not as a missing right", async () => {
    const server = await startRedis("--requirepass", "x");
    const store = redisStore(server.ioredis());
    await assert.rejects(
      () => store.setup?.() ?? Promise.resolve(),
      (error) => StoreError.isInstance(error) && error.code === "unauthorized" && !/INFO/.test(error.message),
    );
    await store.close();
  });

  it("is reported once with what is unknown, why, and what to do: without CONFIG", async () => {
    const { events } = await eventsWithout("-config");
    const persistence = events.filter(
      (each) => each.type === "store.misconfigured" && each.check.name === "persistence",
    );
    assert.equal(persistence.length, 1);
    const [event] = persistence;
    assert.match(
      (event?.type === "store.misconfigured" && event.check.problem) || "",
      /not known, because the server refuses CONFIG GET: allow CONFIG\|GET/,
    );
  });
});
