// Programs set their client up for themselves: it may rename columns, and read numbers and JSON as it likes. Neither of the
// stores on Postgres may depend on that.

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import pg from "pg";
import postgres from "postgres";
import { createLimiter, type PolicyInput, StoreError } from "tollgate";
import type { Store } from "tollgate/store";
import { columnOf, documentStore } from "tollgate/stores/document";
import { migrate, type PostgresClient, postgresStore } from "tollgate/stores/postgres";
import { startPostgres } from "../postgres.ts";

const server = await startPostgres();
await server.pool().query("CREATE TABLE sessions (id text PRIMARY KEY, rate_limit_state jsonb DEFAULT '{}')");

const js = (options: object) => {
  const sql = postgres(server.url, { max: 2, onnotice: () => {}, ...options });
  after(() => sql.end());
  return sql;
};

/** A pool of `pg` in which some types are read otherwise. */
const pgWith = (parsers: Record<number, (value: string) => unknown>, more: object = {}) =>
  server.pool({
    max: 2,
    types: {
      getTypeParser: ((oid: number, format: never) =>
        parsers[oid] ?? pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
    },
    ...more,
  });

/** A pool whose rows have their columns under other names, as packages for camel case make them. */
function pgRenaming(rename: (name: string) => string) {
  const pool = pgWith({});
  const renamed = (rows: object[]) =>
    rows.map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [rename(name), value])));
  const wrapped = (query: (...args: unknown[]) => Promise<{ rows: object[] } | { rows: object[] }[]>) => {
    return async (...args: unknown[]) => {
      const result = await query(...args);
      // Several statements have a list of results.
      return Array.isArray(result)
        ? result.map(({ rows }) => ({ rows: renamed(rows) }))
        : { rows: renamed(result.rows) };
    };
  };
  return {
    totalCount: 0,
    query: wrapped(pool.query.bind(pool) as never),
    async connect() {
      const client = await pool.connect();
      return { query: wrapped(client.query.bind(client) as never), release: (error?: Error) => client.release(error) };
    },
  } as unknown as PostgresClient;
}

const [INT8, TEXT, JSON_TYPE, JSONB, NUMERIC] = [20, 25, 114, 3802, 1700];
const asIs = (value: string) => value;

const clients: Record<string, () => PostgresClient> = {
  "postgres.js": () => js({}),
  "postgres.js with camel": () => js({ transform: postgres.camel }),
  "postgres.js with kebab": () => js({ transform: postgres.kebab }),
  "postgres.js with pascal": () => js({ transform: postgres.pascal }),
  "postgres.js with toCamel": () => js({ transform: postgres.toCamel }),
  "postgres.js with toKebab": () => js({ transform: postgres.toKebab }),
  "postgres.js with toPascal": () => js({ transform: postgres.toPascal }),
  "postgres.js with fromCamel, and undefined for null": () =>
    js({ transform: { ...postgres.fromCamel, undefined: null, value: (value: unknown) => value ?? undefined } }),
  "postgres.js with columns in capitals, and rows that are frozen": () =>
    js({
      transform: { column: (name: string) => name.toUpperCase(), row: (row: object) => Object.freeze({ ...row }) },
    }),
  "postgres.js with bigint": () => js({ types: { bigint: postgres.BigInt } }),
  "postgres.js with JSON as text": () =>
    js({ types: { json: { to: JSON_TYPE, from: [JSON_TYPE, JSONB], serialize: asIs, parse: asIs } } }),
  pg: () => pgWith({}),
  "pg with int8 and numeric as BigInt": () => pgWith({ [INT8]: BigInt, [NUMERIC]: BigInt }),
  "pg with int8 as a number": () => pgWith({ [INT8]: Number, [NUMERIC]: Number }),
  "pg with JSON as text": () => pgWith({ [JSON_TYPE]: asIs, [JSONB]: asIs }),
  "pg with texts as bytes": () => pgWith({ [TEXT]: Buffer.from }),
  "pg with texts read as JSON": () => pgWith({ [TEXT]: (text) => JSON.parse(text) }),
  "pg in binary": () => pgWith({}, { binary: true }),
  "pg with all names in quotes": () => pgWith({}, { options: "-c quote_all_identifiers=on" }),
  "pg with columns in capitals": () => pgRenaming((name) => name.toUpperCase()),
  "pg with columns in camel case": () =>
    pgRenaming((name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase())),
};

const algorithms = {
  budget: { resetAfterIdle: "1h" },
  "fixed-window": { window: "1h" },
  "sliding-window": { window: "1h" },
  "token-bucket": { window: "1h", burst: 3 },
} as const;
const POLICY = {
  version: 1,
  limits: Object.entries(algorithms).map(([algorithm, more]) => {
    return { name: algorithm, per: ["session", "tool"], algorithm, quota: 3, when: { tool: [algorithm] }, ...more };
  }),
} as unknown as PolicyInput;

async function admitted(store: Store, session: string): Promise<Record<string, number>> {
  const limiter = createLimiter({ policy: POLICY, store });
  const counts: Record<string, number> = {};
  for (const tool of Object.keys(algorithms)) {
    let count = 0;
    for (let i = 0; i < 10; i++) count += (await limiter.consume({ tool, session })).allowed ? 1 : 0;
    counts[tool] = count;
  }
  assert.equal((await limiter.usage({ session, tool: "budget" }))[0]?.used, 3);
  await limiter.close();
  return counts;
}

const EXACT = Object.fromEntries(Object.keys(algorithms).map((algorithm) => [algorithm, 3]));

for (const [name, connect] of Object.entries(clients)) {
  describe(name, () => {
    const client = connect();

    it("admits exactly the quota with a JSON column", async () => {
      await server.pool().query("INSERT INTO sessions VALUES ($1)", [name]);
      const store = documentStore(columnOf(client, { table: "sessions", column: "rate_limit_state" }));
      assert.deepEqual(await admitted(store, name), EXACT);
    });

    it("admits exactly the quota with Tollgate's own tables, which it creates", async () => {
      await migrate(client);
      await migrate(client);
      const store = postgresStore(client);
      assert.deepEqual(await admitted(store, name), EXACT);
      assert.match((await postgresStore(client).setup?.())?.[0]?.value ?? "", /^Postgres \d/);
    });
  });
}

describe("ids whose texts depend on the session's settings", () => {
  const ids: [type: string, id: string, settings: string][] = [
    ["bytea", "\\x6162ff", "bytea_output=escape"],
    ["timestamptz", "2026-01-02 03:04:05+00", "TimeZone=Asia/Tokyo"],
    ["date", "2026-01-02", "DateStyle=German"],
    ["interval", "1 day 02:00:00", "IntervalStyle=iso_8601"],
    ["real", "0.12345", "extra_float_digits=-5"],
    ["date[]", "{2026-01-02}", "DateStyle=German"],
  ];
  for (const [type, id, settings] of ids) {
    it(`have one count for all instances: ${type} with ${settings}`, async () => {
      const table = `ids_${type.replace(/\W/g, "_")}`;
      await server.pool().query(`CREATE TABLE ${table} (id ${type} PRIMARY KEY, state jsonb DEFAULT '{}')`);
      await server.pool().query(`INSERT INTO ${table} VALUES ($1::text::${type})`, [id]);
      const limiters = [{}, { options: `-c ${settings}` }].map((more) =>
        createLimiter({
          policy: { version: 1, limits: [{ name: "calls", per: ["session"], quota: 3 }] },
          store: documentStore(columnOf(pgWith({}, more), { table, column: "state" })),
        }),
      );
      let count = 0;
      for (let i = 0; i < 10; i++) {
        const decision = await limiters[i % 2]?.consume({ tool: "search", session: id });
        count += decision?.allowed ? 1 : 0;
      }
      assert.equal(count, 3);
      await Promise.all(limiters.map((limiter) => limiter.close()));
    });
  }
});

describe("a client that changes what the server answered", () => {
  const garbage: Record<string, unknown> = {
    "no row": [],
    "a row without columns": [{}],
    null: [{ list: null }],
    "an empty text": [{ list: "" }],
    "a text": [{ list: "soon" }],
    "another JSON": [{ list: "{}" }],
    "an empty list": [{ list: "[]" }],
    "a list of nulls": [{ list: "[null,null,null,null]" }],
    "a list of texts": [{ list: '["1","2","3","4"]' }],
    "a list of fractions": [{ list: "[1,0.5,0.5,0.5]" }],
    "no rows at all": undefined,
  };
  for (const [name, rows] of Object.entries(garbage)) {
    it(`never gets a decision from ${name}`, async () => {
      const query = async () => ({ rows });
      const broken = {
        totalCount: 0,
        query,
        connect: async () => ({ query, release() {} }),
      } as unknown as PostgresClient;
      for (const store of [
        documentStore(columnOf(broken, { table: "sessions", column: "rate_limit_state" })),
        postgresStore(broken),
      ]) {
        const limiter = createLimiter({ policy: POLICY, store, failover: false });
        for (let i = 0; i < 4; i++) {
          await assert.rejects(limiter.consume({ tool: "budget", session: "s1" }), StoreError);
        }
      }
    });
  }
});

describe("a clock without a time", () => {
  const pool = server.pool();
  const NO_TIMES = [Number.NaN, undefined, null, "1893456000000", 0.5, Number.POSITIVE_INFINITY, -1, 2 ** 53, 10n];

  it("decides nothing, in neither store on Postgres", async () => {
    await pool.query("INSERT INTO sessions VALUES ('no time')");
    for (const value of NO_TIMES) {
      const clock = { nowMs: () => value as number };
      for (const store of [
        documentStore(columnOf(pool, { table: "sessions", column: "rate_limit_state", clock })),
        postgresStore(pool, { clock }),
      ]) {
        const limiter = createLimiter({ policy: POLICY, store, failover: false });
        const isInvalid = (error: unknown) => StoreError.isInstance(error) && error.code === "invalid-reply";
        await assert.rejects(limiter.consume({ tool: "budget", session: "no time" }), isInvalid, String(value));
      }
    }
    const limiter = createLimiter({ policy: POLICY, store: postgresStore(pool) });
    assert.equal((await limiter.usage({ session: "no time", tool: "budget" }))[0]?.used, 0);
    await limiter.close();
  });
});
