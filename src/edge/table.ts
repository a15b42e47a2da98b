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
const READ_ONE = "SELECT value, expires_at_ms FROM tollgate_buckets WHERE key = ?";
/** For any number of keys: a statement has at most 100 parameters. */
const READ_ALL = `
  SELECT tollgate_buckets.key, tollgate_buckets.value, expires_at_ms
  FROM json_each(?) AS wanted CROSS JOIN tollgate_buckets ON tollgate_buckets.key = wanted.value
`;
const WRITE = "INSERT OR REPLACE INTO tollgate_buckets VALUES (?, ?, ?)";
const REMOVE = "DELETE FROM tollgate_buckets WHERE key = ?";
const FOLLOWING = "SELECT key FROM tollgate_buckets WHERE key > ? ORDER BY key LIMIT 1 OFFSET ?";
const REMOVE_EXPIRED = "DELETE FROM tollgate_buckets WHERE key > ? AND key <= ? AND expires_at_ms <= ?";
const EARLIEST = "SELECT min(expires_at_ms) FROM tollgate_buckets WHERE key > ? AND key <= ?";
/** No key is above the highest code point. */
const LAST_KEY = "\u{10ffff}";

export class StatesTable {
  readonly #storage: ObjectStorage;
  readonly #sql: SqlStorage;
  /** `null`: not known yet. */
  #isThere: boolean | null = null;

  constructor(storage: ObjectStorage) {
    this.#storage = storage;
    this.#sql = storage.sql;
  }

  /** Bytes. */
  get size(): number {
    return this.#sql.databaseSize;
  }

  /** Looks for the tables again before the next statement: a program may have removed them. */
  forget(): void {
    this.#isThere = null;
  }

  /**
   * Reads what is there for some keys: what is not there is not in the map.
   *
   * @throws StoreError `schema-version`
   */
  read(keys: readonly string[], nowMs: number): ReadonlyMap<string, ReadState> {
    const states = new Map<string, ReadState>();
    const [key = ""] = keys;
    if (keys.length === 0 || !this.#exists()) return states;
    if (keys.length === 1) {
      for (const [text, endsAtMs] of this.#sql.exec(READ_ONE, key).raw()) {
        states.set(key, decodeState(text as string, endsAtMs as number, nowMs));
      }
      return states;
    }
    for (const [found, text, endsAtMs] of this.#sql.exec(READ_ALL, JSON.stringify(keys)).raw()) {
      states.set(found as string, decodeState(text as string, endsAtMs as number, nowMs));
    }
    return states;
  }

  /** Writes all of it, or throws and has written nothing. What an object only reads makes no table. */
  write(changed: ReadonlyMap<string, StoredState | undefined>): void {
    const write = () => {
      if (!this.#exists()) this.#create();
      for (const [key, state] of changed) {
        if (state === undefined) this.#sql.exec(REMOVE, key);
        else this.#sql.exec(WRITE, key, encodeState(state), state.expiresAtMs);
      }
    };
    // One statement is atomic by itself.
    if (changed.size === 1 && this.#exists()) write();
    else if (changed.size > 0) this.#storage.transactionSync(write);
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
