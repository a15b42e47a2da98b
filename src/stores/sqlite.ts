// The embedded default: one file, shared by the processes of one machine, kept when any of them is killed.
// Each batch is one `BEGIN IMMEDIATE` transaction in which the kernel decides; nothing is judged in SQL.

import { DatabaseSync, type StatementSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { type Clock, checkClock, systemClock } from "../clock.ts";
import { checkOptionKeys, invalidOption } from "../kernel/errors.ts";
import {
  type Batching,
  type BucketState,
  decide,
  decodeState,
  encodeState,
  type Store,
  StoreError,
  type StoreReply,
  type StoreRequest,
} from "../store.ts";
import { Courtesy } from "./sqlite/courtesy.ts";

/** How a SQLite store is made. */
export interface SqliteStoreOptions {
  /**
   * How long the file's lock may be out of reach before calls fail with `busy`, 1 to 60,000 ms. Default 2,000. From then
   * on each batch asks once and fails at once, until the lock is to be had. The event loop never waits for a lock.
   */
  readonly deadlineMs?: number;
  /**
   * What an acknowledged decision survives: the death of any `process` at any point, or also a loss of `power`, at the
   * price of an fsync a batch. Default `process`.
   */
  readonly durability?: "process" | "power";
  /** For tests. Default: the machine's clock. */
  readonly clock?: Clock;
}

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

const BATCHING: Batching = { size: 256, underWay: 1 };
// Rows looked at for expiry with each row that is written: more than are made, so that the dead never pile up.
const SWEPT_PER_ROW = 2;

/**
 * Keeps buckets in a SQLite file, which is made when it is not there. Opened at once; a file that cannot be opened fails
 * the requests, each of which tries again.
 *
 * Fails with `StoreError` `busy` (transient) when the lock was not to be had in time, `foreign-database` or
 * `schema-version` when the file is another program's or version's, `unavailable` when it cannot be opened, read or
 * written, `closed` after `close`; a request of a damaged bucket fails alone with `damaged-bucket`.
 *
 * @throws MisuseError `invalid-option`
 *
 * @example
 * ```ts
 * import { createLimiter } from "tollgate";
 * import { sqliteStore } from "tollgate/stores/sqlite";
 *
 * const limiter = createLimiter({
 *   policy: { version: 1, limits: [{ name: "per-session", per: ["session"], quota: 2 }] },
 *   store: sqliteStore("tollgate.db"),
 * });
 * const decision = await limiter.consume({ tool: "search", session: "s1" });
 * console.log(decision.verdicts[0]?.remaining); // 1, and still 1 after a restart
 * await limiter.close();
 * ```
 */
export function sqliteStore(path: string, options: SqliteStoreOptions = {}): Store {
  checkOptionKeys(options, ["deadlineMs", "durability", "clock"]);
  const { deadlineMs = 2_000, durability = "process", clock = systemClock } = options;
  if (typeof path !== "string" || path === "" || /^:memory:|^file:|\0/.test(path)) {
    throw invalidOption("path", "the path of a file", path);
  }
  if (!Number.isInteger(deadlineMs) || deadlineMs < 1 || deadlineMs > 60_000) {
    throw invalidOption("deadlineMs", "a whole number from 1 to 60000", deadlineMs);
  }
  if (durability !== "process" && durability !== "power") {
    throw invalidOption("durability", "process or power", durability);
  }
  checkClock(clock);
  return new SqliteStore(path, { deadlineMs, durability, clock });
}

/** A bucket as a transaction knows it: `null` where its row is damaged. */
type Known = BucketState | undefined | null;

class SqliteStore implements Store {
  readonly batching = BATCHING;
  readonly #path: string;
  readonly #options: Required<SqliteStoreOptions>;
  #file: OpenFile | null = null;
  readonly #courtesy = new Courtesy();
  /** Since when the lock was not to be had: calls that queue behind one another share one deadline. */
  #lockedSinceMs: number | null = null;
  #closed = false;

  constructor(path: string, options: Required<SqliteStoreOptions>) {
    this.#path = path;
    this.#options = options;
    try {
      this.#file = openFile(path, options.durability);
    } catch {
      // The first request tries again, and says what is wrong: a store that is away must not end a program that starts.
    }
  }

  async apply(requests: readonly StoreRequest[]): Promise<(StoreReply | StoreError)[]> {
    const askedMs = performance.now();
    const pauseMs = this.#courtesy.pauseMs(requests.length, askedMs);
    if (pauseMs > 0) await sleep(pauseMs);
    const startedMs = performance.now();
    for (;;) {
      if (this.#closed) throw new StoreError("closed", "the SQLite store was closed", { transient: false });
      try {
        this.#file ??= openFile(this.#path, this.#options.durability);
        const replies = transact(this.#file, requests, this.#options.clock);
        const nowMs = performance.now();
        this.#courtesy.won(nowMs, nowMs - startedMs);
        this.#lockedSinceMs = null;
        return replies;
      } catch (error) {
        if (!isBusy(error)) throw storeError(error, this.#path);
        const nowMs = performance.now();
        this.#lockedSinceMs ??= nowMs;
        if (nowMs - this.#lockedSinceMs >= this.#options.deadlineMs) {
          const message = `others have held the lock of ${this.#path} for ${this.#options.deadlineMs} ms`;
          throw new StoreError("busy", message, { transient: true, cause: error });
        }
        await sleep(this.#courtesy.lost(nowMs, Math.random()));
      }
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#file?.database.close();
    this.#file = null;
  }
}

interface OpenFile {
  readonly database: DatabaseSync;
  readonly read: StatementSync;
  readonly write: StatementSync;
  readonly remove: StatementSync;
  readonly hand: StatementSync;
  readonly moveHand: StatementSync;
  readonly following: StatementSync;
  readonly removeExpired: StatementSync;
}

function openFile(path: string, durability: "process" | "power"): OpenFile {
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
    return {
      database,
      // As text: a damaged row may hold an integer that JavaScript cannot.
      read: database.prepare("SELECT value, CAST(expires_at_ms AS TEXT) AS expires_at_ms FROM buckets WHERE key = ?"),
      write: database.prepare("INSERT OR REPLACE INTO buckets (key, value, expires_at_ms) VALUES (?, ?, ?)"),
      remove: database.prepare("DELETE FROM buckets WHERE key = ?"),
      hand: database.prepare("SELECT key FROM hand"),
      moveHand: database.prepare("UPDATE hand SET key = ?"),
      following: database.prepare("SELECT key FROM buckets WHERE key > ? ORDER BY key LIMIT 1 OFFSET ?"),
      removeExpired: database.prepare("DELETE FROM buckets WHERE key > ? AND key <= ? AND expires_at_ms <= ?"),
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

function transact(file: OpenFile, requests: readonly StoreRequest[], clock: Clock): (StoreReply | StoreError)[] {
  file.database.exec("BEGIN IMMEDIATE");
  try {
    const nowMs = clock.nowMs();
    const known = new Map<string, Known>();
    const changed = new Set<string>();
    const replies = requests.map((request) => decideIn(file, request, nowMs, known, changed));
    for (const key of changed) writeBucket(file, key, known.get(key));
    sweep(file, changed.size * SWEPT_PER_ROW, nowMs);
    file.database.exec("COMMIT");
    return replies;
  } catch (error) {
    rollBack(file.database);
    throw error;
  }
}

function rollBack(database: DatabaseSync): void {
  try {
    database.exec("ROLLBACK");
  } catch {
    // SQLite has done so by itself, as it does when the disk is full.
  }
}

function decideIn(
  file: OpenFile,
  request: StoreRequest,
  nowMs: number,
  known: Map<string, Known>,
  changed: Set<string>,
): StoreReply | StoreError {
  const states: (BucketState | undefined)[] = [];
  for (const { bucket, event } of request.steps) {
    if (!known.has(bucket)) known.set(bucket, readBucket(file, bucket));
    if (known.get(bucket) === null && event.type === "reset" && request.mode !== "peek") {
      known.set(bucket, undefined);
      changed.add(bucket);
    }
    const state = known.get(bucket);
    if (state === null) {
      return new StoreError("damaged-bucket", `the bucket ${bucket} holds what no version writes`, {
        transient: false,
      });
    }
    states.push(state);
  }
  const { reply, next } = decide(request, states, nowMs);
  for (const [i, { bucket }] of request.steps.entries()) {
    if (next === null) break;
    known.set(bucket, next[i]);
    changed.add(bucket);
  }
  return reply;
}

function readBucket(file: OpenFile, key: string): Known {
  const row = file.read.get(key);
  if (row === undefined) return undefined;
  const expiresAtMs = Number(row.expires_at_ms);
  return Number.isSafeInteger(expiresAtMs) ? decodeState(String(row.value), expiresAtMs) : null;
}

function writeBucket(file: OpenFile, key: string, state: Known): void {
  if (state) file.write.run(key, encodeState(state), state.expiresAtMs);
  else file.remove.run(key);
}

/** Moves the hand over `count` rows, in the order of their keys, and removes those that have expired. */
function sweep(file: OpenFile, count: number, nowMs: number): void {
  if (count === 0) return;
  const from = String(file.hand.get()?.key);
  const last = file.following.get(from, count - 1)?.key;
  // After the last key the hand begins anew; no key is above the highest code point.
  file.removeExpired.run(from, last === undefined ? "\u{10ffff}" : String(last), nowMs);
  file.moveHand.run(last === undefined ? "" : String(last));
}

const SQLITE_BUSY = 5;
const SQLITE_NOTADB = 26;
/** Locked, an I/O error, a full disk: what may be over the next time. */
const TRANSIENT: readonly (number | null)[] = [6, 10, 13];

/** SQLite's primary result code of an error, or `null` when it is none of SQLite's. */
function resultCode(error: unknown): number | null {
  const code = error instanceof Error && "errcode" in error ? error.errcode : null;
  return typeof code === "number" ? code & 0xff : null;
}

function isBusy(error: unknown): boolean {
  return resultCode(error) === SQLITE_BUSY;
}

function storeError(error: unknown, path: string): StoreError {
  if (StoreError.isInstance(error)) return error;
  const code = resultCode(error);
  if (code === SQLITE_NOTADB) {
    return new StoreError("foreign-database", `${path} is no SQLite database`, { transient: false, cause: error });
  }
  const message = `${path}: ${error instanceof Error ? error.message : error}`;
  return new StoreError("unavailable", message, { transient: TRANSIENT.includes(code), cause: error });
}
