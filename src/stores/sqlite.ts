// The embedded default: one file, shared by the processes of one machine, kept when any of them is killed.
// Each batch is one `BEGIN IMMEDIATE` transaction in which the kernel decides; nothing is judged in SQL.

import { random } from "../ids.ts";
import { type Clock, clockOption, monotonicClock, sleep, systemClock } from "../clock.ts";
import { invalidOption } from "../kernel/errors.ts";
import { choice, readOptions, type TableOf, whole } from "../kernel/options.ts";
import { networkLayers } from "../layers/network.ts";
import { closedError, StoreError } from "../store/error.ts";
import type { Batching, Store } from "../store/store.ts";
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
  const courtesy = new Courtesy();
  let file: OpenFile | null = null;
  // Since when others hold the lock. Once that is a whole deadline ago, each batch tries once and fails, so that those behind
  // it do not wait a deadline each.
  let lockedSinceMs: number | null = null;
  let isClosed = false;
  try {
    file = openFile(path, durability);
  } catch {
    // The first request tries again, and says what is wrong: a store that is away must not end a program that starts.
  }
  const busy = (cause?: unknown) => {
    return new StoreError("busy", `the lock of ${path} was not free for ${deadlineMs} ms`, { transient: true, cause });
  };
  return {
    layers: networkLayers,
    batching: BATCHING,
    deadlineMs,
    clock,
    async apply(requests, leftMs = deadlineMs) {
      if (leftMs <= 0) throw busy();
      const askedMs = monotonicClock.nowMs();
      const pauseMs = courtesy.pauseMs(requests.length, askedMs);
      if (pauseMs > 0) await sleep(pauseMs);
      const startedMs = monotonicClock.nowMs();
      for (;;) {
        if (isClosed) throw closedError("SQLite");
        try {
          file ??= openFile(path, durability);
          const answers = transact(file, requests, clock ?? systemClock);
          const nowMs = monotonicClock.nowMs();
          courtesy.won(nowMs, nowMs - startedMs);
          lockedSinceMs = null;
          return answers;
        } catch (error) {
          if (!isBusy(error)) throw sqliteError(error, path);
          const nowMs = monotonicClock.nowMs();
          lockedSinceMs ??= nowMs;
          if (nowMs >= askedMs + leftMs || nowMs - lockedSinceMs >= deadlineMs) throw busy(error);
          await sleep(courtesy.lost(nowMs, random()));
        }
      }
    },
    async close() {
      isClosed = true;
      file?.database.close();
      file = null;
    },
  };
}
