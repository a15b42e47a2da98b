// The file: whether it is ours, its tables, and the statements that a transaction needs.

import { DatabaseSync } from "node:sqlite";
import { ensureLayout } from "./layout.ts";

const SCHEMA = `
  CREATE TABLE buckets (key TEXT PRIMARY KEY, value TEXT NOT NULL, expires_at_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  -- The last key that was looked at for expiry, by any process.
  CREATE TABLE hand (key TEXT NOT NULL) STRICT;
  INSERT INTO hand VALUES ('');
`;
/** Its mark is "toll" in ASCII. */
const LAYOUT = { applicationId: 0x746f6c6c, version: 1, schema: SCHEMA };
const READ = `
  SELECT json_group_array(json_array(buckets.key, buckets.value, expires_at_ms)) AS rows
  FROM json_each(?) AS wanted CROSS JOIN buckets ON buckets.key = wanted.value
`;

// A checkpoint moves pages from the log into the file, each once, however often it was written in between. At the default of
// 1,000 pages most of a small file is moved every few batches. At more than this a commit with a checkpoint takes over 20 ms.
const LOG_PAGES = 2_000;
/** For pages of the file: SQLite's default of 2 MB is less than a batch and its way down the tree need in a large one. */
const CACHE_KIB = 16_000;

export type OpenFile = ReturnType<typeof openFile>;

/** Opens a file, and makes its tables when it is empty. */
export function openFile(path: string, durability: "process" | "power") {
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    ensureLayout(database, path, LAYOUT);
    database.exec("PRAGMA journal_mode = WAL");
    // In WAL mode, NORMAL writes without fsync: the operating system keeps it when a process dies.
    database.exec(`PRAGMA synchronous = ${durability === "power" ? "FULL" : "NORMAL"}`);
    database.exec(`PRAGMA wal_autocheckpoint = ${LOG_PAGES}; PRAGMA cache_size = -${CACHE_KIB}`);
    return {
      database,
      /** The path of the write-ahead log. */
      log: `${path}-wal`,
      read: database.prepare(READ),
      write: database.prepare("INSERT OR REPLACE INTO buckets (key, value, expires_at_ms) VALUES (?, ?, ?)"),
      remove: database.prepare("DELETE FROM buckets WHERE key = ?"),
      // The sweep: up to which key rows were looked at, and those that follow.
      hand: database.prepare("SELECT key FROM hand"),
      moveHand: database.prepare("UPDATE hand SET key = ?"),
      following: database.prepare("SELECT key FROM buckets WHERE key > ? ORDER BY key LIMIT 1 OFFSET ?"),
      removeExpired: database.prepare("DELETE FROM buckets WHERE key > ? AND key <= ? AND expires_at_ms <= ?"),
      emptyLog: database.prepare("PRAGMA wal_checkpoint(TRUNCATE)"),
    };
  } catch (error) {
    database.close();
    throw error;
  }
}
