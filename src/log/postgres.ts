// A log in Postgres, which all instances share.

import { systemClock } from "../clock.ts";
import { MisuseError } from "../kernel/errors.ts";
import { checked, readOptions, type TableOf } from "../kernel/options.ts";
import { databaseThrough, type PostgresClient } from "../stores/postgres/client.ts";
import { askedOnce } from "../stores/postgres/database.ts";
import { postgresError } from "../stores/postgres/errors.ts";
import { prefixOf, type SchemaOptions } from "../stores/postgres/schema.ts";
import { KEEP_OPTIONS, type KeepOptions, type KeepSettings, WRITE_OPTIONS, type WriteOptions } from "./options.ts";
import { TableReader } from "./postgres/read.ts";
import { removeOld, removeOldSums } from "./postgres/retention.ts";
import { ensureTables } from "./postgres/tables.ts";
import { writeBatch } from "./postgres/write.ts";
import { logTo, type StoredLog } from "./recorder.ts";
import type { LogBatch, LogReader, ReadableStorage } from "./storage.ts";

export type { PostgresClient } from "../stores/postgres/client.ts";
export type { SchemaOptions } from "../stores/postgres/schema.ts";
export type { KeepOptions, WriteOptions } from "./options.ts";
export type { StoredLog } from "./recorder.ts";
export type { LogReader, LogStorage, ReadableStorage } from "./storage.ts";

/** How a log in Postgres is made. */
export interface PostgresLogOptions extends WriteOptions, KeepOptions, SchemaOptions {}

const OPTIONS = {
  ...WRITE_OPTIONS,
  ...KEEP_OPTIONS,
  schema: checked<string>("a name of lower-case letters, digits and _", (value) => typeof value === "string"),
} satisfies TableOf<PostgresLogOptions>;

/** The server ends a statement after this time. */
const DEADLINE_MS = 10_000;
const TIDY_MS = 60_000;

/**
 * Keeps a log in tables of Postgres, `tollgate_log_*`, which it makes when they are not there. All instances write to it, and each
 * reads what all have written.
 *
 * @param client a pool of `pg`, postgres.js, or Prisma. The log does not close it
 * @throws MisuseError `invalid-option`, `unsupported-client`
 *
 * @example
 * ```ts
 * import pg from "pg";
 * import { createLimiter } from "tollgate";
 * import { postgresLog } from "tollgate/log/postgres";
 * import { memoryStore } from "tollgate/stores/memory";
 *
 * const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL ?? "postgres://127.0.0.1" });
 * const limiter = createLimiter({
 *   policy: { version: 1, limits: [{ name: "per-session", per: ["session"], quota: 1 }] },
 *   store: memoryStore(),
 *   log: postgresLog(pool),
 * });
 * const { id } = await limiter.consume({ tool: "search", session: "s1" });
 * console.log(id?.length); // 26
 * await limiter.close();
 * await pool.end();
 * ```
 */
export function postgresLog(client: PostgresClient, options: PostgresLogOptions = {}): StoredLog<ReadableStorage> {
  const settings = readOptions(OPTIONS, options);
  return logTo(postgresStorage(client, settings, settings.schema), settings);
}

export function postgresStorage(client: PostgresClient, keep: KeepSettings, schema?: string): ReadableStorage {
  const at = prefixOf(schema);
  const database = databaseThrough(client, DEADLINE_MS);
  const ensured = askedOnce(() => ensureTables(database, at));
  let tidiedMs = 0;
  const write = async (batch: LogBatch) => {
    await ensured();
    const nowMs = systemClock.nowMs();
    await database.transaction(async (query) => {
      if (await writeBatch(query, at, batch, nowMs)) await removeOld(query, at, keep, nowMs);
      if (nowMs - tidiedMs >= TIDY_MS) await removeOldSums(query, at, keep, nowMs);
    });
    if (nowMs - tidiedMs >= TIDY_MS) tidiedMs = nowMs;
  };
  const reader = new TableReader(async () => {
    await ensured();
    return database.query;
  }, at);
  return {
    name: "postgres",
    isShared: true,
    salt: guarded(ensured),
    write: guarded(write),
    read: readerOf(reader),
    close: async () => {},
  };
}

/** What the client throws, as an error of the log. */
function guarded<Given extends unknown[], Answer>(
  ask: (...given: Given) => Promise<Answer>,
): (...given: Given) => Promise<Answer> {
  return async (...given) => {
    try {
      return await ask(...given);
    } catch (error) {
      throw MisuseError.isInstance(error) ? error : postgresError(error);
    }
  };
}

function readerOf(reader: TableReader): LogReader {
  return {
    entries: guarded((query) => reader.entries(query)),
    entry: guarded((id, tenants) => reader.entry(id, tenants)),
    top: guarded((query) => reader.top(query)),
    near: guarded((query) => reader.near(query)),
    sessions: guarded((query) => reader.sessions(query)),
    series: guarded((query) => reader.series(query)),
    policy: guarded((version) => reader.policy(version)),
  };
}
