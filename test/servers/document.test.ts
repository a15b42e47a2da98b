import assert from "node:assert/strict";
import { describe, it } from "node:test";
import postgres from "postgres";
import { createLimiter, MisuseError, type PolicyInput, StoreError, type StoreErrorCode } from "tollgate";
import { columnOf, type DocumentPort, documentStore } from "tollgate/stores/document";
import { fakeClock } from "tollgate/testing";
import { startPostgres } from "../postgres.ts";
import { inPartition, testStore } from "../stores/store-suite.ts";

const server = await startPostgres();
const pool = server.pool();
const sql = postgres(server.url, { onnotice: () => {} });
await pool.query(`CREATE TABLE "AgentSession" (id text PRIMARY KEY, title text, "rateLimitState" jsonb)`);
const column = { table: "AgentSession", column: "rateLimitState" };

/** Sessions in a map, each value as text: what a program's own port may look like. */
function mapPort(clock = fakeClock()) {
  const sessions = new Map<string, string | null>([["s1", null]]);
  const port: DocumentPort = {
    async transact(partition, change) {
      const text = sessions.get(partition);
      if (text === undefined)
        throw new StoreError("unknown-partition", `no session ${partition}`, { transient: false });
      const { json, result } = change(text === null ? null : JSON.parse(text), clock.nowMs());
      sessions.set(partition, JSON.stringify(json));
      return result;
    },
  };
  return { port, sessions, clock };
}

testStore("document by a port", () => {
  const { port, clock } = mapPort();
  return { store: inPartition(documentStore(port, { clock }), "s1"), advance: clock.advance };
});

for (const [name, client] of Object.entries({ pg: pool, "postgres.js": sql })) {
  const open = async () => {
    await pool.query(`TRUNCATE "AgentSession"; INSERT INTO "AgentSession" VALUES ('s1')`);
    const clock = fakeClock();
    const store = documentStore(columnOf(client, { ...column, clock }), { clock });
    return { store: inPartition(store, "s1"), advance: clock.advance };
  };
  testStore(`document in a column by ${name}`, open, client === pool ? "all kinds" : "one kind each");
}

const POLICY: PolicyInput = {
  version: 1,
  limits: [
    { name: "tool-per-session", per: ["session", "tool"], quota: 3, resetAfterIdle: "1h" },
    { name: "tool-per-turn", per: ["session", "turn", "tool"], quota: 2, resetAfterIdle: "1h" },
  ],
};
const isStoreError = (code: StoreErrorCode, words: RegExp) => (error: unknown) =>
  StoreError.isInstance(error) && error.code === code && words.test(error.message);

for (const [name, client] of Object.entries({ pg: pool, "postgres.js": sql })) {
  describe(`a column of your own session table, by ${name}`, () => {
    const call = (session: string, turn = "t1") => ({ tool: "search", session, turn });
    const limiter = createLimiter({ policy: POLICY, store: documentStore(columnOf(client, column)) });

    it("keeps the limits of a session, over instances and restarts", async () => {
      const session = `${name} {1}`;
      await pool.query(`INSERT INTO "AgentSession" VALUES ($1, 'mine')`, [session]);
      const decisions = [];
      for (const turn of ["t1", "t1", "t1", "t2", "t3"]) decisions.push(await limiter.consume(call(session, turn)));
      assert.deepEqual(
        decisions.map(({ allowed }) => allowed),
        [true, true, false, true, false],
      );
      const { rows } = await pool.query(`SELECT title, "rateLimitState" AS state FROM "AgentSession" WHERE id = $1`, [
        session,
      ]);
      assert.equal(rows[0]?.title, "mine");
      const { tollgate, keys } = rows[0]?.state ?? {};
      assert.equal(tollgate, 1);
      const texts = Object.fromEntries(Object.entries(keys).map(([key, kept]) => [key, (kept as string[])[0]]));
      const tag = `rate:1:{${name} %7B1%7D}`;
      assert.deepEqual(texts, {
        [`${tag}:tool-per-session:search`]: "3",
        [`${tag}:tool-per-turn:t1:search`]: "2",
        [`${tag}:tool-per-turn:t2:search`]: "1",
      });
      const again = createLimiter({ policy: POLICY, store: documentStore(columnOf(client, column)) });
      assert.equal((await again.consume(call(session, "t4"))).allowed, false);
    });

    it("admits exactly the quota to many at once, and never waits for ever", async () => {
      const session = `${name}-many`;
      await pool.query(`INSERT INTO "AgentSession" VALUES ($1)`, [session]);
      const limiters = Array.from({ length: 4 }, () =>
        createLimiter({ policy: POLICY, store: documentStore(columnOf(client, column)) }),
      );
      const calls = Array.from({ length: 80 }, (_, i) => limiters[i % 4]?.consume(call(session, `t${i}`)));
      assert.equal((await Promise.all(calls)).filter((decision) => decision?.allowed).length, 3);
    });

    it("never starts a count for a session without a row", async () => {
      await assert.rejects(
        limiter.consume(call("made-up")),
        isStoreError("unknown-partition", /make the session's row/),
      );
      await assert.rejects(
        limiter.consume(call("x".repeat(65))),
        isStoreError("unknown-partition", /longer than 64 bytes/),
      );
    });

    it("reports what is wrong with the table", async () => {
      const consume = (more: object) =>
        createLimiter({ policy: POLICY, store: documentStore(columnOf(client, { ...column, ...more })) }).consume(
          call("s1"),
        );
      await assert.rejects(consume({ table: "Nothing" }), isStoreError("schema-version", /Nothing/));
      await assert.rejects(
        consume({ column: "state" }),
        isStoreError("schema-version", /has no column "state": add it/),
      );
      await pool.query(`CREATE TABLE IF NOT EXISTS numbers (id integer PRIMARY KEY, "rateLimitState" integer)`);
      await assert.rejects(
        consume({ table: "numbers" }),
        isStoreError("schema-version", /of type integer: json, jsonb or text/),
      );
    });

    it("accepts ids and values of other types", async () => {
      await pool.query("CREATE TABLE IF NOT EXISTS sessions (id uuid PRIMARY KEY, state text)");
      const id = crypto.randomUUID();
      await pool.query("INSERT INTO sessions VALUES ($1)", [id]);
      const store = documentStore(columnOf(client, { table: "sessions", column: "state", schema: "public" }));
      const other = createLimiter({ policy: POLICY, store });
      assert.equal((await other.consume(call(id))).allowed, true);
      assert.equal((await other.usage({ session: id, turn: "t1", tool: "search" }))[0]?.used, 1);
      await assert.rejects(other.consume(call("made-up")), isStoreError("unknown-partition", /uuid/));
    });
  });
}

describe("the column that holds the session", () => {
  const UUID = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
  const columns: Record<string, { type: string; id: string; spellings: string[]; others: string[] }> = {
    "character(8)": {
      type: "character(8)",
      id: "s1",
      spellings: ["s1", "s1      ", "s1 "],
      others: ["s", "s11", "S1"],
    },
    "character(8), full": { type: "character(8)", id: "12345678", spellings: ["12345678"], others: ["123456789", "1"] },
    "a domain on character(2)": { type: "short", id: "s1", spellings: ["s1", "s1 "], others: ["s12", "s"] },
    "a domain on a domain": { type: "shorter", id: "s1", spellings: ["s1"], others: ["s12", "s"] },
    "character varying(4)": { type: "character varying(4)", id: "s1", spellings: ["s1"], others: ["s1 ", "s1234"] },
    text: { type: "text", id: "s1 ", spellings: ["s1 "], others: ["s1", "s1\u0000"] },
    "text without regard to case": {
      type: "text COLLATE nocase",
      id: "Ab",
      spellings: ["Ab", "ab", "AB"],
      others: ["a"],
    },
    uuid: {
      type: "uuid",
      id: UUID,
      spellings: [UUID, UUID.toUpperCase(), `{${UUID}}`, UUID.replaceAll("-", "")],
      others: ["made-up", UUID.replace("a", "b")],
    },
    integer: {
      type: "integer",
      id: "7",
      spellings: ["7", "007", "+7", " 7 "],
      others: ["8", "7.5", "99999999999", ""],
    },
    bigint: { type: "bigint", id: "9007199254740993", spellings: ["9007199254740993"], others: ["9007199254740992"] },
    numeric: { type: "numeric", id: "7.0", spellings: ["7.0", "7", "7.00"], others: ["7.1"] },
    enum: { type: "colour", id: "red", spellings: ["red"], others: ["blue", "pink"] },
  };

  for (const [name, { type, id, spellings, others }] of Object.entries(columns)) {
    it(`may be of the type ${name}, and all spellings of an id share its counts`, async () => {
      await pool.query(`
        DROP TABLE IF EXISTS typed; DROP DOMAIN IF EXISTS shorter, short; DROP TYPE IF EXISTS colour;
        DROP COLLATION IF EXISTS nocase;
        CREATE DOMAIN short AS character(2); CREATE DOMAIN shorter AS short;
        CREATE TYPE colour AS ENUM ('red', 'blue');
        CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        CREATE TABLE typed (id ${type} PRIMARY KEY, state jsonb NOT NULL DEFAULT '{}')`);
      await pool.query("INSERT INTO typed VALUES ($1)", [id]);
      const policy: PolicyInput = {
        version: 1,
        limits: [{ name: "a", per: ["session"], quota: 3, resetAfterIdle: "1h" }],
      };
      const limiter = createLimiter({
        policy,
        store: documentStore(columnOf(sql, { table: "typed", column: "state" })),
      });
      const allowed = [];
      for (let i = 0; i < 8; i++) {
        const session = spellings[i % spellings.length] ?? "";
        allowed.push((await limiter.consume({ tool: "x", session })).allowed);
      }
      assert.deepEqual(allowed, [true, true, true, false, false, false, false, false]);
      const { rows } = await pool.query("SELECT state FROM typed");
      assert.equal(Object.keys(rows[0]?.state.keys).length, 1);
      for (const session of others.filter((each) => each !== "")) {
        await assert.rejects(limiter.consume({ tool: "x", session }), isStoreError("unknown-partition", /./), session);
      }
    });
  }
});

describe("the JSON column", () => {
  const isDamaged = isStoreError("damaged-bucket", /not what any version writes/);
  const types = { jsonb: "jsonb", json: "json", text: "text", "a domain on jsonb": "state_json" };
  const empty = { "no value": null, null: "null", "{}": "{}", "[]": "[]", "an empty text": '""', spaces: " {} " };
  const damaged = {
    "an object of others": '{"mine":true}',
    "a value that others have added to": '{"keys":{},"theme":"dark","tollgate":1}',
    "a number": "5",
    "a text": '"x"',
    "a list": "[1]",
  };

  for (const [name, type] of Object.entries(types)) {
    it(`of the type ${name} may hold nothing yet in any way`, async () => {
      await pool.query(`
        DROP TABLE IF EXISTS stated; DROP DOMAIN IF EXISTS state_json; CREATE DOMAIN state_json AS jsonb;
        CREATE TABLE stated (id text PRIMARY KEY, state ${type})`);
      const limiter = createLimiter({
        policy: { version: 1, limits: [{ name: "a", per: ["session"], quota: 3, resetAfterIdle: "1h" }] },
        store: documentStore(columnOf(pool, { table: "stated", column: "state" })),
      });
      const states: Record<string, string | null> = type === "text" ? { ...empty, nothing: "" } : empty;
      for (const [session, state] of Object.entries(states)) {
        await pool.query("INSERT INTO stated VALUES ($1, $2)", [session, state]);
        const remaining = [];
        for (let i = 0; i < 4; i++) remaining.push((await limiter.consume({ tool: "x", session })).allowed);
        assert.deepEqual(remaining, [true, true, true, false], session);
      }
      const texts: Record<string, string> = type === "text" ? { ...damaged, "no JSON": "{" } : damaged;
      for (const [session, state] of Object.entries(texts)) {
        await pool.query("INSERT INTO stated VALUES ($1, $2)", [session, state]);
        await assert.rejects(limiter.consume({ tool: "x", session }), isDamaged, session);
        const { rows } = await pool.query("SELECT state::text FROM stated WHERE id = $1", [session]);
        assert.deepEqual(JSON.stringify(rows[0]?.state).replaceAll(" ", ""), JSON.stringify(state).replaceAll(" ", ""));
      }
    });
  }
});

describe("the document store", () => {
  const { port, sessions } = mapPort();

  it("reads what a port gives as text, as bytes or as nothing", async () => {
    const written: unknown[] = [];
    const values: unknown[] = [undefined, null, "", "null", "{}", {}, [], Buffer.from("{}"), Buffer.from("")];
    for (const first of values) {
      let value = first;
      const own: DocumentPort = {
        async transact(_partition, change) {
          const { json, result } = change(value, 1_000);
          value =
            typeof first === "string"
              ? JSON.stringify(json)
              : first instanceof Uint8Array
                ? Buffer.from(JSON.stringify(json))
                : json;
          return result;
        },
      };
      const limiter = createLimiter({
        policy: { version: 1, limits: [{ name: "a", per: ["session"], quota: 2 }] },
        store: documentStore(own),
      });
      const allowed = [];
      for (let i = 0; i < 3; i++) allowed.push((await limiter.consume({ tool: "x", session: "s" })).allowed);
      written.push(allowed.join());
    }
    assert.deepEqual([...new Set(written)], ["true,true,false"]);
  });

  it("refuses limits beyond a session when the limiter is made, and on a reload", () => {
    const wide: PolicyInput = { version: 1, limits: [...POLICY.limits, { name: "per-user", per: ["user"], quota: 5 }] };
    const isWide = (error: unknown) =>
      MisuseError.isInstance(error) &&
      error.code === "unsupported-limit" &&
      error.message ===
        'limits.per-user.per: expected a limit per session, because the store keeps one value for each session, got ["user"]';
    assert.throws(() => createLimiter({ policy: wide, store: documentStore(port) }), isWide);
    const limiter = createLimiter({ policy: POLICY, store: documentStore(port) });
    assert.throws(() => limiter.reload(wide), isWide);
  });

  it("fails only the calls of one session", async () => {
    sessions.set("broken", '{"mine": true}');
    const limiter = createLimiter({ policy: POLICY, store: documentStore(port) });
    const [fine, broken] = await Promise.allSettled(
      ["s1", "broken"].map((session) => limiter.consume({ tool: "a", session, turn: "t" })),
    );
    assert.equal(fine?.status, "fulfilled");
    assert.ok(
      broken?.status === "rejected" && isStoreError("damaged-bucket", /not what any version writes/)(broken.reason),
    );
    assert.equal(sessions.get("broken"), '{"mine": true}');
  });

  it("fails only the calls of one damaged bucket, until a reset repairs it", async () => {
    const { port, sessions } = mapPort();
    const limiter = createLimiter({ policy: POLICY, store: documentStore(port) });
    const call = { tool: "a", session: "s1", turn: "t" };
    const other = { ...call, tool: "b", turn: "u" };
    await limiter.consume(call);
    await limiter.consume(other);
    for (const damage of [
      ["x", 9_999_999_999_999],
      ["s1 9999999999999 9999999999999 1", 9_999_999_999_999],
      "5",
      [5, 5],
      null,
    ]) {
      const value = JSON.parse(sessions.get("s1") ?? "");
      const key = Object.keys(value.keys).find((each) => each.endsWith("tool-per-turn:t:a")) ?? "";
      value.keys[key] = damage;
      sessions.set("s1", JSON.stringify(value));
      await assert.rejects(limiter.consume(call), isStoreError("damaged-bucket", /is damaged/));
      assert.deepEqual(JSON.parse(sessions.get("s1") ?? "").keys[key], damage);
      assert.equal((await limiter.peek(other)).allowed, true);
    }
    const bucket = { limit: "tool-per-turn", session: "s1", turn: "t", tool: "a" };
    await limiter.reset(bucket);
    assert.deepEqual(
      (await limiter.consume(call)).verdicts.map(({ remaining }) => remaining),
      [1, 1],
    );
    sessions.set("s1", '{"mine": true}');
    await assert.rejects(limiter.consume(call), isStoreError("damaged-bucket", /a reset of a bucket begins it again/));
    await limiter.reset(bucket);
    assert.equal((await limiter.consume(call)).allowed, true);
    await limiter.close();
  });

  it("writes nothing when nothing is booked, and forgets what has ended", async () => {
    const clock = fakeClock();
    const own = mapPort(clock);
    const limiter = createLimiter({ policy: POLICY, store: documentStore(own.port) });
    await limiter.peek({ tool: "a", session: "s1", turn: "t" });
    assert.equal(own.sessions.get("s1"), "null");
    await limiter.consume({ tool: "a", session: "s1", turn: "t" });
    clock.advance(3_600_000);
    await limiter.consume({ tool: "b", session: "s1", turn: "t" });
    assert.deepEqual(Object.keys(JSON.parse(own.sessions.get("s1") ?? "").keys), [
      "rate:1:{s1}:tool-per-session:b",
      "rate:1:{s1}:tool-per-turn:t:b",
    ]);
  });

  it("bounds a session's value", async () => {
    const own = mapPort();
    const keys = Object.fromEntries(
      Array.from({ length: 10_000 }, (_, i) => [`k${i}`, ["1", Number.MAX_SAFE_INTEGER]]),
    );
    own.sessions.set("s1", JSON.stringify({ tollgate: 1, keys }));
    const limiter = createLimiter({ policy: POLICY, store: documentStore(own.port) });
    await assert.rejects(
      limiter.consume({ tool: "a", session: "s1", turn: "t" }),
      isStoreError("capacity", /10000 keys/),
    );
  });

  it("reports its faults by name", async () => {
    assert.throws(() => documentStore({} as never), /port: expected an object with transact/);
    assert.throws(() => columnOf(pool, { table: 'a"', column: "b" }), /table: expected a name in the database/);
    assert.throws(() => columnOf(pool, { ...column, clock: {} as never }), /clock: expected a clock/);
    assert.throws(() => columnOf(pool, { ...column, key: "id" } as never), /expected only table, id, column/);
    const failing = documentStore({ transact: () => Promise.reject(new Error("no disk")) });
    const limiter = createLimiter({ policy: POLICY, store: failing });
    await assert.rejects(
      limiter.consume({ tool: "a", session: "s1", turn: "t" }),
      isStoreError("unavailable", /no disk/),
    );
    await limiter.close();
  });
});
