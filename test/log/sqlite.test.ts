// The log in a SQLite file: the contract, what it bounds, and what outlives a process that is killed.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { text } from "node:stream/consumers";
import { describe, it } from "node:test";
import { createLimiter } from "tollgate";
import { sqliteLog } from "tollgate/log/sqlite";
import { memoryStore } from "tollgate/stores/memory";
import { sqliteStorage } from "../../src/log/sqlite.ts";
import { temporaryFolder } from "../temporary.ts";
import { batchOf, decisionOf, START_MS } from "./batches.ts";
import { testStorage } from "./storage-cases.ts";
import { LOADER } from "../sources.ts";

const YEARS_MS = 315_360_000_000;
const folder = temporaryFolder();

testStorage(
  "a log in a SQLite file",
  (name, { maxEntries = 10_000, maxAgeMs = YEARS_MS } = {}) =>
    sqliteStorage(join(folder, `${name}.db`), { maxEntries, maxAgeMs, maxBytes: 10_000_000 }),
  { slack: 2_000, isKept: true },
);

describe("a log in a SQLite file", () => {
  const everything = { tenants: null, pageSize: 100 } as const;
  const policy = { version: 1, limits: [{ name: "calls", per: ["session"], quota: 1_000_000 }] } as const;

  it("stays within its size", async () => {
    const path = join(folder, "size.db");
    const maxBytes = 5_000_000;
    const storage = sqliteStorage(path, { maxEntries: 1_000_000, maxAgeMs: YEARS_MS, maxBytes });
    const sums = { denied: 0, exceeded: 0, units: 0, logged: 500, dropped: 0 };
    const count = { limit: "", unit: "", tool: "x", tenant: "", ...sums };
    for (let number = 1; number <= 40; number++) {
      const entries = Array.from({ length: 500 }, (_, i) => decisionOf({ n: number * 500 + i, session: `s${i}` }));
      const minutes = [{ ...count, minute: START_MS / 60_000 + number, calls: 500 }];
      await storage.write(batchOf({ number, entries, minutes }));
    }
    const span = { tenants: null, fromMs: START_MS, toMs: START_MS + 3_600_000 };
    const [row] = await storage.read.top({ ...span, by: "tool", count: 1 });
    assert.equal(row?.calls, 20_000, "counts outlive entries");
    const { items } = await storage.read.entries(everything);
    assert.equal(items.length, 100);
    await storage.close();
    assert.ok(statSync(path).size <= maxBytes * 1.1, `${statSync(path).size}`);
  });

  it("forgets what is too old", async () => {
    const storage = sqliteStorage(join(folder, "age.db"), {
      maxEntries: 10_000,
      maxAgeMs: 3_600_000,
      maxBytes: 10_000_000,
    });
    const beforeMs = Date.now() - 7_200_000 - START_MS;
    const old = Array.from({ length: 10 }, (_, i) => decisionOf({ n: i + 1, ms: beforeMs }));
    const minute = Math.floor((START_MS + beforeMs) / 60_000);
    const count = {
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
    await storage.write(batchOf({ entries: old, minutes: [{ ...count, minute }] }));
    await storage.write(batchOf({ number: 2, entries: [decisionOf({ n: 11, ms: Date.now() - START_MS })] }));
    const { items } = await storage.read.entries(everything);
    assert.equal(items.length, 1);
    assert.deepEqual(
      await storage.read.series({ tenants: null, fromMs: 0, toMs: Date.now(), by: null, stepMinutes: 1 }),
      [],
    );
    await storage.close();
  });

  it("is written and read by two processes at once", async () => {
    const path = join(folder, "two.db");
    const [one, two] = [0, 1].map(() =>
      sqliteStorage(path, { maxEntries: 10_000, maxAgeMs: YEARS_MS, maxBytes: 10_000_000 }),
    );
    assert.ok(one !== undefined && two !== undefined);
    assert.equal(await one.salt(), await two.salt());
    await Promise.all(
      [one, two].map(async (storage, i) => {
        for (let number = 1; number <= 20; number++) {
          await storage.write(batchOf({ instance: `i${i}`, number, entries: [decisionOf({ n: i * 100 + number })] }));
        }
      }),
    );
    assert.equal((await two.read.entries(everything)).items.length, 40);
    await one.close();
    await two.close();
  });

  it("keeps what was written when its process is killed", async () => {
    const path = join(folder, "killed.db");
    const script = `
      import { createLimiter } from "tollgate";
      import { sqliteLog } from "tollgate/log/sqlite";
      import { memoryStore } from "tollgate/stores/memory";
      const log = sqliteLog(${JSON.stringify(path)});
      const limiter = createLimiter({ policy: ${JSON.stringify(policy)}, store: memoryStore(), log });
      for (let i = 0; i < 100; i++) await limiter.consume({ tool: "x", session: "s1" });
      await log.flush();
      console.log("written");
      for (;;) await limiter.consume({ tool: "x", session: "s1" });
    `;
    const child = spawn(
      process.execPath,
      ["--conditions=tollgate-source", LOADER, "--input-type=module", "-e", script],
      {
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    await once(child.stdout, "data");
    child.kill("SIGKILL");
    await once(child, "exit");
    const log = sqliteLog(path);
    const { items } = await log.storage.read.entries({ ...everything, pageSize: 1_000 });
    assert.ok(items.filter(({ kind }) => kind === "decision").length >= 100);
    const [top] = await log.storage.read.top({
      tenants: null,
      fromMs: 0,
      toMs: Date.now() + 60_000,
      by: "tool",
      count: 1,
    });
    assert.ok((top?.calls ?? 0) >= 100);
    await log.close();
  });

  it("lets the process end, and waits for what it is asked", async () => {
    const script = `
      import { sqliteLog } from "tollgate/log/sqlite";
      const log = sqliteLog(${JSON.stringify(join(folder, "end.db"))});
      console.log(typeof (await log.storage.salt()));
    `;
    const child = spawn(
      process.execPath,
      ["--conditions=tollgate-source", LOADER, "--input-type=module", "-e", script],
      {
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    const [[printed], [code]] = await Promise.all([once(child.stdout, "data"), once(child, "exit")]);
    assert.deepEqual([String(printed), code], ["string\n", 0]);
  });

  it("keeps its process alive until it is closed, also while it is asked more", async () => {
    const script = `
      import { sqliteStorage } from ${JSON.stringify(new URL("../../src/log/sqlite.ts", import.meta.url).href)};
      const storage = sqliteStorage(${JSON.stringify(join(folder, "closing.db"))}, { maxEntries: 1_000, maxAgeMs: 1e9, maxBytes: 1e7 });
      await storage.salt();
      const closed = storage.close();
      for (let i = 0; i < 20; i++) storage.salt().catch(({ code }) => i === 0 && console.log(code));
      await closed;
      console.log("ends");
    `;
    const child = spawn(
      process.execPath,
      ["--conditions=tollgate-source", LOADER, "--input-type=module", "-e", script],
      {
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    const [printed, [code]] = await Promise.all([text(child.stdout), once(child, "exit")]);
    assert.deepEqual([printed, code], ["closed\nends\n", 0]);
  });

  it("refuses files that are no log, and works again when the file is right", async () => {
    const path = join(folder, "other.db");
    const other = new DatabaseSync(path);
    other.exec("CREATE TABLE things (a)");
    other.close();
    const settings = { maxEntries: 10_000, maxAgeMs: YEARS_MS, maxBytes: 10_000_000 };
    const storage = sqliteStorage(path, settings);
    await assert.rejects(storage.salt(), { code: "foreign-database" });
    await storage.close();
    await assert.rejects(storage.salt(), { code: "closed" });
    writeFileSync(join(folder, "text.db"), "no database at all ".repeat(100));
    const textFile = sqliteStorage(join(folder, "text.db"), settings);
    await assert.rejects(textFile.write(batchOf({})), { code: "foreign-database" });
    await textFile.close();
    const missing = sqliteStorage(join(folder, "no", "folder.db"), settings);
    await assert.rejects(missing.write(batchOf({})), { code: "unavailable" });
    await missing.close();
  });

  it("is closed with its limiter", async () => {
    const path = join(folder, "thread.db");
    const log = sqliteLog(path);
    const limiter = createLimiter({ policy, store: memoryStore(), log });
    await limiter.consume({ tool: "x", session: "s1" });
    await limiter.close();
    await assert.rejects(log.storage.salt(), { code: "closed" });
  });

  it("refuses a path that is none", () => {
    for (const path of ["", ":memory:", "file:x", 5])
      assert.throws(() => sqliteLog(path as string), { code: "invalid-option" });
  });
});
