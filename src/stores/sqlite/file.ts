// The file: whether it is ours, its tables, and the statements that a transaction needs.

import { DatabaseSync } from "node:sqlite";
import { StoreError } from "../../store/error.ts";

/** Marks a file as Tollgate's: "toll" in ASCII, in SQLite's `application_id`. */
const APPLICATION_ID = 0x746f6c6c;
const SCHEMA_VERSION = 1;
const SCHEMA = `
  CREATE TABLE buckets (key TEXT PRIMARY KEY, value TEXT NOT NULL, expires_at_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  -- The last key that was looked at for expiry, by any process.
  CREATE TABLE hand (key TEXT NOT NULL) STRICT;
  INSERT INTO hand VALUES ('');
  PRAGMA application_id = ${APPLICATION_ID};
  PRAGMA user_version = ${SCHEMA_VERSION};
`;
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
    if (!isOurs(database, path)) {
      database.exec("BEGIN IMMEDIATE");
      // Another process may have made it since.
      if (!isOurs(database, path)) database.exec(SCHEMA);
      database.exec("COMMIT");
    }
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

/** Whether the file holds Tollgate's tables: `false` when it is empty. */
function isOurs(database: DatabaseSync, path: string): boolean {
  const applicationId = database.prepare("PRAGMA application_id").get()?.application_id;
  const version = database.prepare("PRAGMA user_version").get()?.user_version;
  if (applicationId === APPLICATION_ID) {
    if (version === SCHEMA_VERSION) return true;
    const message = `${path} has layout ${version}; this version of Tollgate reads layout ${SCHEMA_VERSION}`;
    throw new StoreError("schema-version", message, { transient: false });
  }
  const tables = database.prepare("SELECT count(*) AS count FROM sqlite_master").get()?.count;
  if (tables === 0 && applicationId === 0 && version === 0) return false;
  throw new StoreError("foreign-database", `${path} is another program's database`, { transient: false });
}
