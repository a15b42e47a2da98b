import assert from "node:assert/strict";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { redisStore } from "../../src/stores/redis.ts";
import { sqliteStore } from "../../src/stores/sqlite.ts";
import { ownServers, startRedis } from "../servers.ts";
import { temporaryFolder } from "../temporary.ts";
import { type Served, served } from "./served.ts";

const call = { tool: "search", session: "s1" };

async function standing(
  { ask }: Served,
  wanted: string,
): Promise<{ status: number; json: { status: string; reason: string | null } }> {
  const untilMs = performance.now() + 60_000;
  for (;;) {
    const answer = await ask("GET", "/readyz");
    if (answer.json.status === wanted) return answer;
    if (performance.now() > untilMs) throw new Error(`it was never ${wanted}, but is ${answer.text}`);
    await sleep(25);
  }
}

/** A client for a server that may not be there. */
function clientOf(port: number): Redis {
  const client = new Redis(port, { retryStrategy: () => 50, maxRetriesPerRequest: 1, enableOfflineQueue: false });
  after(() => client.disconnect());
  return client.on("error", () => {});
}

describe("readiness", ownServers, () => {
  it("is false for an instance that never reached its store, and true once it does", async () => {
    const redis = await startRedis();
    await redis.kill();
    const client = clientOf(redis.port);
    const server = await served({ store: redisStore(client) });
    const before = await standing(server, "away");
    assert.deepEqual([before.status, before.json.reason], [503, "unavailable"]);
    assert.equal((await server.ask("GET", "/healthz")).status, 200);
    // It has no share: it admits nothing.
    const { json } = await server.post("/v1/consume", { call });
    assert.deepEqual([json.allowed, json.degraded.reason], [false, "unavailable"]);
    assert.equal((await standing(server, "away")).status, 503);
    await redis.restart();
    assert.equal((await standing(server, "ready")).status, 200);
    assert.equal((await server.post("/v1/consume", { call })).json.degraded, null);
  });

  it("stays true, as degraded, for an instance that decides by its share", async () => {
    const redis = await startRedis("--appendonly", "yes", "--appendfsync", "always");
    const client = clientOf(redis.port);
    await new Promise((resolve) => client.once("ready", resolve));
    const server = await served({ store: redisStore(client), failover: { deadlineMs: 10_000 } });
    assert.equal((await server.post("/v1/consume", { call })).json.degraded, null);
    assert.equal((await standing(server, "ready")).status, 200);
    await redis.kill();
    const { json } = await server.post("/v1/consume", { call });
    assert.deepEqual([json.allowed, json.degraded.reason], [true, "unavailable"]);
    assert.equal((await standing(server, "degraded")).status, 200);
    assert.match((await server.ask("GET", "/metrics")).text, /^tollgate_store_available 0$/m);
    // What only the store can do is told to come again.
    const usage = await server.ask("GET", "/v1/usage?session=s1");
    assert.deepEqual([usage.status, usage.headers.get("retry-after")], [503, "1"]);
    await redis.restart();
    assert.equal((await standing(server, "ready")).status, 200);
    const [bucket] = (await server.ask("GET", "/v1/usage?session=s1")).json.items;
    assert.equal(bucket.used, 2);
  });

  it("is false while a store without a fallback does not answer", async () => {
    const store = sqliteStore(join(temporaryFolder(), "state.db"));
    let isBroken = false;
    const broken: typeof store = {
      apply: (requests) => (isBroken ? Promise.reject(new Error("gone")) : store.apply(requests)),
      close: () => store.close(),
    };
    const server = await served({ store: broken });
    assert.equal((await standing(server, "ready")).status, 200);
    isBroken = true;
    assert.equal((await standing(server, "away")).status, 503);
    isBroken = false;
    assert.equal((await standing(server, "ready")).status, 200);
  });
});
