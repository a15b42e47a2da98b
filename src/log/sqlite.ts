// A log in a SQLite file. A thread of its own has the file, so that no decision waits for a disk.

import { randomId } from "../ids.ts";
import { invalidOption } from "../kernel/errors.ts";
import { readOptions, type SettledOptions, type TableOf, whole } from "../kernel/options.ts";
import { positionOf, sessionPlace } from "./matching.ts";
import { KEEP_OPTIONS, type KeepOptions, WRITE_OPTIONS, type WriteOptions } from "./options.ts";
import { logTo, type StoredLog } from "./recorder.ts";
import { LogThread } from "./sqlite-thread.ts";
import type { LogBatch, LogReader, ReadableStorage } from "./storage.ts";

export type { KeepOptions, WriteOptions } from "./options.ts";
export type { StoredLog } from "./recorder.ts";
export type { LogReader, LogStorage, ReadableStorage } from "./storage.ts";

/** How a log in a SQLite file is made. */
export interface SqliteLogOptions extends WriteOptions, KeepOptions {
  /** Most bytes of the file, 1,000,000 to 1,000,000,000,000: the oldest entries and counts are removed. Default 268,435,456. */
  readonly maxBytes?: number;
}

const OPTIONS = {
  ...WRITE_OPTIONS,
  ...KEEP_OPTIONS,
  maxBytes: whole(1_000_000, 1_000_000_000_000, 268_435_456),
} satisfies TableOf<SqliteLogOptions>;

/**
 * Keeps a log in a SQLite file, which is made when it is not there. Several processes of one machine may write and read it. What
 * was written outlives any process that is killed.
 *
 * @param path of the file
 * @throws MisuseError `invalid-option`
 *
 * @example
 * ```ts
 * import { createLimiter } from "tollgate";
 * import { sqliteLog } from "tollgate/log/sqlite";
 * import { memoryStore } from "tollgate/stores/memory";
 *
 * const log = sqliteLog("decisions.db");
 * const limiter = createLimiter({
 *   policy: { version: 1, limits: [{ name: "per-session", per: ["session"], quota: 1 }] },
 *   store: memoryStore(),
 *   log,
 * });
 * const { id = "" } = await limiter.consume({ tool: "search", session: "s1" });
 * await log.flush();
 * const entry = await log.storage.read.entry(id, null);
 * console.log(entry?.kind); // decision
 * await limiter.close();
 * ```
 */
export function sqliteLog(path: string, options: SqliteLogOptions = {}): StoredLog<ReadableStorage> {
  const settings = readOptions(OPTIONS, options);
  if (typeof path !== "string" || path === "" || /^:memory:|^file:|\0/.test(path)) {
    throw invalidOption("path", "the path of a file", path);
  }
  return logTo(sqliteStorage(path, settings), settings);
}

type Settings = Pick<SettledOptions<typeof OPTIONS>, "maxEntries" | "maxAgeMs" | "maxBytes">;

export function sqliteStorage(path: string, { maxEntries, maxAgeMs, maxBytes }: Settings): ReadableStorage {
  const thread = new LogThread({ path, salt: randomId(), maxEntries, maxAgeMs, maxBytes });
  return {
    name: "sqlite",
    isShared: false,
    salt: async () => String(await thread.ask("salt")),
    write: async (batch: LogBatch) => {
      await thread.ask("write", JSON.stringify(batch));
    },
    read: readerOf(thread),
    close: () => thread.close(),
  };
}

/** Cursors are checked here: a fault of a caller needs no thread. */
function readerOf(thread: LogThread): LogReader {
  const ask = (name: keyof LogReader) => (query: unknown, more?: unknown) =>
    thread.ask(name, query, more) as Promise<never>;
  const checked = (check: (query: never) => void, name: keyof LogReader) => async (query: never) => {
    check(query);
    return ask(name)(query);
  };
  return {
    entries: checked(({ cursor, after }: { readonly cursor?: string; readonly after?: string }) => {
      if (cursor !== undefined) positionOf("cursor", cursor);
      if (after !== undefined) positionOf("after", after);
    }, "entries"),
    sessions: checked(({ cursor }: { readonly cursor?: string }) => {
      if (cursor !== undefined) sessionPlace(cursor);
    }, "sessions"),
    entry: ask("entry"),
    top: ask("top"),
    near: ask("near"),
    series: ask("series"),
    policy: ask("policy"),
  };
}
