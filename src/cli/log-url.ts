// Decision logs by URL: the only place that knows which logs there are.

import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { formatGot, invalidOption, MisuseError, withFaults } from "../kernel/errors.ts";
import { readOptions } from "../kernel/options.ts";
import { WRITE_OPTIONS } from "../log/options.ts";
import { logTo, type StoredLog } from "../log/recorder.ts";
import { DEFAULT_PREFIX, keysIn } from "../log/redis/keys.ts";
import type { LogStorage } from "../log/storage.ts";
import type { StoreError } from "../store/error.ts";
import { hasTables } from "../log/postgres/tables.ts";
import { databaseThrough } from "../stores/postgres/client.ts";
import { postgresError } from "../stores/postgres/errors.ts";
import { connectionOf } from "../stores/redis/client.ts";
import { redisError } from "../stores/redis/errors.ts";
import { connectPostgres, isPostgresUrl, openPostgres } from "./postgres-client.ts";
import { connectRedis, keepRedis, parseRedisUrl, type RedisAddress } from "./redis-client.ts";
import { SHARED_URLS, storeLabel, withoutSecrets } from "./store-url.ts";

/** A file in the folder where the command runs. */
export const DEFAULT_LOG_FILE = "tollgate-log.db";
export const DEFAULT_LOG = `sqlite:${DEFAULT_LOG_FILE}`;
/** The same servers may have a log and a store. */
export const LOG_URLS = SHARED_URLS;

/** What a command does without `--log`. */
export const LOG_OF_FOLDER = `default: ${DEFAULT_LOG_FILE} of this folder, where there is one`;

/** The log that is named, else the one that `tollgate serve` keeps in this folder; absent: there is none. */
export function logOfFolder(log: string | undefined): string | undefined {
  return log ?? (existsSync(DEFAULT_LOG_FILE) ? DEFAULT_LOG : undefined);
}

/** For the first question to a server. */
const FIRST_MS = 5_000;
const SETTINGS = readOptions(WRITE_OPTIONS, {});

/** Whether a text is the URL of a log that can be read, and not the name of a file. */
export function isLogUrl(text: string): boolean {
  return text.startsWith("sqlite:") || isServerLog(text);
}

/** Whether the log is on a server, where several instances write to it. */
export function isServerLog(url: string): boolean {
  return isPostgresUrl(url) || parseRedisUrl(url) !== null;
}

/**
 * The log that a URL names; `null` for `none`.
 *
 * @param isNew whether a log that is not there is made. Then its server may be away, too
 * @throws MisuseError `invalid-option`
 * @throws StoreError when the server of a log that has to be there cannot be reached
 */
export async function openLog(url: string, isNew: boolean): Promise<StoredLog<LogStorage> | null> {
  if (url === "none" && isNew) return null;
  if (url === "memory:" && isNew) {
    const { memoryLog } = await import("../log/memory.ts");
    return memoryLog();
  }
  const address = parseRedisUrl(url);
  if (address !== null) return logTo(await namingOption(() => redisAt(address, isNew)), SETTINGS);
  if (isPostgresUrl(url)) return logTo(await namingOption(() => postgresAt(url, isNew)), SETTINGS);
  const path = /^sqlite:(.+)$/s.exec(url)?.[1];
  const expected = isNew ? `none, memory:, ${LOG_URLS}` : LOG_URLS;
  if (path === undefined) throw invalidOption("--log", expected, withoutSecrets(url));
  if (!isNew && !existsSync(path)) throw noLog(url, `there is no ${resolve(path)}`);
  const { sqliteLog } = await import("../log/sqlite.ts");
  // The log opens its file in a thread, later.
  return sqliteLog(resolve(path));
}

async function postgresAt(url: string, isNew: boolean): Promise<LogStorage> {
  const { postgresLog } = await import("../log/postgres.ts");
  const { client, close } = isNew ? await openPostgres(url) : await connectPostgres(url, false);
  const storage = closedWith(postgresLog(client).storage, close);
  if (isNew) return storage;
  const isThere = () => hasTables(databaseThrough(client, FIRST_MS).query, "");
  return thereOrClosed(storage, isThere, postgresError, noLog(url, "it has no table tollgate_log_schema"));
}

async function redisAt(address: RedisAddress, isNew: boolean): Promise<LogStorage> {
  const { redisLog } = await import("../log/redis.ts");
  const { client, close } = isNew ? await keepRedis(address) : await connectRedis(address);
  const storage = closedWith(redisLog(client).storage, close);
  if (isNew) return storage;
  const { meta } = keysIn(DEFAULT_PREFIX);
  const isThere = async () => (await connectionOf(client).send(meta, "EXISTS", meta)) === 1;
  return thereOrClosed(storage, isThere, redisError, noLog(address.label, `it has no key ${meta}`));
}

/** A storage that has a log; else it is closed again. */
async function thereOrClosed(
  storage: LogStorage,
  isThere: () => Promise<boolean>,
  errorOf: (error: unknown) => StoreError,
  missing: MisuseError,
): Promise<LogStorage> {
  const found = await isThere().catch(errorOf);
  if (found === true) return storage;
  await storage.close();
  throw found === false ? missing : found;
}

/** Where a client that was made for a storage is closed after it. */
function closedWith(storage: LogStorage, closeClient: () => Promise<void>): LogStorage {
  return {
    ...storage,
    async close() {
      await storage.close();
      await closeClient();
    },
  };
}

/** Clients are made for stores, too: what is wrong with one of a log is a fault of `--log`. */
async function namingOption<Opened>(open: () => Promise<Opened>): Promise<Opened> {
  try {
    return await open();
  } catch (error) {
    throw MisuseError.isInstance(error) ? withFaults(error, (fault) => ({ ...fault, path: "--log" })) : error;
  }
}

function noLog(url: string, reason: string): MisuseError {
  const expected =
    "a decision log that exists: run the command in the folder where `tollgate serve` runs, name its log as serve does, or ask the service with --url. An MCP gateway keeps a log only where its --log names one";
  return new MisuseError("invalid-option", {
    path: "--log",
    expected,
    got: `${formatGot(storeLabel(url))}, and ${reason}`,
  });
}
