// The states of one object, in its own SQLite: the table, and how it is read, written and swept. It decides nothing.

import type { StoredState } from "../kernel/state.ts";
import { encodeState } from "../kernel/encoding/state.ts";
import { decodeState, type ReadState } from "../store/check.ts";
import { StoreError } from "../store/error.ts";
import type { ObjectStorage, SqlStorage } from "./runtime.ts";

const LAYOUT = 1;
/** Tables have a prefix, because an object may have tables of its program, too. */
const SCHEMA = `
  CREATE TABLE tollgate_buckets (key TEXT PRIMARY KEY, value TEXT NOT NULL, expires_at_ms INTEGER NOT NULL)
    STRICT, WITHOUT ROWID;
  CREATE TABLE tollgate_layout (version INTEGER NOT NULL) STRICT;
  INSERT INTO tollgate_layout VALUES (${LAYOUT});
`;
const IS_THERE = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'tollgate_layout'";
const READ = "SELECT key, value, expires_at_ms FROM tollgate_buckets WHERE key";
const WRITE = "INSERT OR REPLACE INTO tollgate_buckets VALUES";
/** Most rows that one statement reads or writes by parameters, of which it has at most 100. */
const MAX_ROWS = 16;
const READ_SOME = Array.from({ length: MAX_ROWS + 1 }, (_, n) => `${READ} IN (${Array(n).fill("?").join()})`);
const WRITE_SOME = Array.from({ length: MAX_ROWS + 1 }, (_, n) => `${WRITE} ${Array(n).fill("(?,?,?)").join()}`);
const READ_ALL = `${READ} IN (SELECT value FROM json_each(?))`;
const REMOVE = "DELETE FROM tollgate_buckets WHERE key = ?";
const FOLLOWING = "SELECT key FROM tollgate_buckets WHERE key > ? ORDER BY key LIMIT 1 OFFSET ?";
const REMOVE_EXPIRED = "DELETE FROM tollgate_buckets WHERE key > ? AND key <= ? AND expires_at_ms <= ?";
const EARLIEST = "SELECT min(expires_at_ms) FROM tollgate_buckets WHERE key > ? AND key <= ?";
/** Most states that are kept in memory, and the longest text of one of them: one more, and all are forgotten. */
const MAX_KNOWN = 1_000;
const MAX_KNOWN_LENGTH = 200;
/** No key is above the highest code point. */
const LAST_KEY = "\u{10ffff}";

export class StatesTable {
  readonly #storage: ObjectStorage;
  readonly #sql: SqlStorage;
  /** `null`: not known yet. */
  #isThere: boolean | null = null;
  /** What rows hold, as it was read or written last: nothing else changes them while the object lives. */
  readonly #known = new Map<string, StoredState>();

  constructor(storage: ObjectStorage) {
    this.#storage = storage;
    this.#sql = storage.sql;
  }

  /** Bytes. */
  get size(): number {
    return this.#sql.databaseSize;
  }

  /** Looks into the tables again: a program may have removed them, or a statement has failed. */
  forget(): void {
    this.#isThere = null;
    this.#known.clear();
  }

  /**
   * Reads what is there for some keys: what is not there is not in the map.
   *
   * @throws StoreError `schema-version`
   */
  read(keys: readonly string[], nowMs: number): ReadonlyMap<string, ReadState> {
    const states = new Map<string, ReadState>();
    const missing: string[] = [];
    for (const key of keys) {
      const state = this.#known.get(key);
      if (state === undefined) missing.push(key);
      else states.set(key, state);
    }
    if (missing.length === 0 || !this.#exists()) return states;
    const some = READ_SOME[missing.length];
    const rows =
      some === undefined ? this.#sql.exec(READ_ALL, JSON.stringify(missing)) : this.#sql.exec(some, ...missing);
    for (const [key, text, endsAtMs] of rows.raw() as Iterable<[string, string, number]>) {
      const state = decodeState(text, endsAtMs, nowMs);
      states.set(key, state);
      this.#remember(key, state ?? undefined, text);
    }
    return states;
  }

  /** Writes all of it, or throws and has written nothing: then `forget`. What an object only reads makes no table. */
  write(changed: ReadonlyMap<string, StoredState | undefined>): void {
    const rows: (string | number)[] = [];
    const removed: string[] = [];
    for (const [key, state] of changed) {
      const text = state === undefined ? "" : encodeState(state);
      if (state === undefined) removed.push(key);
      else rows.push(key, text, state.expiresAtMs);
      this.#remember(key, state, text);
    }
    // One statement is atomic by itself.
    if (this.#exists() && removed.length === 0 && rows.length <= 3 * MAX_ROWS) this.#insert(rows);
    else this.#storage.transactionSync(() => this.#writeAll(rows, removed));
  }

  #remember(key: string, state: StoredState | undefined, text: string): void {
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    if (state === undefined || text.length > MAX_KNOWN_LENGTH) this.#known.delete(key);
    else this.#known.set(key, state);
  }

  #writeAll(rows: readonly (string | number)[], removed: readonly string[]): void {
    if (!this.#exists()) this.#create();
    for (let first = 0; first < rows.length; first += 3 * MAX_ROWS)
      this.#insert(rows.slice(first, first + 3 * MAX_ROWS));
    for (const key of removed) this.#sql.exec(REMOVE, key);
  }

  #insert(rows: readonly (string | number)[]): void {
    if (rows.length > 0) this.#sql.exec(WRITE_SOME[rows.length / 3] as string, ...rows);
  }

  /**
   * Removes the expired ones among the first `count` rows after a key.
   *
   * @returns the last key that it looked at; `""` after the last row
   */
  sweep(from: string, count: number, nowMs: number): string {
    if (!this.#exists()) return "";
    const [next] = this.#sql.exec(FOLLOWING, from, count - 1).raw();
    const to = next === undefined ? "" : String(next[0]);
    this.#sql.exec(REMOVE_EXPIRED, from, to || LAST_KEY, nowMs);
    return to;
  }

  /** When the first of some rows ends, epoch ms; `Infinity` where there are none. `to` is what `sweep` returned. */
  earliestMs(from: string, to: string): number {
    if (!this.#exists()) return Number.POSITIVE_INFINITY;
    const [earliest] = this.#sql.exec(EARLIEST, from, to || LAST_KEY).raw();
    return (earliest?.[0] as number | null | undefined) ?? Number.POSITIVE_INFINITY;
  }

  #exists(): boolean {
    this.#isThere ??= this.#look();
    return this.#isThere;
  }

  #look(): boolean {
    const [count] = this.#sql.exec(IS_THERE).raw();
    if (count?.[0] === 0) return false;
    const [version] = this.#sql.exec("SELECT version FROM tollgate_layout").raw();
    if (version?.[0] === LAYOUT) return true;
    const message = `the object has layout ${version?.[0]}; this version of Tollgate reads layout ${LAYOUT}: deploy the version that wrote it`;
    throw new StoreError("schema-version", message, { transient: false });
  }

  #create(): void {
    this.#sql.exec(SCHEMA);
    this.#isThere = true;
  }
}
