// The file of a log: whether it is ours, and its tables.

import { DatabaseSync } from "node:sqlite";
import { ensureLayout } from "../../stores/sqlite/layout.ts";

/** How long it waits for another process that writes. It is in a thread of its own. */
const LOCK_MS = 5_000;

const SCHEMA = `
  CREATE TABLE entries (
    position INTEGER PRIMARY KEY, id_hash INTEGER NOT NULL, at_ms INTEGER NOT NULL, kind INTEGER NOT NULL, allowed INTEGER,
    session_hash INTEGER, tenant TEXT NOT NULL, body TEXT NOT NULL) STRICT;
  CREATE INDEX entries_id ON entries (id_hash);
  CREATE INDEX entries_session ON entries (session_hash) WHERE session_hash IS NOT NULL;
  CREATE INDEX entries_denied ON entries (position) WHERE allowed = 0 OR kind = 1;
  CREATE TABLE minutes (
    minute INTEGER, "limit" TEXT, unit TEXT, tool TEXT, tenant TEXT, calls INTEGER, denied INTEGER, exceeded INTEGER, units INTEGER,
    logged INTEGER, dropped INTEGER, PRIMARY KEY (minute, "limit", unit, tool, tenant)) STRICT, WITHOUT ROWID;
  CREATE TABLE tops (
    minute INTEGER, dimension TEXT, unit TEXT, value TEXT, tenant TEXT, calls INTEGER, denied INTEGER, units INTEGER, error INTEGER,
    PRIMARY KEY (minute, dimension, unit, value, tenant)) STRICT, WITHOUT ROWID;
  CREATE TABLE near (
    name TEXT PRIMARY KEY, "limit" TEXT, dimensions TEXT, tenant TEXT, unit TEXT, used INTEGER, capacity INTEGER, fill REAL,
    at_ms INTEGER, ends_at_ms INTEGER) STRICT, WITHOUT ROWID;
  CREATE INDEX near_fill ON near (fill DESC);
  CREATE TABLE sessions (
    session TEXT, tenant TEXT, user TEXT, first_ms INTEGER, last_ms INTEGER, calls INTEGER, denied INTEGER, denied_by TEXT,
    PRIMARY KEY (session, tenant)) STRICT, WITHOUT ROWID;
  CREATE INDEX sessions_last ON sessions (last_ms DESC);
  CREATE TABLE policies (version TEXT PRIMARY KEY, at_ms INTEGER, source TEXT) STRICT, WITHOUT ROWID;
  -- The last batch of each instance.
  CREATE TABLE writers (instance TEXT PRIMARY KEY, number INTEGER, at_ms INTEGER) STRICT, WITHOUT ROWID;
  CREATE TABLE meta (salt TEXT NOT NULL) STRICT;
`;
/** Its mark is "tolo" in ASCII. */
const LAYOUT = { applicationId: 0x746f6c6f, version: 2, schema: SCHEMA };

/**
 * Opens a file, and makes its tables when it is empty.
 *
 * @throws StoreError `foreign-database`, `schema-version`; what SQLite throws
 */
export function openLogFile(path: string, salt: string): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: LOCK_MS });
  try {
    // Only a file that has no page yet takes it.
    database.exec("PRAGMA auto_vacuum = INCREMENTAL");
    ensureLayout(database, path, LAYOUT, () => database.prepare("INSERT INTO meta VALUES (?)").run(salt));
    // In WAL mode, NORMAL writes without fsync: the operating system keeps it when a process dies.
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16000");
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}
