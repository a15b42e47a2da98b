// The log in Postgres: the contract, and what several instances make of it.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createLimiter } from "tollgate";
import { postgresLog } from "tollgate/log/postgres";
import { memoryStore } from "tollgate/stores/memory";
import { postgresStorage } from "../../src/log/postgres.ts";
import { batchOf, decisionOf } from "../log/batches.ts";
import { testStorage } from "../log/storage-cases.ts";
import { startPostgres } from "../postgres.ts";

const YEARS_MS = 315_360_000_000;
const postgres = await startPostgres();
const pool = postgres.pool({ max: 8 });

/** Each storage has a schema of its own. */
async function storageIn(name: string, { maxEntries = 10_000, maxAgeMs = YEARS_MS } = {}) {
  const schema = name.replaceAll("-", "_");
  await pool.query(`CREATE SCHEMA IF NOT EXISTS ${schema}`);
  return postgresStorage(pool, { maxEntries, maxAgeMs }, schema);
}

testStorage("a log in Postgres", storageIn, { slack: 0, isKept: true });

describe("a log in Postgres", () => {
  it("shows a reader that goes on from a position all that several instances write", async () => {
    const storages = await Promise.all([1, 2, 3].map(() => storageIn("followed")));
    const [first] = storages;
    assert.ok(first !== undefined);
    await Promise.all(storages.map((storage) => storage.salt()));
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
            const entries = Array.from({ length: 10 }, (_, n) => decisionOf({ n: i * 10_000 + number * 100 + n }));
            await storage.write(batchOf({ instance: `i${i}`, number, entries }));
          }
        }),
      );
      isWriting = false;
    };
    await Promise.all([follow(), write()]);
    assert.equal(seen.length, 600);
    assert.equal(new Set(seen).size, 600);
  });

  it("takes any text that a call may have", async () => {
    await pool.query("CREATE SCHEMA texts");
    const log = postgresLog(pool, { schema: "texts" });
    const policy = { version: 1, limits: [{ name: "calls", per: ["session"], quota: 10 }] } as const;
    const limiter = createLimiter({ policy, store: memoryStore(), log });
    const texts = ["\0", "\ud800", "a\u0000b", "'; DROP TABLE x", "\\u0000", "é".repeat(300), "😀".repeat(150)];
    for (const session of texts) await limiter.consume({ tool: session, session });
    await log.flush();
    const { items } = await log.storage.read.entries({ kind: "decision", tenants: null, pageSize: 100 });
    assert.equal(items.length, texts.length);
    await limiter.close();
  });

  it("says why it cannot be read", async () => {
    const storage = postgresStorage(pool, { maxEntries: 100, maxAgeMs: YEARS_MS }, "missing");
    await assert.rejects(storage.salt(), { name: "StoreError" });
    assert.throws(() => postgresLog(pool, { schema: "No" }), { code: "invalid-option" });
    assert.throws(() => postgresLog({} as never), { code: "unsupported-client" });
  });
});
