// What SQLite says when something is wrong, as this store's errors.

import { StoreError } from "../../store/error.ts";

const SQLITE_BUSY = 5;
const SQLITE_LOCKED = 6;
const SQLITE_IOERR = 10;
const SQLITE_FULL = 13;
const SQLITE_CANTOPEN = 14;
const SQLITE_NOTADB = 26;
/** What may be over the next time. */
const TRANSIENT: readonly (number | null)[] = [SQLITE_LOCKED, SQLITE_IOERR, SQLITE_FULL];
/** SQLite does not say which of the two it is. */
const CANTOPEN = ": its folder must be there, and this user must have the right to write there";

/** SQLite's primary result code of an error, or `null` when it is none of SQLite's. */
function resultCode(error: unknown): number | null {
  const code = error instanceof Error && "errcode" in error ? error.errcode : null;
  return typeof code === "number" ? code & 0xff : null;
}

/** Whether another connection holds the lock. */
export function isBusy(error: unknown): boolean {
  return resultCode(error) === SQLITE_BUSY;
}

export function sqliteError(error: unknown, path: string): StoreError {
  if (StoreError.isInstance(error)) return error;
  const code = resultCode(error);
  if (code === SQLITE_NOTADB) {
    return new StoreError("foreign-database", `${path} is no SQLite database`, { transient: false, cause: error });
  }
  const message = `${path}: ${error instanceof Error ? error.message : error}${code === SQLITE_CANTOPEN ? CANTOPEN : ""}`;
  return new StoreError("unavailable", message, { transient: TRANSIENT.includes(code), cause: error });
}
