// The stores on Postgres through a generated Prisma client, which is generated for this file.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { PrismaPg } from "@prisma/adapter-pg";
import { createLimiter, type PolicyInput, StoreError, type StoreErrorCode } from "tollgate";
import type { Store } from "tollgate/store";
import { columnOf, documentStore } from "tollgate/stores/document";
import { migrate, type PrismaLike, postgresStore } from "tollgate/stores/postgres";
import { fakeClock } from "tollgate/testing";
import { startFaultProxy } from "../chaos/fault-proxy.ts";
import { startPostgres } from "../postgres.ts";
import { ROOT } from "../sources.ts";
import { CASE_MS, inPartition, testSharedStore, testStore } from "../stores/store-suite.ts";
import { until } from "./load.ts";
import { playTrace, trace } from "./trace.ts";

const SCHEMA = `
generator client {
  provider            = "prisma-client"
  output              = "./client"
  moduleFormat        = "esm"
  importFileExtension = "js"
}

datasource db {
  provider = "postgresql"
}

model AgentSession {
  id             String @id
  title          String?
  rateLimitState Json?
}
`;

type Client = PrismaLike & {
  $disconnect(): Promise<void>;
  readonly agentSession: {
    create(of: { data: object }): Promise<unknown>;
    findUnique(of: { where: object }): Promise<{ title: string; rateLimitState: { tollgate: number; keys: object } }>;
  };
};

/** What `prisma generate` makes of the schema. */
async function generated(): Promise<new (options: object) => Client> {
  // Inside the repository, so that the client's packages are found.
  const folder = mkdtempSync(join(ROOT, "node_modules", ".tollgate-prisma-"));
  after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  writeFileSync(join(folder, "schema.prisma"), SCHEMA);
  const env = {
    ...process.env,
    CHECKPOINT_DISABLE: "1",
    PRISMA_HIDE_UPDATE_MESSAGE: "1",
    // It is not needed to generate, and else it would be downloaded.
    PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
  };
  const program = join(ROOT, "node_modules", ".bin", "prisma");
  const args = ["generate", "--schema", "schema.prisma"];
  const made = spawnSync(program, args, { cwd: folder, encoding: "utf8", env });
  if (made.status !== 0) throw new Error(`prisma generate failed: ${made.stdout}${made.stderr}`);
  for (const path of globSync("client/**/*.ts", { cwd: folder })) {
    const code = stripTypeScriptTypes(readFileSync(join(folder, path), "utf8"));
    // Under node_modules Node strips no types by itself.
    writeFileSync(join(folder, path.replace(/ts$/, "js")), code);
  }
  return (await import(pathToFileURL(join(folder, "client", "client.js")).href)).PrismaClient;
}

const server = await startPostgres();
const pool = server.pool();
const PrismaClient = await generated();
const connect = (url = server.url, more = {}) => {
  const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: url, ...more }) });
  after(() => prisma.$disconnect());
  return prisma;
};
const prisma = connect();
await migrate(prisma);
await pool.query(`CREATE TABLE "AgentSession" (id text PRIMARY KEY, title text, "rateLimitState" jsonb)`);
const column = { table: "AgentSession", column: "rateLimitState" };

// postgres.test.ts and document.test.ts play all of the contract, by pg.
const openTables = async () => {
  await pool.query("TRUNCATE tollgate_buckets");
  const clock = fakeClock();
  return { store: postgresStore(prisma, { clock, deadlineMs: CASE_MS }), advance: clock.advance };
};
testSharedStore("postgres by Prisma", openTables, "one kind each");

const openColumn = async () => {
  await pool.query(`TRUNCATE "AgentSession"`);
  await prisma.agentSession.create({ data: { id: "s1" } });
  const clock = fakeClock();
  const store = documentStore(columnOf(prisma, { ...column, clock }), { clock });
  return { store: inPartition(store, "s1"), advance: clock.advance };
};
testStore("document in a column by Prisma", openColumn, "one kind each");

const POLICY: PolicyInput = {
  version: 1,
  limits: [{ name: "tool-per-session", per: ["session", "tool"], quota: 5, resetAfterIdle: "1h" }],
};
const call = (session: string) => ({ tool: "search", session });
const isStoreError = (code: StoreErrorCode, words: RegExp) => (error: unknown) =>
  StoreError.isInstance(error) && error.code === code && words.test(error.message);
const limiterOf = (store: Store) => createLimiter({ policy: POLICY, store, failover: false });

describe("80 calls at once by Prisma", () => {
  const admitted = async (session: string, store: () => Store) => {
    const limiters = Array.from({ length: 4 }, () => limiterOf(store()));
    const calls = Array.from({ length: 80 }, (_, i) => limiters[i % 4]?.consume(call(session)));
    return (await Promise.all(calls)).filter((decision) => decision?.allowed).length;
  };

  it("admit exactly the quota, in tables of Tollgate's own", async () => {
    assert.equal(await admitted("many", () => postgresStore(prisma)), 5);
  });

  it("admit exactly the quota, in a column of a model", async () => {
    await prisma.agentSession.create({ data: { id: "many", title: "mine" } });
    assert.equal(await admitted("many", () => documentStore(columnOf(prisma, column))), 5);
    const row = await prisma.agentSession.findUnique({ where: { id: "many" } });
    assert.deepEqual([row.title, row.rateLimitState.tollgate], ["mine", 1]);
    assert.deepEqual(Object.keys(row.rateLimitState.keys), ["rate:1:{many}:tool-per-session:search"]);
  });

  it("admit exactly the quota over stores with one key and many", async () => {
    const stores = Array.from({ length: 4 }, () => limiterOf(postgresStore(prisma)));
    const calls = Array.from({ length: 80 }, (_, i) => stores[i % 4]?.consume(call(`one-of-${i % 8}`)));
    assert.equal((await Promise.all(calls)).filter((decision) => decision?.allowed).length, 40);
  });
});

describe("a fault of Postgres through Prisma", () => {
  const rejects = async (client: PrismaLike, code: StoreErrorCode, words: RegExp, schema?: string) =>
    assert.rejects(limiterOf(postgresStore(client, { schema })).consume(call("s1")), isStoreError(code, words));

  it("is reported with what to do: absent tables, schemas and columns", async () => {
    await pool.query("CREATE SCHEMA empty");
    await rejects(prisma, "schema-version", /run migrate\(\)/, "empty");
    await rejects(prisma, "schema-version", /run migrate\(\)/, "nowhere");
    await assert.rejects(migrate(prisma, { schema: "nowhere" }), isStoreError("schema-version", /create it/));
    await pool.query("CREATE SCHEMA old");
    await migrate(prisma, { schema: "old" });
    await pool.query("ALTER TABLE old.tollgate_buckets DROP COLUMN value");
    await rejects(prisma, "schema-version", /run migrate\(\)/, "old");
  });

  it("is reported with what to do: a role without rights, an absent role", async () => {
    await pool.query("CREATE ROLE reader LOGIN; GRANT SELECT ON tollgate_buckets, tollgate_schema TO reader");
    const reader = connect(server.url.replace("tollgate@", "reader@"));
    await rejects(reader, "unauthorized", /needs SELECT, INSERT, UPDATE and DELETE/);
    await rejects(connect(server.url.replace("tollgate@", "stranger@")), "unauthorized", /stranger/);
    await rejects(connect(server.url.replace("/postgres", "/nothing")), "unavailable", /nothing/);
  });

  it("is reported: a read-only server, a lock that is held, an unreachable server", async () => {
    await rejects(connect(server.url, { options: "-c default_transaction_read_only=on" }), "read-only", /read-only/);
    const limiter = limiterOf(postgresStore(prisma, { deadlineMs: 200 }));
    await limiter.consume(call("locked"));
    const holder = await pool.connect();
    await holder.query("BEGIN; SELECT 1 FROM tollgate_buckets WHERE key LIKE '%locked%' FOR UPDATE");
    await assert.rejects(limiter.consume(call("locked")), isStoreError("busy", /timeout/));
    await holder.query("ROLLBACK");
    holder.release();
    await limiter.consume(call("locked"));
    const away = connect("postgres://tollgate@127.0.0.1:1/postgres");
    const isAway = (error: unknown) => isStoreError("unavailable", /./)(error) && (error as StoreError).transient;
    await assert.rejects(limiterOf(postgresStore(away)).consume(call("s1")), isAway);
  });

  it("is busy when all connections of the pool are taken", async () => {
    const one = connect(server.url, { max: 1 });
    const limiter = limiterOf(postgresStore(one, { deadlineMs: 200 }));
    await limiter.consume(call("taken"));
    const taken = one.$transaction(async (client: PrismaLike) => client.$queryRawUnsafe("SELECT pg_sleep(1)::text"));
    await assert.rejects(limiter.consume(call("taken")), isStoreError("busy", /transaction/i));
    await taken;
    assert.equal((await limiter.consume(call("taken"))).allowed, true);
  });

  it("is reported for a column of a model", async () => {
    const consume = (session: string, more: object = {}) =>
      limiterOf(documentStore(columnOf(prisma, { ...column, ...more }))).consume(call(session));
    await assert.rejects(consume("made-up"), isStoreError("unknown-partition", /make the session's row/));
    await assert.rejects(
      consume("s1", { table: "Nothing" }),
      isStoreError("schema-version", /Nothing.*name the table as the database calls it/s),
    );
    const isMissing = isStoreError("schema-version", /has no column "state": add it/);
    await assert.rejects(consume("s1", { column: "state" }), isMissing);
    await pool.query(`CREATE TABLE numbers (id integer PRIMARY KEY, "rateLimitState" integer)`);
    const isOther = isStoreError("schema-version", /of type integer: json, jsonb or text/);
    await assert.rejects(consume("s1", { table: "numbers" }), isOther);
  });

  it("does not occur when the role has exactly the rights of the docs", async () => {
    await pool.query(`
      CREATE ROLE counting LOGIN;
      GRANT SELECT ON tollgate_schema TO counting;
      GRANT SELECT, INSERT, UPDATE, DELETE ON tollgate_buckets TO counting;
      GRANT SELECT (id, "rateLimitState"), UPDATE ("rateLimitState") ON "AgentSession" TO counting;
    `);
    await prisma.agentSession.create({ data: { id: "granted" } });
    const counting = connect(server.url.replace("tollgate@", "counting@"));
    for (const store of [postgresStore(counting), documentStore(columnOf(counting, column))]) {
      assert.equal((await limiterOf(store).consume(call("granted"))).allowed, true);
    }
    await pool.query(`REVOKE UPDATE ("rateLimitState") ON "AgentSession" FROM counting`);
    await assert.rejects(
      limiterOf(documentStore(columnOf(counting, column))).consume(call("granted")),
      isStoreError("unauthorized", /UPDATE on the JSON column/),
    );
  });
});

describe("the trace by three limiters at once, through Prisma", () => {
  it("equals a sequential count on Tollgate's own table", async () => {
    await pool.query("TRUNCATE tollgate_buckets");
    await playTrace(() => postgresStore(prisma));
  });

  it("equals a sequential count on a JSON column", async () => {
    for (const id of new Set(trace.map(({ session }) => session))) await prisma.agentSession.create({ data: { id } });
    await playTrace(() => documentStore(columnOf(prisma, column)));
  });
});

describe("Prisma with the settings of the docs", () => {
  it("replaces its connections after they died silently, more often than it has connections", async () => {
    const proxy = await startFaultProxy(Number(new URL(server.url).port));
    const lines = { connectionTimeoutMillis: 2_000, statement_timeout: 900, query_timeout: 1_000 };
    const client = connect(server.url.replace(/:\d+\//, `:${proxy.port}/`), { ...lines, max: 2 });
    const limiter = limiterOf(postgresStore(client, { deadlineMs: 400 }));
    const session = crypto.randomUUID();
    await limiter.consume(call(session));
    for (let drop = 0; drop < 3; drop++) {
      proxy.freeze();
      await assert.rejects(limiter.consume(call(session)), StoreError);
      await until("a connection is had", () =>
        limiter.consume(call(session)).then(
          () => true,
          () => false,
        ),
      );
    }
  });
});
