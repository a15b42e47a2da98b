import assert from "node:assert/strict";
import { chmodSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { MisuseError, StoreError, type StoreErrorCode } from "tollgate";
import type { LimitSpec, Step, Store } from "tollgate/store";
import { sqliteStore } from "tollgate/stores/sqlite";
import { fakeClock } from "tollgate/testing";
import { temporaryFolder } from "../temporary.ts";
import { testStore } from "./store-suite.ts";

const folder = temporaryFolder();
let files = 0;
const newFile = () => join(folder, `${files++}.db`);

testStore("sqlite", () => {
  const file = newFile();
  const clock = fakeClock();
  const open = () => sqliteStore(file, { clock });
  return { store: open(), advance: clock.advance, another: open };
});

const limit: LimitSpec = { algorithm: "budget", quota: 5, ttlMs: 1_000, ttlFrom: "last" };
const charge = (bucket: string): Step => ({ bucket, limit, event: { type: "charge", cost: 1 } });
const chargeOnce = (store: Store, ...buckets: string[]) =>
  store.apply(buckets.map((bucket) => ({ mode: "judge", steps: [charge(bucket)] }) as const));
const isStoreError = (code: StoreErrorCode) => (error: unknown) => StoreError.isInstance(error) && error.code === code;

describe("the SQLite store's file", () => {
  it("keeps what was booked for the next process that opens it", async () => {
    const file = newFile();
    const clock = fakeClock();
    const first = sqliteStore(file, { clock });
    await chargeOnce(first, "b", "b");
    await first.close();
    const second = sqliteStore(file, { clock, durability: "power" });
    const [reply] = await chargeOnce(second, "b");
    assert.ok(reply !== undefined && !StoreError.isInstance(reply));
    assert.equal(reply.steps[0]?.used, 3);
    await second.close();
  });

  it("holds plain integers beside their expiry", async () => {
    const file = newFile();
    const clock = fakeClock();
    const store = sqliteStore(file, { clock });
    await chargeOnce(store, "rate:1:{s1}:tool-per-session:web_search", "rate:1:{s1}:tool-per-session:web_search");
    await store.close();
    const rows = new DatabaseSync(file).prepare("SELECT key, value, expires_at_ms FROM buckets").all();
    const key = "rate:1:{s1}:tool-per-session:web_search";
    assert.deepEqual(
      rows.map((row) => ({ ...row })),
      [{ key, value: "2", expires_at_ms: clock.nowMs() + 1_000 }],
    );
  });

  it("removes expired rows while others are booked", async () => {
    const file = newFile();
    const clock = fakeClock();
    const store = sqliteStore(file, { clock });
    for (let round = 0; round < 20; round++) {
      await chargeOnce(store, ...Array.from({ length: 50 }, (_, i) => `${round}-${i}`));
      clock.advance(1_000);
    }
    await store.close();
    const count = new DatabaseSync(file).prepare("SELECT count(*) AS count FROM buckets").get()?.count;
    assert.ok(Number(count) <= 150, `${count} rows are left of 1,000, of which 50 were live`);
  });

  it("removes expired rows also when each process books only once", async () => {
    const file = newFile();
    const clock = fakeClock();
    const lasting: LimitSpec = { ...limit, ttlMs: 1_000_000 };
    const first = sqliteStore(file, { clock });
    await first.apply(
      Array.from(
        { length: 10 },
        (_, i) => ({ mode: "judge", steps: [{ ...charge(`0-${i}`), limit: lasting }] }) as const,
      ),
    );
    await first.close();
    for (let i = 0; i < 300; i++) {
      const store = sqliteStore(file, { clock });
      await chargeOnce(store, `1-${i}`);
      await store.close();
      clock.advance(1_000);
    }
    const count = new DatabaseSync(file).prepare("SELECT count(*) AS count FROM buckets").get()?.count;
    assert.ok(Number(count) <= 200, `${count} rows are left of 310, of which 10 are live`);
  });

  it("empties a log that has grown long because it was never free of readers", async () => {
    const file = newFile();
    const store = sqliteStore(file);
    const ample: LimitSpec = { ...limit, quota: 1_000_000 };
    const batch = Array.from({ length: 256 }, (_, i) => {
      return { mode: "judge", steps: [{ ...charge(`${"long".repeat(200)}-${i}`), limit: ample }] } as const;
    });
    await chargeOnce(store, "b");
    const reader = new DatabaseSync(file);
    reader.exec("BEGIN; SELECT count(*) FROM buckets");
    const logBytes = () => statSync(`${file}-wal`).size;
    for (let count = 0; logBytes() < 64_000_000; count++) {
      assert.ok(count < 1_000, `${logBytes()} bytes after ${count} batches`);
      await store.apply(batch);
    }
    reader.exec("COMMIT");
    reader.close();
    await chargeOnce(store, "b");
    await chargeOnce(store, "b");
    assert.ok(logBytes() < 1_000_000, `${logBytes()} bytes are left`);
    await store.close();
  });

  it("repairs a damaged bucket by a reset, and by nothing else", async () => {
    const file = newFile();
    const store = sqliteStore(file);
    await chargeOnce(store, "bad");
    const other = new DatabaseSync(file);
    other.exec("UPDATE buckets SET expires_at_ms = 9007199254740993");
    const reset = { bucket: "bad", limit, event: { type: "reset" } } as const;
    const [peeked, mended, charged] = await store.apply([
      { mode: "peek", steps: [reset] },
      { mode: "judge", steps: [reset] },
      { mode: "judge", steps: [charge("bad")] },
    ]);
    assert.ok(isStoreError("damaged-bucket")(peeked));
    assert.ok(mended !== undefined && !StoreError.isInstance(mended) && mended.steps[0]?.used === 0);
    assert.ok(charged !== undefined && !StoreError.isInstance(charged) && charged.steps[0]?.used === 1);
    other.close();
    await store.close();
  });

  it("says of a damaged answer when it ends, and books the request again from then on", async () => {
    const file = newFile();
    const clock = fakeClock();
    const store = sqliteStore(file, { clock });
    const once = { key: "rate:1:{s1}:$once:k1", request: "r1" };
    const attempt = async () => (await store.apply([{ mode: "judge", steps: [charge("b")], once }]))[0];
    await attempt();
    const other = new DatabaseSync(file);
    other.prepare("UPDATE buckets SET value = ? WHERE key = ?").run("o1 what", once.key);
    const failed = await attempt();
    assert.ok(isStoreError("damaged-bucket")(failed));
    assert.match((failed as StoreError).message, /the answer that is kept under .*k1 is damaged: it ends ten minutes/);
    clock.advance(600_000);
    const again = await attempt();
    assert.ok(again !== undefined && !StoreError.isInstance(again) && again.allowed && again.replay === undefined);
    other.close();
    await store.close();
  });

  it("fails only a call whose bucket a charge would make inexact, and a reset repairs it", async () => {
    const file = newFile();
    const store = sqliteStore(file);
    const sliding: LimitSpec = { algorithm: "sliding-window", quota: 60, windowMs: 60_000 };
    await chargeOnce(store, "good", "bad");
    const other = new DatabaseSync(file);
    const damages = [
      ["s1 9999999999999 9999999999999 1", Date.now() + 60_000],
      ["s1 6000 1 9007199254740991,9007199254740991", Date.now() + 60_000],
      ["g1 9999999999999 5 7", Date.now() + 60_000],
      ["7", -1],
    ] as const;
    for (const [damage, endMs] of damages) {
      other.prepare("UPDATE buckets SET value = ?, expires_at_ms = ? WHERE key = 'bad'").run(damage, endMs);
      const [bad, good] = await store.apply([
        { mode: "judge", steps: [{ ...charge("bad"), limit: sliding }] },
        { mode: "judge", steps: [charge("good")] },
      ]);
      assert.ok(isStoreError("damaged-bucket")(bad), damage);
      assert.ok(good !== undefined && !StoreError.isInstance(good));
    }
    const reset = { bucket: "bad", limit: sliding, event: { type: "reset" } } as const;
    await store.apply([{ mode: "judge", steps: [reset] }]);
    const [mended] = await store.apply([{ mode: "judge", steps: [{ ...charge("bad"), limit: sliding }] }]);
    assert.ok(mended !== undefined && !StoreError.isInstance(mended) && mended.allowed);
    other.close();
    await store.close();
  });

  it("fails only the call of a damaged bucket", async () => {
    const file = newFile();
    const store = sqliteStore(file);
    await chargeOnce(store, "good", "bad");
    const other = new DatabaseSync(file);
    for (const damage of ["", "-1", "1.5", "s1 x", "g1 1 2", "9007199254740993", "constructor"]) {
      other.prepare("UPDATE buckets SET value = ? WHERE key = 'bad'").run(damage);
      const replies = await store.apply([
        { mode: "judge", steps: [charge("bad"), charge("good")] },
        { mode: "judge", steps: [{ ...charge("good"), event: { type: "read" } }] },
      ]);
      assert.ok(isStoreError("damaged-bucket")(replies[0]), damage);
      assert.ok(replies[1] !== undefined && !StoreError.isInstance(replies[1]));
      assert.equal(replies[1].steps[0]?.used, 1);
    }
    other.close();
    await store.close();
  });
});

describe("a file that the SQLite store refuses", () => {
  const refused = async (file: string, code: StoreErrorCode, message: RegExp) => {
    const store = sqliteStore(file);
    await assert.rejects(chargeOnce(store, "b"), (error) => isStoreError(code)(error) && message.test(String(error)));
    await store.close();
  };

  it("that is no database", async () => {
    const file = newFile();
    writeFileSync(file, "a letter to a friend, ".repeat(100));
    await refused(file, "foreign-database", /no SQLite database/);
    assert.match(readFileSync(file, "utf8"), /^a letter/);
  });

  it("is another program's database, and stays as it was", async () => {
    const file = newFile();
    const database = new DatabaseSync(file);
    database.exec("CREATE TABLE customers (name TEXT)");
    await refused(file, "foreign-database", /another program's/);
    assert.equal(database.prepare("PRAGMA journal_mode").get()?.journal_mode, "delete");
    database.close();
  });

  it("has another layout", async () => {
    const file = newFile();
    const store = sqliteStore(file);
    await chargeOnce(store, "b");
    await store.close();
    const database = new DatabaseSync(file);
    database.exec("PRAGMA user_version = 2");
    database.close();
    await refused(file, "schema-version", /layout 2.*reads layout 1/);
  });

  it("lies in an absent folder", async () => {
    await refused(join(folder, "nowhere", "x.db"), "unavailable", /nowhere.*unable to open/);
  });

  it("may not be written", { skip: process.getuid?.() === 0 ? "root may write everything" : false }, async () => {
    const file = newFile();
    const store = sqliteStore(file);
    await chargeOnce(store, "b");
    await store.close();
    chmodSync(file, 0o400);
    await refused(file, "unavailable", /readonly/);
  });
});

describe("the SQLite store's lock", () => {
  it("fails with busy after the deadline, charges nothing, and works again when the lock is free", async () => {
    const file = newFile();
    const store = sqliteStore(file, { deadlineMs: 30 });
    await chargeOnce(store, "b");
    const other = new DatabaseSync(file);
    other.exec("BEGIN IMMEDIATE");
    await assert.rejects(
      chargeOnce(store, "b"),
      (error) => isStoreError("busy")(error) && (error as StoreError).transient,
    );
    other.exec("ROLLBACK");
    const [reply] = await chargeOnce(store, "b");
    assert.ok(reply !== undefined && !StoreError.isInstance(reply));
    assert.equal(reply.steps[0]?.used, 2);
    other.close();
    await store.close();
  });

  it("gives queued calls one shared deadline", async () => {
    const file = newFile();
    const store = sqliteStore(file, { deadlineMs: 100 });
    await chargeOnce(store, "b");
    const other = new DatabaseSync(file);
    other.exec("BEGIN IMMEDIATE");
    const startedMs = performance.now();
    for (let i = 0; i < 20; i++) await assert.rejects(chargeOnce(store, "b"), isStoreError("busy"));
    const tookMs = performance.now() - startedMs;
    assert.ok(tookMs < 20 * 100, `twenty calls in a row took ${tookMs} ms`);
    other.close();
    await store.close();
  });

  it("yields to the event loop while it waits", async () => {
    const file = newFile();
    const store = sqliteStore(file, { deadlineMs: 100 });
    await chargeOnce(store, "b");
    const other = new DatabaseSync(file);
    other.exec("BEGIN IMMEDIATE");
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    await assert.rejects(chargeOnce(store, "b"), isStoreError("busy"));
    clearInterval(timer);
    assert.ok(turns >= 5, `the loop turned ${turns} times`);
    other.close();
    await store.close();
  });
});

describe("options that the SQLite store refuses", () => {
  const cases: [string, Parameters<typeof sqliteStore>][] = [
    ["path", [""]],
    ["path", [7 as never]],
    ["path", [":memory:"]],
    ["path", ["file:x?mode=memory"]],
    ["path", ["a\0b"]],
    ["options", ["x.db", { deadline: 5 } as never]],
    ["clock", ["x.db", { clock: {} as never }]],
    ["deadlineMs", ["x.db", { deadlineMs: 0 }]],
    ["deadlineMs", ["x.db", { deadlineMs: 1.5 }]],
    ["deadlineMs", ["x.db", { deadlineMs: 60_001 }]],
    ["durability", ["x.db", { durability: "always" as never }]],
  ];
  for (const [option, args] of cases) {
    it(JSON.stringify(args), () => {
      assert.throws(
        () => sqliteStore(...args),
        (error) => MisuseError.isInstance(error) && error.faults[0]?.path === option,
      );
    });
  }
});
