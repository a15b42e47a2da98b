// docs/stores/redis.md says which rights a user of Redis needs: one with these alone can do all that a limiter and doctor do.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, describe, it } from "node:test";
import { Cluster, Redis } from "ioredis";
import { createLimiter, type PolicyInput } from "tollgate";
import { redisLog } from "tollgate/log/redis";
import { memoryStore } from "tollgate/stores/memory";
import { type RedisClient, redisStore } from "tollgate/stores/redis";
import { runHere } from "../e2e/here.ts";
import { tollgate } from "../e2e/tollgate.ts";
import { startCluster } from "../redis-cluster.ts";
import { ownServers, type RedisServer, startRedis } from "../servers.ts";
import { ROOT } from "../sources.ts";
import { CASE_MS } from "../stores/store-suite.ts";
import { temporaryFolder } from "../temporary.ts";

function rightsIn(page: string): string[] {
  const [, paragraph = ""] = /\*\*Permissions\.\*\*(.*?)(\n#|$)/s.exec(readFileSync(ROOT + page, "utf8")) ?? [];
  const quoted = [...paragraph.matchAll(/`([^`]+)`/g)].map(([, text = ""]) => text);
  return quoted
    .filter((text) => /^(@[a-z]+|[A-Z ]+)$/.test(text))
    .map((right) => `+${right.toLowerCase().replace(" ", "|")}`);
}

const RIGHTS = rightsIn("docs/stores/redis.md");
const RIGHTS_OF_LOG = rightsIn("docs/decision-log.md");
const [NAME, PASSWORD] = ["limits", "secret"];

const POLICY: PolicyInput = {
  version: 1,
  tools: { "*": { cost: { tokens: 10 } } },
  limits: [
    { name: "per-session", per: ["session"], quota: 30 },
    { name: "tokens", per: ["session"], unit: "tokens", quota: 1_000 },
    { name: "at-once", per: ["session"], algorithm: "concurrency", quota: 4, when: { tool: "job" } },
    { name: "per-user", per: ["user"], algorithm: "sliding-window", window: "1h", quota: 40 },
    { name: "per-tool", per: ["tool"], algorithm: "fixed-window", window: "1h", quota: 100_000, borrow: "auto" },
  ],
};

async function useAll(client: RedisClient): Promise<void> {
  const store = redisStore(client, { deadlineMs: CASE_MS });
  const limiter = createLimiter({ policy: POLICY, store, failover: { deadlineMs: CASE_MS } });
  const call = { tool: "a", session: "s1", user: "u1" };
  for (let i = 0; i < 20; i++) {
    const one = { ...call, session: `s${i % 10}`, idempotencyKey: `k${i}` };
    const { allowed, degraded } = await limiter.consume(one);
    assert.deepEqual([allowed, degraded], [true, null]);
  }
  const job = { ...call, tool: "job" };
  const held = await limiter.reserve(job);
  assert.ok(held.allowed);
  await held.hold.settle({ tokens: 3 });
  await limiter.run(job, async () => "done");
  await limiter.grant({ limit: "per-user", user: "u1" }, { id: "g1", units: 5, durationMs: 60_000 });
  await limiter.usage(call);
  await limiter.reset({ limit: "per-session", session: "s1" });
  await limiter.close();
}

async function useLog(client: RedisClient): Promise<void> {
  const log = redisLog(client);
  const limiter = createLimiter({ policy: POLICY, store: memoryStore(), log });
  const { id = "" } = await limiter.consume({ tool: "a", session: "s1", user: "u1" });
  await log.flush();
  const span = { tenants: null, fromMs: 0, toMs: Date.now() + 60_000 };
  const { read } = log.storage;
  assert.equal((await read.entry(id, null))?.id, id);
  assert.equal((await read.entries({ tenants: null, session: "s1", pageSize: 10 })).items.length, 1);
  assert.equal((await read.top({ ...span, by: "user", count: 1 }))[0]?.calls, 1);
  assert.equal((await read.sessions({ tenants: null, pageSize: 1 })).items.length, 1);
  await read.near({ tenants: null, over: 0.8, nowMs: 0, count: 1 });
  await limiter.close();
}

/** What the servers have refused to the user. */
const refusalsOf = (servers: readonly RedisServer[]) =>
  servers.flatMap((server) => [...server.cli("ACL", "LOG").matchAll(/object\n([^\n]*)/g)].map(([, object]) => object));

describe("the documented rights", ownServers, () => {
  it("are enough on one server", async () => {
    const server = await startRedis();
    server.cli("ACL", "SETUSER", NAME, "on", `>${PASSWORD}`, "~rate:*", "~tollgate:*", ...RIGHTS);
    const client = new Redis({ port: server.port, username: NAME, password: PASSWORD });
    after(() => client.disconnect());
    await useAll(client);
    const url = `redis://${NAME}:${PASSWORD}@127.0.0.1:${server.port}`;
    const { status, stdout } = await tollgate(["doctor", "--store", url], temporaryFolder());
    assert.equal(status, 1);
    assert.doesNotMatch(stdout, /not known|unknown/);
    assert.deepEqual(refusalsOf([server]), []);
  });

  it("are enough for a log", async () => {
    const server = await startRedis();
    server.cli("ACL", "SETUSER", NAME, "on", `>${PASSWORD}`, "~{tollgate:log}:*", ...RIGHTS_OF_LOG);
    const client = new Redis({ port: server.port, username: NAME, password: PASSWORD });
    after(() => client.disconnect());
    await useLog(client);
    const url = `redis://${NAME}:${PASSWORD}@127.0.0.1:${server.port}`;
    const { status, stdout } = await runHere(["top", "--log", url, "--csv"], temporaryFolder(), {});
    assert.deepEqual([status, /^a,1,/m.test(stdout)], [0, true]);
    assert.deepEqual(refusalsOf([server]), []);
  });

  it("are enough on a cluster", async () => {
    const { servers, addresses } = await startCluster();
    for (const server of servers) {
      server.cli("ACL", "SETUSER", "log", "on", `>${PASSWORD}`, "~{tollgate:log}:*", ...RIGHTS_OF_LOG);
      server.cli("ACL", "SETUSER", NAME, "on", `>${PASSWORD}`, "~{*}:rate:*", "~{*}:tollgate:*", ...RIGHTS);
    }
    const redisOptions = { username: NAME, password: PASSWORD, autoResendUnfulfilledCommands: false };
    const client = new Cluster([...addresses], { redisOptions, retryDelayOnFailover: 0 });
    after(() => client.disconnect());
    await useAll(client as RedisClient);
    const ofLog = new Cluster([...addresses], { redisOptions: { ...redisOptions, username: "log" } });
    after(() => ofLog.disconnect());
    await useLog(ofLog as RedisClient);
    const url = `redis+cluster://${NAME}:${PASSWORD}@127.0.0.1:${addresses[0]?.port}`;
    const { status, stdout } = await tollgate(["doctor", "--store", url], temporaryFolder());
    assert.equal(status, 1);
    assert.match(stdout, /\nreads +\d/);
    assert.doesNotMatch(stdout, /not known|unknown/);
    assert.deepEqual(refusalsOf(servers), []);
  });
});
