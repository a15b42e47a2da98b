// The log in Redis: the contract on one server through each kind of client, what it bounds, and what it does when the server fails.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createLimiter } from "tollgate";
import type { LogBatch, MinuteCount } from "tollgate/log";
import { redisLog } from "tollgate/log/redis";
import type { IoRedisClient } from "tollgate/stores/redis";
import { memoryStore } from "tollgate/stores/memory";
import { keysIn } from "../../src/log/redis/keys.ts";
import { redisStorage } from "../../src/log/redis.ts";
import { removeOldRows } from "../../src/log/redis/tidy.ts";
import { anyRedis, ownServers, startRedis } from "../servers.ts";
import { batchOf, decisionOf, START_MS } from "./batches.ts";
import { testStorage } from "./storage-cases.ts";

const MONTH_MS = 2_678_400_000;
const redis = await anyRedis();
await redis.empty();
const client = redis.ioredis();
const clients = { ioredis: client, "node-redis": await redis.nodeRedis() };

for (const [kind, each] of Object.entries(clients)) {
  testStorage(
    `a log in Redis through ${kind}`,
    (name, { maxEntries = 10_000, maxAgeMs = MONTH_MS } = {}) =>
      redisStorage(each, { maxEntries, maxAgeMs, prefix: `${kind}-${name}` }),
    { slack: 100, isKept: true },
  );
}

const storageIn = (prefix: string, more: { maxEntries?: number; maxAgeMs?: number; client?: IoRedisClient } = {}) =>
  redisStorage(more.client ?? client, { maxEntries: 10_000, maxAgeMs: MONTH_MS, prefix, ...more });
const minute = START_MS / 60_000;
const count: MinuteCount = {
  minute,
  limit: "",
  unit: "",
  tool: "x",
  tenant: "",
  calls: 1,
  denied: 0,
  exceeded: 0,
  units: 0,
  logged: 1,
  dropped: 0,
};
const span = { tenants: null, fromMs: START_MS, toMs: START_MS + 60_000 };
const decisions = (from: number, length: number) => Array.from({ length }, (_, i) => decisionOf({ n: from + i }));
const policy = { version: 1, limits: [{ name: "calls", per: ["session"], quota: 1_000_000 }] } as const;

describe("a log in Redis", () => {
  it("has a batch once whose answers were lost, also one of several parts", async () => {
    let isLost = false;
    const losing: IoRedisClient = {
      async call(command, ...args) {
        const answer = await client.call(command, ...args);
        if (isLost && command === "EVALSHA" && args[0] !== undefined) throw new Error("Connection is closed.");
        return answer;
      },
    };
    const storage = storageIn("lost", { client: losing });
    const batch: LogBatch = batchOf({
      entries: decisions(1, 600),
      minutes: Array.from({ length: 300 }, (_, i) => ({ ...count, tool: `t${i}` })),
    });
    await storage.salt();
    isLost = true;
    for (let tries = 0; tries < 2; tries++) await assert.rejects(storage.write(batch), { code: "unavailable" });
    isLost = false;
    await storage.write(batch);
    await storage.write(batch);
    assert.equal(await client.xlen(keysIn("lost").entries), 600);
    const rows = await storage.read.top({ ...span, by: "tool", count: 200 });
    assert.deepEqual([rows.length, rows.every(({ calls }) => calls === 1)], [200, true]);
    await storage.close();
  });

  it("shows a reader that goes on from a position all that several instances write", async () => {
    const storages = [1, 2, 3].map(() => storageIn("followed"));
    const [first] = storages;
    assert.ok(first !== undefined);
    let isWriting = true;
    const seen: string[] = [];
    const follow = async () => {
      for (let after = "0"; ; ) {
        const isLast = !isWriting;
        const { items, nextCursor, lastPosition } = await first.read.entries({ tenants: null, pageSize: 100, after });
        seen.push(...items.map(({ id }) => id));
        after = nextCursor ?? lastPosition;
        if (isLast && items.length === 0) return;
      }
    };
    const write = async () => {
      await Promise.all(
        storages.map(async (storage, i) => {
          for (let number = 1; number <= 20; number++) {
            const entries = decisions(i * 10_000 + number * 100, 10);
            await storage.write(batchOf({ instance: `i${i}`, number, entries, minutes: [count] }));
          }
        }),
      );
      isWriting = false;
    };
    await Promise.all([follow(), write()]);
    assert.deepEqual([seen.length, new Set(seen).size], [600, 600]);
    const [row] = await first.read.top({ ...span, by: "tool", count: 1 });
    assert.equal(row?.calls, 60);
  });

  it("ends each of its keys, but for the salt and the policies", async () => {
    const storage = storageIn("ends", { maxAgeMs: 3_600_000 });
    const atMs = Date.now();
    const now = Math.floor(atMs / 60_000);
    const bucket = { limit: "l", dimensions: { session: "s" }, tenant: "", unit: "calls", used: 9, capacity: 10 };
    const session = { session: "s", tenant: "", user: "", calls: 1, denied: 0, deniedBy: null };
    const top = {
      dimension: "user",
      unit: "",
      value: "u",
      tenant: "",
      calls: 1,
      denied: 0,
      units: 0,
      error: 0,
    } as const;
    await storage.write(
      batchOf({
        entries: [decisionOf({ n: 1, ms: atMs - START_MS })],
        minutes: [{ ...count, minute: now }],
        tops: [{ ...top, minute: now }],
        near: [{ ...bucket, atMs, endsAtMs: atMs + 1_000 }],
        sessions: [{ ...session, firstMs: atMs, lastMs: atMs }],
        policies: [{ version: "p", atMs, source: "{}" }],
      }),
    );
    const keys = (await client.keys("{ends}:*")).sort();
    assert.equal(keys.length, 14);
    const lasting: string[] = [];
    for (const key of keys) {
      const leftMs = await client.pttl(key);
      if (leftMs === -1) lasting.push(key);
      else assert.ok(leftMs > 3_500_000 && leftMs <= 3_660_000, `${key} ${leftMs}`);
    }
    assert.deepEqual(lasting, ["{ends}:meta", "{ends}:policies", "{ends}:policy-times"]);
  });

  it("forgets what is too old, and the rows of the oldest minutes when there are too many", async () => {
    const storage = storageIn("old", { maxAgeMs: 3_600_000 });
    const beforeMs = Date.now() - 7_200_000 - START_MS;
    const old = Array.from({ length: 10 }, (_, i) => decisionOf({ n: i + 1, ms: beforeMs }));
    const lastMs = START_MS + beforeMs;
    const session = {
      session: "old",
      tenant: "",
      user: "",
      firstMs: lastMs,
      lastMs,
      calls: 1,
      denied: 0,
      deniedBy: null,
    };
    const oldMinute = Math.floor(lastMs / 60_000);
    await storage.write(batchOf({ entries: old, sessions: [session], minutes: [{ ...count, minute: oldMinute }] }));
    const now = Math.floor(Date.now() / 60_000);
    const minutes = [2, 1, 0].map((ago) => ({ ...count, minute: now - ago }));
    await storage.write(batchOf({ number: 2, minutes, entries: [decisionOf({ n: 11, ms: Date.now() - START_MS })] }));
    const { items } = await storage.read.entries({ tenants: null, pageSize: 100 });
    assert.equal(items.length, 1);
    assert.equal(await client.zcard(keysIn("old").ids), 1);
    assert.deepEqual((await storage.read.sessions({ tenants: null, pageSize: 10 })).items, []);
    assert.equal(await storage.read.entry(old[0]?.id ?? "", null), null);
    const series = async () =>
      (await storage.read.series({ tenants: null, fromMs: lastMs, toMs: Date.now(), by: null, stepMinutes: 1 })).length;
    assert.equal(await series(), 3);
    const ask = async (_: string, [rows = ""]: readonly string[]) => [
      "0",
      ...Object.entries(await client.hgetall(rows)).flat(),
    ];
    const send = (_: string | undefined, command: string, ...args: (string | number)[]) =>
      client.call(command, ...args);
    await removeOldRows(ask, send, keysIn("old"), 0, 2);
    assert.equal(await series(), 2);
    assert.equal(await client.hlen(keysIn("old").rows), 2);
  });

  it("continues a page whose next entries were removed meanwhile", async () => {
    const storage = storageIn("trimmed", { maxEntries: 100 });
    await storage.write(batchOf({ entries: decisions(1, 100) }));
    const first = await storage.read.entries({ tenants: null, pageSize: 10 });
    for (let number = 2; number < 8; number++)
      await storage.write(batchOf({ number, entries: decisions(number * 100, 100) }));
    const second = await storage.read.entries({ tenants: null, pageSize: 10, cursor: first.nextCursor ?? "" });
    assert.deepEqual([second.items, second.nextCursor], [[], null]);
    const after = await storage.read.entries({ tenants: null, pageSize: 1_000, after: first.lastPosition });
    assert.ok(after.items.length >= 100 && after.items.length <= 200, `${after.items.length}`);
  });

  it("looks at a bounded number of entries for a page, and continues", async () => {
    const storage = storageIn("looked", { maxEntries: 100_000 });
    await storage.write(batchOf({ entries: [decisionOf({ n: 1, session: "first", tenant: "t0" })] }));
    const others =
      'for i = 1, ARGV[2] do redis.call("XADD", KEYS[1], "9" .. string.format("%015d-1", i), "b", ARGV[1]) end';
    await client.eval(others, 1, keysIn("looked").entries, JSON.stringify(decisionOf({ n: 2 })), 20_100);
    for (const query of [
      { session: "first", tenants: null },
      { tenants: Array.from({ length: 20 }, (_, i) => `t${i}`) },
    ]) {
      const short = await storage.read.entries({ ...query, pageSize: 10 });
      assert.deepEqual([short.items.length, typeof short.nextCursor], [0, "string"]);
      const rest = await storage.read.entries({ ...query, pageSize: 10, cursor: short.nextCursor ?? "" });
      assert.deepEqual([rest.items.length, rest.nextCursor], [1, null]);
    }
  });

  it("refuses the keys of another version", async () => {
    await client.hset(keysIn("newer").meta, { salt: "s", version: "3" });
    const message = "Redis: the keys of the log have version 3; this version of Tollgate reads version 2";
    await assert.rejects(storageIn("newer").write(batchOf({})), { code: "schema-version", message });
    assert.throws(() => redisLog(client, { prefix: "{a}" }), { code: "invalid-option" });
    assert.throws(() => redisLog({} as never), { code: "unsupported-client" });
  });
});

describe("a log in a Redis that fails", ownServers, async () => {
  const server = await startRedis("--maxmemory-policy", "noeviction");
  const own = server.ioredis();

  it("writes nothing while the memory is full, and all that waited afterwards", async () => {
    const log = redisLog(own, { maxRate: 1_000_000, flushMs: 10 });
    const limiter = createLimiter({ policy, store: memoryStore(), log });
    await limiter.consume({ tool: "x", session: "s" });
    await log.flush();
    const written = await own.xlen("{tollgate:log}:entries");
    await own.config("SET", "maxmemory", "1");
    await assert.rejects(log.storage.write(batchOf({ entries: decisions(1, 10), minutes: [count] })), {
      code: "out-of-memory",
    });
    for (let i = 0; i < 9_000; i++) {
      assert.equal((await limiter.consume({ tool: "x", session: "s" })).allowed, true);
    }
    await log.flush();
    assert.equal(await own.xlen("{tollgate:log}:entries"), written);
    await own.config("SET", "maxmemory", "0");
    while ((await own.xlen("{tollgate:log}:entries")) < written + 8_192) await log.flush();
    const now = Date.now();
    const [row] = await log.storage.read.top({
      tenants: null,
      fromMs: now - 600_000,
      toMs: now + 60_000,
      by: "tool",
      count: 1,
    });
    assert.deepEqual([row?.value, row?.calls], ["x", 9_001]);
    const { items } = await log.storage.read.entries({ kind: "event", tenants: null, pageSize: 1 });
    assert.equal(items[0]?.kind === "event" && items[0].type, "log.dropped");
    await limiter.close();
  });

  it("goes on where the server has lost everything", async () => {
    const storage = redisStorage(own, { maxEntries: 1_000, maxAgeMs: MONTH_MS, prefix: "emptied" });
    const salt = await storage.salt();
    await storage.write(batchOf({ entries: decisions(1, 5) }));
    const { lastPosition } = await storage.read.entries({ tenants: null, pageSize: 1 });
    await server.restart();
    while (own.status !== "ready") await new Promise((resolve) => own.once("ready", resolve));
    await storage.write(batchOf({ number: 2, entries: decisions(6, 2) }));
    const { items } = await storage.read.entries({ tenants: null, pageSize: 10, after: lastPosition });
    assert.equal(items.length, 2);
    assert.equal(await own.hget("{emptied}:meta", "salt"), salt);
    await storage.close();
  });
});
