// A journal in a file: what an instance has admitted while its store was away outlives the process.

import { DatabaseSync } from "node:sqlite";
import { invalidOption } from "./kernel/errors.ts";
import type { Journal } from "./layers/failover/options.ts";
import { StoreError } from "./store/error.ts";

export type { Journal } from "./layers/failover/options.ts";

/** Marks a file as a journal of Tollgate's: "tolj" in ASCII, in SQLite's `application_id`. */
const APPLICATION_ID = 0x746f6c6a;

/**
 * Opens a journal, or makes it. Each instance has a file of its own, on a disk that is there again after a restart; one
 * process at a time has it open. What is admitted survives the death of the process, not of the machine.
 *
 * @param path of an SQLite file
 * @throws MisuseError `invalid-option`
 * @throws StoreError `busy` (another process has it open), `foreign-database`, `unavailable`
 *
 * @example
 * ```ts
 * import { createClient } from "redis";
 * import { createLimiter } from "tollgate";
 * import { fileJournal } from "tollgate/journal";
 * import { redisStore } from "tollgate/stores/redis";
 *
 * const client = await createClient({ url: process.env.REDIS_URL ?? "redis://127.0.0.1:6379" }).connect();
 * const limiter = createLimiter({
 *   policy: { version: 1, limits: [{ name: "per-session", per: ["session"], quota: 100 }] },
 *   store: redisStore(client),
 *   failover: { instances: 3, journal: fileJournal("tollgate-journal.db") },
 * });
 * const decision = await limiter.consume({ tool: "search", session: crypto.randomUUID() });
 * console.log(decision.degraded); // null
 * await limiter.close();
 * await client.close();
 * ```
 */
export function fileJournal(path: string): Journal {
  if (typeof path !== "string" || path === "") throw invalidOption("path", "the path of a file", path);
  try {
    return openJournal(path);
  } catch (error) {
    throw StoreError.isInstance(error) ? error : journalError(path, error);
  }
}

function openJournal(path: string): Journal {
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    // Held until it is closed, so that no other process books the same.
    database.exec("PRAGMA locking_mode = EXCLUSIVE");
    const [tables] = database.prepare("SELECT count(*) AS count FROM sqlite_schema").all();
    const [found] = database.prepare("PRAGMA application_id").all();
    if (found?.application_id !== APPLICATION_ID) {
      if (tables?.count !== 0) {
        throw new StoreError("foreign-database", `${path} is another program's database`, { transient: false });
      }
      database.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
      database.exec("CREATE TABLE entries (key TEXT UNIQUE NOT NULL, text TEXT NOT NULL) STRICT");
    }
    database.exec("PRAGMA journal_mode = WAL");
    // Written without fsync: the operating system keeps it when the process dies.
    database.exec("PRAGMA synchronous = NORMAL");
  } catch (error) {
    database.close();
    throw error;
  }
  const put = database.prepare(
    "INSERT INTO entries (key, text) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET text = excluded.text",
  );
  const remove = database.prepare("DELETE FROM entries WHERE key = ?");
  return {
    *entries() {
      const rows = database.prepare("SELECT key, text FROM entries ORDER BY rowid").all();
      for (const { key, text } of rows) yield [String(key), String(text)];
    },
    write(changes) {
      if (changes.size === 0) return;
      database.exec("BEGIN IMMEDIATE");
      try {
        for (const [key, text] of changes) {
          if (text === null) remove.run(key);
          else put.run(key, text);
        }
        database.exec("COMMIT");
      } catch (error) {
        database.exec("ROLLBACK");
        throw journalError(path, error);
      }
    },
    close() {
      if (database.isOpen) database.close();
    },
  };
}

/** Result codes of SQLite. */
const BUSY = 5;
const LOCKED = 6;
const CANNOT_OPEN = 14;
const NOT_A_DATABASE = 26;

function journalError(path: string, error: unknown): StoreError {
  const result = Number((error as { errcode?: unknown }).errcode) & 0xff;
  const isBusy = result === BUSY || result === LOCKED;
  const code = isBusy ? "busy" : result === NOT_A_DATABASE ? "foreign-database" : "unavailable";
  const needs = ": its folder must be there, and this user must have the right to write there";
  const reason = error instanceof Error ? error.message : String(error);
  const message = `the journal ${path}: ${reason}${result === CANNOT_OPEN ? needs : ""}`;
  return new StoreError(code, message, { transient: isBusy, cause: error });
}
