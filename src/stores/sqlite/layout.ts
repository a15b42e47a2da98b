// Whose tables a file has, and of which version.

import type { DatabaseSync } from "node:sqlite";
import { StoreError } from "../../store/error.ts";

export interface Layout {
  /** Marks a file as one of Tollgate's, in SQLite's `application_id`. */
  readonly applicationId: number;
  readonly version: number;
  /** Makes the tables. */
  readonly schema: string;
}

/**
 * Makes the tables of a file when it is empty.
 *
 * @param made called in the same transaction, when they were made
 * @throws StoreError `foreign-database`, `schema-version`
 */
export function ensureLayout(database: DatabaseSync, path: string, layout: Layout, made: () => void = () => {}): void {
  if (hasLayout(database, path, layout)) return;
  database.exec("BEGIN IMMEDIATE");
  // Another process may have made it since.
  if (!hasLayout(database, path, layout)) {
    database.exec(layout.schema);
    database.exec(`PRAGMA application_id = ${layout.applicationId}; PRAGMA user_version = ${layout.version}`);
    made();
  }
  database.exec("COMMIT");
}

/** Whether the file holds these tables: `false` when it is empty. */
function hasLayout(database: DatabaseSync, path: string, layout: Layout): boolean {
  const applicationId = database.prepare("PRAGMA application_id").get()?.application_id;
  const version = database.prepare("PRAGMA user_version").get()?.user_version;
  if (applicationId === layout.applicationId) {
    if (version === layout.version) return true;
    const message = `${path} has layout ${version}; this version of Tollgate reads layout ${layout.version}`;
    throw new StoreError("schema-version", message, { transient: false });
  }
  const tables = database.prepare("SELECT count(*) AS count FROM sqlite_master").get()?.count;
  if (tables === 0 && applicationId === 0 && version === 0) return false;
  throw new StoreError("foreign-database", `${path} is another program's database`, { transient: false });
}
