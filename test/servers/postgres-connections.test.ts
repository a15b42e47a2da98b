// Connections to Postgres that die without a word, locks that are never released, and pools that have nothing left: each
// costs the calls that meet it, and no later one.

import assert from "node:assert/strict";
import { connect, type TcpNetConnectOpts } from "node:net";
import { after, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import postgres from "postgres";
import { StoreError, type StoreErrorCode } from "tollgate";
import type { LimitSpec, Store, StoreRequest } from "tollgate/store";
import { columnOf, documentStore } from "tollgate/stores/document";
import { migrate, type PostgresClient, postgresStore } from "tollgate/stores/postgres";
import { type FaultProxy, startFaultProxy } from "../chaos/fault-proxy.ts";
import { startPostgres } from "../postgres.ts";
import { until } from "./load.ts";

/** Short, so that the tests are. A connection has half a second more. */
const DEADLINE_MS = 400;

const server = await startPostgres();
const port = Number(new URL(server.url).port);
const direct = server.pool({ application_name: "direct" });
await migrate(direct);
await direct.query("CREATE TABLE sessions (id text PRIMARY KEY, state jsonb)");
await direct.query("INSERT INTO sessions VALUES ('s1')");

/** As docs/stores/postgres.md has them, with less patience. */
const LINES = {
  connect_timeout: 2,
  socket({ host: [host], port: [at] }: { host: string[]; port: number[] }) {
    const socket = connect({ host, port: at } as TcpNetConnectOpts);
    return socket.setTimeout(1_500, () => socket.destroy());
  },
  onnotice: () => {},
};

const limit: LimitSpec = { algorithm: "budget", quota: 1_000, ttlMs: 600_000, ttlFrom: "first" };
const charge = (bucket: string): StoreRequest => ({
  mode: "judge",
  steps: [{ bucket: `rate:1:{s1}:${bucket}`, limit, event: { type: "charge", cost: 1 } }],
});
const peek: StoreRequest = { mode: "peek", steps: [{ bucket: "rate:1:{s1}:peek", limit, event: { type: "read" } }] };
const member = { group: "g", instance: "i", livesMs: 10_000, seen: [] };
const failsWith = (code: StoreErrorCode, words: RegExp) => (error: unknown) =>
  StoreError.isInstance(error) && error.transient && error.code === code && words.test(error.message);

/** Asks once, and throws what a request failed with. */
async function ask(store: Store, ...requests: readonly StoreRequest[]): Promise<void> {
  for (const reply of await store.apply(requests)) if (StoreError.isInstance(reply)) throw reply;
}

/** Keeps locks for as long as `run` takes. */
async function holding(locks: string, run: () => Promise<void>): Promise<void> {
  const holder = await direct.connect();
  try {
    await holder.query(`BEGIN; ${locks}`);
    await run();
  } finally {
    await holder.query("ROLLBACK");
    holder.release();
  }
}

async function behindProxy(options: pg.PoolConfig = {}): Promise<{ proxy: FaultProxy; pool: pg.Pool }> {
  const proxy = await startFaultProxy(port);
  const url = server.url.replace(`:${port}/`, `:${proxy.port}/`);
  return { proxy, pool: server.pool({ connectionString: url, ...options }) };
}

/** A pool whose connections die when a statement with these words is about to be sent, once. */
function dyingAt(words: string, { proxy, pool }: { proxy: FaultProxy; pool: pg.Pool }): PostgresClient {
  let isOver = false;
  pool.on("connect", (client) => {
    const query = client.query.bind(client) as (...args: unknown[]) => unknown;
    client.query = ((...args: unknown[]) => {
      if (!isOver && String(args[0]).includes(words)) {
        isOver = true;
        proxy.freeze();
      }
      return query(...args);
    }) as typeof client.query;
  });
  return pool;
}

const STORES: Record<string, (client: PostgresClient) => Store> = {
  "its own tables": (client) => postgresStore(client, { deadlineMs: DEADLINE_MS }),
  "a JSON column": (client) =>
    documentStore(columnOf(client, { table: "sessions", column: "state", deadlineMs: DEADLINE_MS })),
};

describe("a connection that dies silently", { concurrency: true }, () => {
  const cases: [what: string, words: string, store: string][] = [
    ["before the first statement", "BEGIN", "its own tables"],
    ["as the version is asked for", "tollgate_schema", "its own tables"],
    ["as statements are prepared", "PREPARE", "its own tables"],
    ["as rows are made", "EXECUTE tollgate_make", "its own tables"],
    ["as rows are locked", "EXECUTE tollgate_lock", "its own tables"],
    ["as rows are written", "EXECUTE tollgate_write", "its own tables"],
    ["as a charge that goes alone is added", "EXECUTE tollgate_charge", "its own tables"],
    ["at the commit", "COMMIT", "its own tables"],
    ["as columns are asked for", "pg_attribute", "a JSON column"],
    ["as the row is locked", "FOR UPDATE", "a JSON column"],
    ["as the row is written", "UPDATE", "a JSON column"],
    ["at the commit", "COMMIT", "a JSON column"],
  ];
  for (const [what, words, where] of cases) {
    it(`${what} in ${where} fails one call, and leaves the pool`, async () => {
      const behind = await behindProxy({ max: 1 });
      const store = STORES[where]?.(dyingAt(words, behind)) ?? assert.fail();
      // What died may keep its locks for a while.
      const own = charge(`dying ${what}`);
      const requests = words.endsWith("charge") ? [own] : [own, own];
      // Only rows that are known are locked alone.
      if (words.endsWith("lock")) await ask(store, ...requests);
      await assert.rejects(ask(store, ...requests), failsWith("unavailable", /127\.0\.0\.1:\d+: no answer within/));
      await ask(store, ...requests);
      assert.deepEqual([behind.pool.totalCount, behind.pool.waitingCount], [1, 0]);
    });
  }

  it("at a rollback leaves the pool", async () => {
    const behind = await behindProxy({ max: 1 });
    const store = postgresStore(dyingAt("ROLLBACK", behind), { deadlineMs: DEADLINE_MS });
    await ask(store, charge("rolled back"));
    await holding("SELECT FROM tollgate_buckets WHERE key LIKE '%rolled back' FOR UPDATE", () =>
      assert.rejects(ask(store, charge("rolled back")), failsWith("busy", /55P03|57014/)),
    );
    await ask(store, charge("rolled back"));
    assert.equal(behind.pool.totalCount, 1);
  });

  it("fails a beat and a look at the setup, and the next ones succeed", async () => {
    const { proxy, pool } = await behindProxy({ max: 1 });
    const store = postgresStore(pool, { deadlineMs: DEADLINE_MS });
    await store.beat(member);
    for (const asked of [() => store.beat(member), () => store.setup?.()]) {
      proxy.freeze();
      await assert.rejects(async () => asked(), failsWith("unavailable", /no answer within/));
      await asked();
    }
  });

  it("costs one deadline, for any number of them in the pool", async () => {
    const { proxy, pool } = await behindProxy({ max: 8 });
    const store = postgresStore(pool, { deadlineMs: DEADLINE_MS });
    await ask(store, charge("many"));
    for (const client of await Promise.all(Array.from({ length: 8 }, () => pool.connect()))) client.release();
    assert.equal(pool.idleCount, 8);
    proxy.freeze();
    await assert.rejects(ask(store, charge("many")), failsWith("unavailable", /no answer within/));
    await ask(store, charge("many"));
    assert.equal(pool.totalCount, 1);
  });

  it("keeps its locks no longer than two deadlines", async () => {
    const behind = await behindProxy();
    const dying = postgresStore(dyingAt("EXECUTE tollgate_write", behind), { deadlineMs: DEADLINE_MS });
    const other = postgresStore(direct, { deadlineMs: 10_000 });
    await ask(other, charge("locked"));
    const failed = assert.rejects(ask(dying, charge("locked"), charge("locked")), failsWith("unavailable", /./));
    await until("the row is locked", async () => {
      const { rows } = await direct.query(
        "SELECT FROM pg_stat_activity WHERE state = 'idle in transaction' AND query LIKE '%EXECUTE tollgate_look%'",
      );
      return rows.length > 0;
    });
    const startMs = performance.now();
    await ask(other, charge("locked"));
    assert.ok(performance.now() - startMs < 5_000, "10 s is what it would wait for");
    await failed;
  });
});

describe("a lock on the whole table", () => {
  it("fails what waits for it, and leaves nothing waiting on the server", async () => {
    const pool = server.pool({ application_name: "blocked" });
    const store = postgresStore(pool, { deadlineMs: DEADLINE_MS });
    const column = STORES["a JSON column"]?.(pool) ?? assert.fail();
    await ask(store, charge("known"));
    await ask(column, charge("known"));
    await holding("LOCK TABLE tollgate_buckets, sessions IN ACCESS EXCLUSIVE MODE", async () => {
      const asked = [ask(store, charge("known")), ask(store, charge("new")), ask(store, peek), ask(column, peek)];
      const beats = store.beat(member);
      await Promise.all([...asked, beats].map((each) => assert.rejects(each, failsWith("busy", /55P03|57014/))));
      const { rows } = await direct.query(
        "SELECT FROM pg_stat_activity WHERE application_name = 'blocked' AND wait_event_type = 'Lock'",
      );
      assert.equal(rows.length, 0);
    });
    await ask(store, charge("new"));
  });
});

describe("a pool whose connections are all in use", () => {
  it("fails a call in time, and returns a late connection at once", async () => {
    const pool = server.pool({ max: 2 });
    const store = postgresStore(pool, { deadlineMs: DEADLINE_MS });
    await ask(store, charge("kept"));
    const kept = [await pool.connect(), await pool.connect()];
    await assert.rejects(ask(store, charge("kept")), failsWith("unavailable", /:\d+: the pool had no connection free/));
    for (const client of kept) client.release();
    await sleep(20);
    assert.deepEqual([pool.idleCount, pool.waitingCount], [2, 0]);
    await ask(store, charge("kept"));
  });
});

describe("a time limit of the client's own", () => {
  it("leaves its connection in use, so that it is destroyed", async () => {
    const { proxy, pool } = await behindProxy({ max: 1, query_timeout: 100 });
    const store = postgresStore(pool, { deadlineMs: 60_000 });
    await ask(store, charge("own"));
    proxy.freeze();
    await assert.rejects(ask(store, charge("own")), failsWith("unavailable", /Query read timeout/));
    await ask(store, charge("own"));
    assert.equal(pool.totalCount, 1);
  });
});

describe("a read-only server", () => {
  it("loses all connections of the pool that were made before, so that the next ones find the primary", async () => {
    const pool = server.pool({ max: 4 });
    const store = postgresStore(pool, { deadlineMs: DEADLINE_MS });
    await ask(store, charge("reads"));
    for (const client of await Promise.all(Array.from({ length: 4 }, () => pool.connect()))) client.release();
    const reload = async (sql: string) => {
      await direct.query(sql);
      await direct.query("SELECT pg_reload_conf()");
      await sleep(100);
    };
    await reload("ALTER SYSTEM SET default_transaction_read_only = on");
    try {
      await assert.rejects(ask(store, charge("reads")), failsWith("read-only", /25006; .*name the primary/));
    } finally {
      await reload("ALTER SYSTEM RESET default_transaction_read_only");
    }
    await ask(store, charge("reads"));
    assert.equal(pool.totalCount, 1);
  });
});

describe("the setup check of a client", () => {
  const named = async (client: PostgresClient) => {
    const checks = (await postgresStore(client).setup?.()) ?? [];
    const column = await documentStore(columnOf(client, { table: "sessions", column: "state" })).setup?.();
    assert.deepEqual(column, checks);
    return checks.flatMap(({ name, problem }) => (problem === null || name === "persistence" ? [] : [name]));
  };

  it("names the missing settings of a pool of pg", async () => {
    const bare = new pg.Pool({ connectionString: server.url });
    after(() => bare.end());
    assert.deepEqual(await named(bare), ["connectionTimeoutMillis", "listener for errors"]);
    assert.deepEqual(await named(server.pool({ connectionTimeoutMillis: 2_000 })), []);
  });

  it("names the missing settings of postgres.js", async () => {
    const [bare, full] = [postgres(server.url), postgres(server.url, LINES)];
    after(() => Promise.all([bare.end(), full.end()]));
    assert.deepEqual(await named(bare), ["connect_timeout", "socket"]);
    assert.deepEqual(await named(full), []);
  });
});

describe("postgres.js with the settings of the docs", () => {
  it("replaces its connections after they died silently, more often than it has connections", async () => {
    const { proxy } = await behindProxy();
    const sql = postgres(server.url.replace(`:${port}/`, `:${proxy.port}/`), { ...LINES, max: 2 });
    after(() => sql.end({ timeout: 0 }));
    const store = postgresStore(sql, { deadlineMs: DEADLINE_MS });
    await ask(store, charge("js"));
    for (let drop = 0; drop < 3; drop++) {
      proxy.freeze();
      await assert.rejects(ask(store, charge("js")), failsWith("unavailable", /no answer|CONNECTION_CLOSED/));
      await until("a connection is had", () =>
        ask(store, charge("js")).then(
          () => true,
          () => false,
        ),
      );
    }
  });
});
