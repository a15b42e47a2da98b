import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import postgres from "postgres";
import { createLimiter, MisuseError, StoreError, type StoreErrorCode } from "tollgate";
import { TermsError, type TermsRefusal } from "tollgate/store";
import type { LimitSpec, Store, StoreRequest } from "tollgate/store";
import { migrate, type PostgresClient, postgresStore } from "tollgate/stores/postgres";
import { fakeClock } from "tollgate/testing";
import { embeddedMigrations } from "../../scripts/sql.ts";
import { startPostgres } from "../postgres.ts";
import { sources } from "../sources.ts";
import { CASE_MS, testSharedStore } from "../stores/store-suite.ts";

const server = await startPostgres();
const pool = server.pool();
const sql = postgres(server.url, { onnotice: () => {} });
await migrate(pool);

for (const [name, client] of Object.entries<PostgresClient>({ pg: pool, "postgres.js": sql })) {
  const open = async () => {
    await pool.query("TRUNCATE tollgate_buckets");
    const clock = fakeClock();
    return { store: postgresStore(client, { clock, deadlineMs: CASE_MS }), advance: clock.advance };
  };
  testSharedStore(`postgres by ${name}`, open, client === pool ? "all kinds" : "one kind each");
}

const limit: LimitSpec = { algorithm: "budget", quota: 5, ttlMs: 60_000, ttlFrom: "last" };
const charge = (bucket: string, by = limit): StoreRequest => ({
  mode: "judge",
  steps: [{ bucket, limit: by, event: { type: "charge", cost: 1 } }],
});
const isStoreError = (code: StoreErrorCode | TermsRefusal, words: RegExp) => (error: unknown) =>
  StoreError.isInstance(error) && (TermsError.refusalOf(error) ?? error.code) === code && words.test(error.message);
const rowsOf = async (schema = "public") =>
  (await pool.query(`SELECT key, value, expires_at_ms FROM ${schema}.tollgate_buckets ORDER BY key`)).rows;

/** A pool of its own that notes each message: the first words of its statements, without the settings before them. */
function listening(asked: string[]): PostgresClient {
  const own = server.pool();
  const listened = new WeakSet<object>();
  const wordOf = (text: string) => /^EXECUTE tollgate_([a-z]+)/.exec(text)?.[1] ?? /^\w+/.exec(text)?.[0] ?? "";
  own.on("connect", (client) => {
    if (listened.has(client)) return;
    listened.add(client);
    const query = client.query.bind(client) as (...args: unknown[]) => unknown;
    client.query = ((...args: unknown[]) => {
      const statements = String(args[0]).split(/; +/);
      asked.push(
        statements
          .filter((text) => !text.startsWith("SET LOCAL"))
          .map(wordOf)
          .join("; "),
      );
      return query(...args);
    }) as typeof client.query;
  });
  return own;
}

describe("what the Postgres store keeps", () => {
  it("is a plain number under the documented key", async () => {
    await pool.query("TRUNCATE tollgate_buckets");
    const limiter = createLimiter({
      policy: {
        version: 1,
        limits: [{ name: "tool-per-session", per: ["session", "tool"], quota: 50, resetAfterIdle: "24h" }],
      },
      store: postgresStore(pool),
      failover: false,
    });
    for (let i = 0; i < 3; i++) await limiter.consume({ tool: "web_search", session: "s1" });
    const [row] = await rowsOf();
    assert.deepEqual([row?.key, row?.value], ["rate:1:{s1}:tool-per-session:web_search", "3"]);
    const leftMs = Number(row?.expires_at_ms) - Date.now();
    assert.ok(leftMs > 86_000_000 && leftMs <= 86_400_000);
  });

  it("is decided at the server's time, for any time of the machine", async () => {
    const store = postgresStore(pool);
    const [reply] = await store.apply([charge("now")]);
    const { rows } = await pool.query("SELECT extract(epoch FROM clock_timestamp()) * 1000 AS now");
    assert.ok(reply !== undefined && "nowMs" in reply && Number(rows[0]?.now) - reply.nowMs < 1_000);
  });

  it("asks once for a charge that goes alone and passes, and twice for a batch, also where rows are new", async () => {
    const asked: string[] = [];
    const store = postgresStore(listening(asked));
    await store.apply([charge("a"), charge("b")]);
    const first = ["BEGIN", "SELECT", "COMMIT", "PREPARE; PREPARE; PREPARE"];
    assert.deepEqual(asked, [...first, "BEGIN; make; look", "write; COMMIT"]);
    asked.length = 0;
    await store.apply([charge("a"), charge("b"), charge("a")]);
    assert.deepEqual(asked, ["PREPARE", "BEGIN; lock", "write; COMMIT"]);
    asked.length = 0;
    await store.apply([{ ...charge("a"), mode: "peek" }]);
    await store.apply([{ ...charge("c"), mode: "peek" }]);
    assert.deepEqual(asked, ["look", "look"]);
    asked.length = 0;
    for (const bucket of ["a", "d"]) await store.apply([charge(bucket)]);
    assert.deepEqual(asked, ["PREPARE", "charge", "make; charge"]);
    asked.length = 0;
    const [denied] = await store.apply([charge("a", { ...limit, quota: 4 })]);
    assert.equal(denied !== undefined && "allowed" in denied && denied.allowed, false);
    assert.deepEqual(asked, ["charge", "BEGIN; lock", "COMMIT"]);
  });

  it("makes no rows once it has found all that it did not know for a while, until one is not there", async () => {
    const buckets = Array.from({ length: 30 }, (_, i) => `live-${i}`);
    await postgresStore(pool).apply(buckets.map((bucket) => charge(bucket)));
    const asked: string[] = [];
    const store = postgresStore(listening(asked));
    const waysOf = async (...requests: StoreRequest[]) => {
      asked.length = 0;
      const replies = await store.apply(requests);
      assert.ok(replies.every((reply) => "allowed" in reply && reply.allowed));
      return asked.filter((words) => !words.startsWith("PREPARE"));
    };
    for (const bucket of buckets.slice(0, 8)) await waysOf(charge(bucket));
    assert.deepEqual(await waysOf(charge("live-8")), ["charge"]);
    assert.deepEqual(await waysOf(charge("live-9"), charge("live-10")), ["BEGIN; lock", "write; COMMIT"]);
    const made = ["BEGIN; make; look", "write; COMMIT"];
    assert.deepEqual(await waysOf(charge("live-11"), charge("new-1")), ["BEGIN; lock", "COMMIT", ...made]);
    assert.deepEqual(await waysOf(charge("live-12"), charge("new-2")), made);
    for (const bucket of buckets.slice(13, 21)) await waysOf(charge(bucket));
    assert.deepEqual(await waysOf(charge("new-3")), ["charge", ...made]);
    assert.deepEqual(await waysOf(charge("new-4")), ["make; charge"]);
  });

  it("finds rows by the primary key, also where its plans were made for a small table", async () => {
    await pool.query("TRUNCATE tollgate_buckets");
    const own = server.pool({ max: 1 });
    const store = postgresStore(own);
    const two = [charge("a"), charge("b")];
    for (const requests of [two, two, [charge("a")], [{ ...charge("a"), mode: "peek" as const }]]) {
      await store.apply(requests);
      await own.query("ANALYZE tollgate_buckets");
    }
    const { rows } = await own.query("SELECT name FROM pg_prepared_statements ORDER BY name");
    const names = rows.map(({ name }) => String(name));
    assert.deepEqual(
      names.map((name) => name.split("_")[1]),
      ["charge", "lock", "look", "make", "write"],
    );
    const explained = async (name: string) => {
      const values = name.includes("charge")
        ? `'{a}', '{1}', '{9}', '{9}', '{first}', '{}', '', '', '', '', '9', ''`
        : "'{a,b}'";
      const settings = "SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off";
      const results = await own.query(`${settings}; EXPLAIN EXECUTE ${name}(${values})`);
      return JSON.stringify((results as unknown as { rows: unknown[] }[]).at(-1)?.rows);
    };
    for (const name of names.filter((each) => /charge|lock|look/.test(each))) {
      assert.match(await explained(name), /Index Scan (using|on) tollgate_buckets_pkey/);
      assert.doesNotMatch(await explained(name), /Seq Scan on tollgate_buckets/);
    }
  });

  it("continues when other processes remove its rows", async () => {
    const store = postgresStore(pool);
    await store.apply([charge("removed")]);
    await pool.query("TRUNCATE tollgate_buckets");
    const [reply] = await store.apply([charge("removed")]);
    assert.ok(reply !== undefined && "steps" in reply);
    assert.equal(reply.steps[0]?.used, 1);
  });

  it("removes expired rows in small steps", async () => {
    await pool.query("TRUNCATE tollgate_buckets");
    const store = postgresStore(pool);
    const brief: LimitSpec = { ...limit, ttlMs: 1 };
    for (let i = 0; i < 20; i++)
      await store.apply(Array.from({ length: 100 }, (_, j) => charge(`dead-${i}-${j}`, brief)));
    await sleep(5);
    for (let i = 0; i < 40; i++) await store.apply(Array.from({ length: 100 }, (_, j) => charge(`live-${i}-${j}`)));
    await sleep(100);
    const dead = (await rowsOf()).filter(({ key }) => key.startsWith("dead")).length;
    assert.ok(dead < 200, `${dead} dead rows of 2,000`);
  });

  it("embeds the migration files as they are", () => {
    const [generated] = sources("src/stores/postgres/migrations.gen.ts");
    assert.equal(generated?.text.replace(/\s/g, ""), embeddedMigrations().replace(/\s/g, ""));
  });
});

describe("what the Postgres store knows of its instances", () => {
  const member = (instance: string, seen: readonly string[] = []) => ({ group: "g", instance, livesMs: 60_000, seen });
  const beat = async (instance: string, seen: readonly string[] = [], client: PostgresClient = pool) =>
    await postgresStore(client).beat(member(instance, seen));
  const MARK = "tollgate:1:$incarnation";

  it("is in rows beside the buckets, and is read once", async () => {
    await pool.query("TRUNCATE tollgate_buckets");
    const asked: string[] = [];
    const { incarnation, nowMs } = await beat("i:1", [], listening(asked));
    assert.deepEqual(asked, ["BEGIN", "SELECT", "COMMIT", "BEGIN", "WITH", "COMMIT"]);
    assert.deepEqual(await rowsOf(), [
      { key: MARK, value: `m1 ${incarnation} all`, expires_at_ms: "9007199254740991" },
      { key: "tollgate:1:$instance:g/i:1", value: "b1", expires_at_ms: String(nowMs + 60_000) },
    ]);
    assert.ok(Math.abs(nowMs - Date.now()) < 10_000);
    await postgresStore(pool).beat({ ...member("i:1"), livesMs: 0 });
    assert.deepEqual(
      (await rowsOf()).map(({ key }) => key),
      [MARK],
    );
  });

  it("is one mark for all instances that start together, on separate connections", async () => {
    for (let round = 0; round < 10; round++) {
      await pool.query("TRUNCATE tollgate_buckets");
      const beats = await Promise.all(Array.from({ length: 10 }, (_, i) => beat(`i${i}`)));
      assert.equal(new Set(beats.map(({ incarnation }) => incarnation)).size, 1);
    }
  });

  it("is a mark that another instance made meanwhile", async () => {
    await pool.query("TRUNCATE tollgate_buckets");
    const other = await pool.connect();
    await other.query(`BEGIN; INSERT INTO tollgate_buckets VALUES ('${MARK}', 'm1 theirs some', 9007199254740991)`);
    const [{ incarnation, lost }] = await Promise.all([beat("late"), sleep(50).then(() => other.query("COMMIT"))]);
    other.release();
    assert.deepEqual([incarnation, lost], ["theirs", "some"]);
  });

  it("distinguishes a table that lost everything from one that lost its mark", async () => {
    const lost = async (left: readonly (readonly [key: string, value: string])[], seen: readonly string[]) => {
      await pool.query("TRUNCATE tollgate_buckets");
      for (const row of left) await pool.query("INSERT INTO tollgate_buckets VALUES ($1, $2, 0)", [...row]);
      return (await beat("i1", seen)).lost;
    };
    const instance = ["tollgate:1:$instance:g/i2", "b1"] as const;
    assert.equal(await lost([], []), "all");
    assert.equal(await lost([instance, ["locked", ""]], []), "all");
    assert.equal(await lost([["b", "3"]], []), "some");
    assert.equal(await lost([["b", "3"]], ["a", "b"]), "some");
    assert.equal(await lost([["b", "3"], instance], ["a"]), "all");
    assert.equal(await lost([["b", ""]], ["b"]), "all");
  });

  it("is a new mark where the mark is damaged", async () => {
    await pool.query("TRUNCATE tollgate_buckets");
    for (const value of ["", "m1 a", "m2 a all"]) {
      await pool.query("DELETE FROM tollgate_buckets");
      await pool.query(`INSERT INTO tollgate_buckets VALUES ('${MARK}', $1, 0)`, [value]);
      const { incarnation } = await beat("i1");
      assert.equal((await rowsOf()).find(({ key }) => key === MARK)?.value, `m1 ${incarnation} all`);
      assert.equal((await beat("i2")).incarnation, incarnation);
    }
  });

  it("keeps its mark and live rows when expired rows are removed", async () => {
    await pool.query("TRUNCATE tollgate_buckets");
    const clock = fakeClock();
    const store = postgresStore(pool, { clock });
    const { incarnation } = await store.beat(member("dead"));
    clock.advance(100 * 86_400_000);
    await store.beat(member("live"));
    for (let i = 0; i < 20; i++) await store.apply(Array.from({ length: 100 }, (_, j) => charge(`${i}-${j}`)));
    await sleep(100);
    const kept = (await rowsOf()).map(({ key }) => key).filter((key) => key.startsWith("tollgate:"));
    assert.deepEqual(kept, [MARK, "tollgate:1:$instance:g/live"]);
    await store.book([charge("a")], { incarnation });
  });

  it("drops expired instances with the next beat, and shortens lives that a clock ahead wrote", async () => {
    await pool.query("TRUNCATE tollgate_buckets");
    const clock = fakeClock();
    const store = postgresStore(pool, { clock });
    for (let i = 0; i < 3; i++) await store.beat(member(`dead${i}`));
    clock.advance(60_000);
    const aheadMs = clock.nowMs() + 86_400_000;
    await pool.query("INSERT INTO tollgate_buckets VALUES ('tollgate:1:$instance:g/ahead', 'b1', $1)", [aheadMs]);
    await pool.query("INSERT INTO tollgate_buckets VALUES ('tollgate:1:$instance:h/other', 'b1', 1)");
    assert.equal((await store.beat(member("live")))?.instances, 2);
    const rows = (await rowsOf()).filter(({ key }) => key.includes("$instance"));
    assert.deepEqual(
      rows.map(({ key, expires_at_ms }) => [key.split(":").at(-1), Number(expires_at_ms) - clock.nowMs()]),
      [
        ["g/ahead", 600_000],
        ["g/live", 60_000],
        ["h/other", 1 - clock.nowMs()],
      ],
    );
  });

  it("is in a separate schema", async () => {
    await pool.query("TRUNCATE tollgate_buckets");
    await pool.query("CREATE SCHEMA shared");
    await migrate(pool, { schema: "shared" });
    const store = postgresStore(pool, { schema: "shared" });
    const { incarnation } = await store.beat(member("i1"));
    await store.book([charge("b")], { incarnation, receipt: { instance: "i1", number: 1, from: 1 } });
    assert.deepEqual(
      (await rowsOf("shared")).map(({ key }) => key),
      ["b", MARK, "tollgate:1:$instance:g/i1", "tollgate:1:$receipts:i1"],
    );
    assert.equal((await store.beat(member("i2")))?.instances, 2);
  });

  it("is not read in a closed store", async () => {
    const store = postgresStore(pool);
    await store.close();
    await assert.rejects(store.beat(member("i1")), isStoreError("closed", /closed/));
  });
});

describe("batches with terms", () => {
  const receipt = (number: number) => ({ receipt: { instance: "i1", number, from: 1 } });

  it("need one more row, and no other statement once the row is known", async () => {
    await pool.query("TRUNCATE tollgate_buckets");
    const asked: string[] = [];
    const store = postgresStore(listening(asked));
    await store.book([charge("a")], receipt(1));
    assert.deepEqual(asked.slice(-2), ["BEGIN; make; look", "write; COMMIT"]);
    asked.length = 0;
    await store.book([charge("a")], receipt(2));
    assert.deepEqual(asked, ["PREPARE", "charge"]);
    asked.length = 0;
    await store.book([{ ...charge("a"), mode: "peek" }], receipt(3));
    assert.deepEqual(asked, ["look"]);
    const [, { key, value } = { key: "", value: "" }] = await rowsOf();
    assert.match(`${key} ${value}`, /^tollgate:1:\$receipts:i1 r1 1 1\.0,\d+,1,o;2\.0,\d+,1,o$/);
  });

  it("book each request once, also when they are sent again in flight", async () => {
    await pool.query("TRUNCATE tollgate_buckets");
    const stores = Array.from({ length: 4 }, () => postgresStore(server.pool(), { deadlineMs: 60_000 }));
    const ample: LimitSpec = { ...limit, quota: 10_000 };
    const sent = Array.from({ length: 200 }, (_, i) => {
      const number = 1 + (i % 10);
      return stores[i % 4]?.book([charge("all", ample), charge(`own-${number}`, ample)], receipt(number));
    });
    await Promise.all(sent);
    assert.equal((await rowsOf()).find(({ key }) => key === "all")?.value, "10");
  });

  it("do not wait for one another at the mark", async () => {
    await pool.query("TRUNCATE tollgate_buckets");
    const store = postgresStore(pool, { deadlineMs: 200 });
    const { incarnation } = await store.beat({ group: "g", instance: "i1", livesMs: 1_000, seen: [] });
    const holder = await pool.connect();
    await holder.query(`BEGIN; SELECT 1 FROM tollgate_buckets WHERE key = 'tollgate:1:$incarnation' FOR UPDATE`);
    try {
      await store.book([charge("a")], { incarnation });
    } finally {
      await holder.query("ROLLBACK");
      holder.release();
    }
  });

  it("change nothing where they are refused", async () => {
    await pool.query("TRUNCATE tollgate_buckets");
    const store = postgresStore(pool);
    await store.book([charge("a")], receipt(1));
    const before = await rowsOf();
    const refused = [
      ["too-late", { notAfterMs: 0, ...receipt(2) }],
      ["other-incarnation", { incarnation: "other", ...receipt(2) }],
      ["settled", { receipt: { instance: "i1", number: 1, from: 2 } }],
    ] as const;
    for (const [code, terms] of refused) {
      await assert.rejects(store.book([charge("a")], terms), (error) => TermsError.refusalOf(error) === code);
      assert.deepEqual(await rowsOf(), before);
    }
  });
});

describe("overlapping batches", () => {
  it("have no deadlock, and admit exactly the quota", async () => {
    await pool.query("TRUNCATE tollgate_buckets");
    const stores = Array.from({ length: 4 }, () => postgresStore(server.pool(), { deadlineMs: 60_000 }));
    const shared: LimitSpec = { ...limit, quota: 300 };
    const names = Array.from({ length: 20 }, (_, i) => `set-${i}`);
    let admitted = 0;
    const ask = async (store: Store, seed: number) => {
      // Each names other buckets in another order, and all of them one.
      const rotated = [...names.slice(seed % 20), ...names.slice(0, seed % 20)].slice(0, 5);
      const steps = ["all", ...(seed % 2 === 0 ? rotated : rotated.reverse())].flatMap(
        (bucket) => charge(bucket, bucket === "all" ? shared : { ...limit, quota: 10_000 }).steps,
      );
      const [reply] = await store.apply([{ mode: "judge", steps }]);
      if (reply !== undefined && "allowed" in reply && reply.allowed) admitted++;
    };
    await Promise.all(Array.from({ length: 500 }, (_, i) => ask(stores[i % 4] as Store, i)));
    assert.equal(admitted, 300);
  });
});

describe("migrate", () => {
  it("may be run concurrently and again, in a separate schema", async () => {
    await pool.query("CREATE SCHEMA limits");
    await Promise.all(Array.from({ length: 5 }, () => migrate(pool, { schema: "limits" })));
    await migrate(sql, { schema: "limits" });
    const store = postgresStore(sql, { schema: "limits" });
    await store.apply([charge("here")]);
    assert.deepEqual(
      (await rowsOf("limits")).map(({ key }) => key),
      ["here"],
    );
  });

  it("refuses tables of a newer version", async () => {
    await pool.query("CREATE SCHEMA newer");
    await migrate(pool, { schema: "newer" });
    await pool.query("UPDATE newer.tollgate_schema SET version = 99");
    const isNewer = isStoreError("schema-version", /of version 99, and this is version 1: update tollgate/);
    await assert.rejects(migrate(pool, { schema: "newer" }), isNewer);
    await assert.rejects(postgresStore(pool, { schema: "newer" }).apply([charge("a")]), isNewer);
  });
});

describe("a fault of Postgres", () => {
  const rejects = async (client: PostgresClient, code: StoreErrorCode, words: RegExp, schema?: string) =>
    assert.rejects(postgresStore(client, { schema }).apply([charge("a")]), isStoreError(code, words));

  it("is reported with what to do: absent tables", async () => {
    await pool.query("CREATE SCHEMA empty");
    await rejects(pool, "schema-version", /run migrate\(\)/, "empty");
    await rejects(sql, "schema-version", /run migrate\(\)/, "nowhere");
    await assert.rejects(migrate(pool, { schema: "nowhere" }), isStoreError("schema-version", /create it/));
  });

  it("is reported with what to do: an absent column", async () => {
    await pool.query("CREATE SCHEMA old");
    await migrate(pool, { schema: "old" });
    await pool.query("ALTER TABLE old.tollgate_buckets DROP COLUMN value");
    await rejects(pool, "schema-version", /run migrate\(\)/, "old");
  });

  it("is reported with what to do: a role without rights", async () => {
    await pool.query("CREATE ROLE reader LOGIN");
    await pool.query("GRANT SELECT ON tollgate_buckets, tollgate_schema TO reader");
    const reader = server.pool({ connectionString: server.url.replace("tollgate@", "reader@") });
    await rejects(reader, "unauthorized", /needs SELECT, INSERT, UPDATE and DELETE/);
    await pool.query("CREATE ROLE stranger LOGIN");
    await rejects(postgres(server.url.replace("tollgate@", "stranger@")), "unauthorized", /needs SELECT/);
  });

  it("is reported: a read-only server, a lock that is held, an unreachable server", async () => {
    await rejects(
      server.pool({ options: "-c default_transaction_read_only=on" }),
      "read-only",
      /read-only transaction/,
    );
    const store = postgresStore(pool, { deadlineMs: 500 });
    await store.apply([charge("locked")]);
    const holder = await pool.connect();
    await holder.query("BEGIN; SELECT 1 FROM tollgate_buckets WHERE key = 'locked' FOR UPDATE");
    await assert.rejects(store.apply([charge("locked")]), isStoreError("busy", /timeout/));
    await holder.query("ROLLBACK");
    holder.release();
    await store.apply([charge("locked")]);
    const closed = createServer().listen(0);
    await once(closed, "listening");
    const { port } = closed.address() as { port: number };
    closed.close();
    const away = new pg.Pool({ host: "127.0.0.1", port });
    const isAway = (error: unknown) =>
      isStoreError("unavailable", /ECONNREFUSED/)(error) && (error as StoreError).transient;
    await assert.rejects(postgresStore(away).apply([charge("a")]), isAway);
  });

  it("fails only the call of a damaged bucket, and a reset repairs it", async () => {
    await pool.query("INSERT INTO tollgate_buckets VALUES ('damaged', 'x', $1)", [Date.now() + 60_000]);
    const store = postgresStore(pool);
    const [damaged, fine] = await store.apply([charge("damaged"), charge("fine")]);
    assert.ok(isStoreError("damaged-bucket", /damaged/)(damaged));
    assert.ok(fine !== undefined && "allowed" in fine);
    await store.apply([{ mode: "judge", steps: [{ bucket: "damaged", limit, event: { type: "reset" } }] }]);
    const [mended] = await store.apply([charge("damaged")]);
    assert.ok(mended !== undefined && "allowed" in mended && mended.allowed);
  });

  it("is a misuse: another client, another option", () => {
    const refuses = (client: unknown, options: object, words: RegExp) =>
      assert.throws(
        () => postgresStore(client as PostgresClient, options),
        (error) => MisuseError.isInstance(error) && words.test(error.message),
      );
    refuses(new pg.Client(), {}, /client: expected a Pool of pg/);
    refuses(null, {}, /got null/);
    refuses(pool, { schema: 'a"b' }, /schema: expected a name/);
    refuses(pool, { deadlineMs: 0 }, /deadlineMs: expected/);
    refuses(pool, { table: "x" }, /expected only schema/);
  });
});

describe("setup", () => {
  it("shows the server's version, and whether it keeps acknowledged writes", async () => {
    const setup = await postgresStore(pool).setup?.();
    assert.match(setup?.[0]?.value ?? "", /^Postgres \d+/);
    // The tests' server does without fsync.
    assert.match(setup?.[1]?.problem ?? "", /fsync/);
  });
});
