// The embedded default: one file, shared by the processes of one machine, kept when any of them is killed.
// Each batch is one `BEGIN IMMEDIATE` transaction in which the kernel decides; nothing is judged in SQL.

import { type Clock, clockOption, sleep, systemClock } from "../clock.ts";
import { invalidOption } from "../kernel/errors.ts";
import { choice, readOptions, type TableOf, whole } from "../kernel/options.ts";
import type { StoreRequest } from "../kernel/request.ts";
import { closedError, StoreError } from "../store/error.ts";
import type { Batching, Store, StoreAnswer } from "../store/store.ts";
import { Courtesy } from "./sqlite/courtesy.ts";
import { isBusy, sqliteError } from "./sqlite/errors.ts";
import { type OpenFile, openFile } from "./sqlite/file.ts";
import { transact } from "./sqlite/transaction.ts";

/** How a SQLite store is made. */
export interface SqliteStoreOptions {
  /**
   * How long a call may wait for the file's lock before it fails with `busy`, 1 to 60,000 ms, counted from the call. Default
   * 2,000. Once others have held the lock for as long, each batch tries once and fails at once, until the lock is free again.
   * The event loop never waits for a lock.
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

const OPTIONS = {
  deadlineMs: whole(1, 60_000, 2_000),
  durability: choice(["process", "power"], "process"),
  clock: clockOption,
} satisfies TableOf<SqliteStoreOptions>;

const BATCHING: Batching = { size: 256, underWay: 1 };

/**
 * Keeps buckets in a SQLite file, which is made when it is not there. Opened at once; a file that cannot be opened fails
 * the requests, each of which tries again.
 *
 * Fails with `StoreError` `busy` (transient) when the lock was not free in time, `foreign-database` or
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
 * const decision = await limiter.consume({ tool: "search", session: crypto.randomUUID() });
 * console.log(decision.verdicts[0]?.remaining); // 1
 * await limiter.close();
 * ```
 */
export function sqliteStore(path: string, options: SqliteStoreOptions = {}): Store {
  const { deadlineMs, durability, clock } = readOptions(OPTIONS, options);
  if (typeof path !== "string" || path === "" || /^:memory:|^file:|\0/.test(path)) {
    throw invalidOption("path", "the path of a file", path);
  }
  return new SqliteStore(path, deadlineMs, durability, clock);
}

class SqliteStore implements Store {
  readonly batching = BATCHING;
  readonly deadlineMs: number;
  readonly clock: Clock | undefined;
  readonly #path: string;
  readonly #durability: "process" | "power";
  #file: OpenFile | null = null;
  readonly #courtesy = new Courtesy();
  /**
   * Since when others hold the lock. Once that is a whole deadline ago, each batch tries once and fails, so that those behind
   * it do not wait a deadline each.
   */
  #lockedSinceMs: number | null = null;
  #closed = false;

  constructor(path: string, deadlineMs: number, durability: "process" | "power", clock: Clock | undefined) {
    this.#path = path;
    this.deadlineMs = deadlineMs;
    this.#durability = durability;
    this.clock = clock;
    try {
      this.#file = openFile(path, durability);
    } catch {
      // The first request tries again, and says what is wrong: a store that is away must not end a program that starts.
    }
  }

  async apply(requests: readonly StoreRequest[], leftMs: number = this.deadlineMs): Promise<readonly StoreAnswer[]> {
    if (leftMs <= 0) throw this.#busy();
    const askedMs = performance.now();
    const endsAtMs = askedMs + leftMs;
    const pauseMs = this.#courtesy.pauseMs(requests.length, askedMs);
    if (pauseMs > 0) await sleep(pauseMs);
    const startedMs = performance.now();
    for (;;) {
      if (this.#closed) throw closedError("SQLite");
      try {
        this.#file ??= openFile(this.#path, this.#durability);
        const replies = transact(this.#file, requests, this.clock ?? systemClock);
        const nowMs = performance.now();
        this.#courtesy.won(nowMs, nowMs - startedMs);
        this.#lockedSinceMs = null;
        return replies;
      } catch (error) {
        if (!isBusy(error)) throw sqliteError(error, this.#path);
        const nowMs = performance.now();
        this.#lockedSinceMs ??= nowMs;
        if (nowMs >= endsAtMs || nowMs - this.#lockedSinceMs >= this.deadlineMs) throw this.#busy(error);
        await sleep(this.#courtesy.lost(nowMs, Math.random()));
      }
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#file?.database.close();
    this.#file = null;
  }

  #busy(cause?: unknown): StoreError {
    const message = `the lock of ${this.#path} was not free for ${this.deadlineMs} ms`;
    return new StoreError("busy", message, { transient: true, cause });
  }
}
