// The same trace on every home for the state: each decides it as a plain sequential count does.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { type CounterPort, counterStore } from "tollgate/stores/counter";
import { columnOf, documentStore } from "tollgate/stores/document";
import { redisStore } from "tollgate/stores/redis";
import { tollgate } from "../e2e/tollgate.ts";
import { clientsOfCluster } from "../cluster-clients.ts";
import { startPostgres } from "../postgres.ts";
import { startCluster, startSentinels } from "../redis-cluster.ts";
import { anyRedis } from "../servers.ts";
import { temporaryFolder } from "../temporary.ts";
import { expected, POLICY, playTrace, trace } from "./trace.ts";

const folder = temporaryFolder();
writeFileSync(join(folder, "trace.jsonl"), trace.map((line) => JSON.stringify(line)).join("\n"));
writeFileSync(join(folder, "policy.json"), JSON.stringify(POLICY));

const postgres = await startPostgres();
const cluster = await startCluster();
const clients = await clientsOfCluster(cluster);
const trio = await startSentinels();
const hosts = (each: readonly { readonly host: string; readonly port: number }[]) =>
  each.map(({ host, port }) => `${host}:${port}`).join(",");

describe("a replay by 3 instances, one of them killed", () => {
  const urls = {
    Postgres: postgres.url,
    "a cluster": `redis+cluster://${hosts(cluster.addresses.slice(0, 2))}`,
    "Sentinels' server": `redis+sentinel://${hosts(trio.sentinels)}/${trio.name}`,
  };
  for (const [name, url] of Object.entries(urls)) {
    it(`equals a sequential count on ${name}`, async () => {
      const args = ["replay", "trace.jsonl", "--policy", "policy.json", "--instances", "3", "--kill-after", "20"];
      const { status, stdout, stderr } = await tollgate([...args, "--store", url, "--json"], folder);
      assert.equal(status, 0, stderr);
      const { allowed, denied, deniedBy } = JSON.parse(stdout);
      assert.deepEqual([allowed, denied], [expected.allowed, expected.denied]);
      assert.deepEqual(deniedBy, { "tool-per-turn": expected.byTurn, "tool-per-session": expected.bySession });
    });
  }

  it("reports an unreachable server, without a password", async () => {
    for (const url of ["postgres://me:secret@127.0.0.1:1/limits", "redis+cluster://me:secret@127.0.0.1:1"]) {
      const { status, stderr } = await tollgate(["doctor", "--store", url], folder);
      assert.equal(status, 3, stderr);
      assert.doesNotMatch(stderr, /secret/);
      assert.match(stderr, /127\.0\.0\.1:1/);
    }
  });

  it("finds no problem in Postgres, except the tests' missing fsync", async () => {
    const { status, stdout } = await tollgate(["doctor", "--store", postgres.url], folder);
    assert.match(stdout, /version +Postgres \d/);
    assert.match(stdout, /PROBLEM.*fsync/s);
    assert.equal(status, 1);
  });
});

describe("the trace by three limiters at once", () => {
  it("equals a sequential count on a JSON column", async () => {
    const pool = postgres.pool();
    await pool.query("CREATE TABLE agent_session (id text PRIMARY KEY, state jsonb)");
    const sessions = [...new Set(trace.map(({ session }) => session))];
    await pool.query("INSERT INTO agent_session SELECT unnest($1::text[])", [sessions]);
    await playTrace(() => documentStore(columnOf(pool, { table: "agent_session", column: "state" })));
  });

  for (const [name, client] of Object.entries(clients)) {
    it(`equals a sequential count on a cluster, by ${name}`, async () => {
      await cluster.empty();
      await playTrace(() => redisStore(client, { deadlineMs: 10_000 }));
    });
  }

  it("equals a sequential count on a counter port", async () => {
    const client = (await anyRedis()).ioredis();
    const port: CounterPort = {
      async increment(key, by, ttlSeconds) {
        const answers = await client.multi().incrby(key, by).expire(key, ttlSeconds).exec();
        return Number(answers?.[0]?.[1]);
      },
    };
    await playTrace(() => counterStore(port));
  });
});
