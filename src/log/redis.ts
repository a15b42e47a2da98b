// A log in Redis, which all instances share: entries in a stream of bounded length, and counts in hashes.

import { systemClock } from "../clock.ts";
import { randomId } from "../ids.ts";
import { checked, readOptions, type SettledOptions, type TableOf, whole } from "../kernel/options.ts";
import { StoreError } from "../store/error.ts";
import type { RedisClient } from "../stores/redis/client.ts";
import { RedisLink } from "../stores/redis/link.ts";
import { runScript } from "../stores/redis/run-script.ts";
import { WRITE_OPTIONS, type WriteOptions } from "./options.ts";
import { logTo, type StoredLog } from "./recorder.ts";
import { DEFAULT_PREFIX, keysIn } from "./redis/keys.ts";
import { type AskLog, RedisReader } from "./redis/read.ts";
import { SCRIPTS } from "./redis/script.gen.ts";
import { removeOldRows, TIDY_MS } from "./redis/tidy.ts";
import { type ScriptArguments, VERSION, writesOf } from "./redis/write.ts";
import type { LogBatch, LogReader, ReadableStorage } from "./storage.ts";

export type { RedisClient } from "../stores/redis/client.ts";
export type { WriteOptions } from "./options.ts";
export type { StoredLog } from "./recorder.ts";
export type { LogReader, LogStorage, ReadableStorage } from "./storage.ts";

/** How a log in Redis is made. */
export interface RedisLogOptions extends WriteOptions {
  /** Most entries, 100 to 100,000,000: the oldest are removed. Default 100,000 (some 1.5 kB each). */
  readonly maxEntries?: number;
  /** How long entries and counts are kept, 60,000 to 2,678,400,000 ms. Default 604,800,000 (7 days). */
  readonly maxAgeMs?: number;
  /** What stands between the braces at the beginning of each key. Default `tollgate:log`. */
  readonly prefix?: string;
}

const OPTIONS = {
  ...WRITE_OPTIONS,
  maxEntries: whole(100, 100_000_000, 100_000),
  maxAgeMs: whole(60_000, 2_678_400_000, 604_800_000),
  prefix: checked<string, string>(
    "1 to 100 letters, digits and : . _ -",
    (value) => typeof value === "string" && /^[\w:.-]{1,100}$/.test(value),
    DEFAULT_PREFIX,
  ),
} satisfies TableOf<RedisLogOptions>;

type Settings = Pick<SettledOptions<typeof OPTIONS>, "maxEntries" | "maxAgeMs" | "prefix">;

/** How long an answer may take. */
const DEADLINE_MS = 5_000;

/**
 * Keeps a log in a Redis (7.0 or newer) or Valkey, in keys that begin with `{tollgate:log}`. All instances write to it, and each
 * reads what all have written. On a cluster it is on one server.
 *
 * @param client as of `redisStore`. The log does not close it
 * @throws MisuseError `invalid-option`, `unsupported-client`
 *
 * @example
 * ```ts
 * import { createClient } from "redis";
 * import { createLimiter } from "tollgate";
 * import { redisLog } from "tollgate/log/redis";
 * import { redisStore } from "tollgate/stores/redis";
 *
 * const client = await createClient({ url: process.env.REDIS_URL ?? "redis://127.0.0.1:6379" }).connect();
 * const limiter = createLimiter({
 *   policy: { version: 1, limits: [{ name: "per-session", per: ["session"], quota: 1 }] },
 *   store: redisStore(client),
 *   log: redisLog(client),
 * });
 * const { id } = await limiter.consume({ tool: "search", session: crypto.randomUUID() });
 * console.log(id?.length); // 26
 * await limiter.close();
 * await client.close();
 * ```
 */
export function redisLog(client: RedisClient, options: RedisLogOptions = {}): StoredLog<ReadableStorage> {
  const settings = readOptions(OPTIONS, options);
  return logTo(redisStorage(client, settings), settings);
}

export function redisStorage(client: RedisClient, keep: Settings): ReadableStorage {
  const link = new RedisLink(client, DEADLINE_MS, undefined);
  const keys = keysIn(keep.prefix);
  const run = (script: keyof typeof SCRIPTS, args: ScriptArguments, isAwaited: boolean) => {
    link.checkOpen();
    const { sha, text } = SCRIPTS[script];
    const way = link.within(DEADLINE_MS, isAwaited);
    return runScript({ sha, text: async () => text }, way, args, async () => {}).catch(link.fail);
  };
  const ask: AskLog = async (question, about, ...args) => {
    return (await run("read", [about.length, ...about, question, ...args], true)) as string[];
  };
  const send: RedisLink["unbound"]["send"] = (...command) => link.within(DEADLINE_MS, false).send(...command);
  let known: string | null = null;
  const salt = async () => {
    known ??= await saltOf(ask, send, keys.meta).catch(link.fail);
    return known;
  };
  let tidiedMs = 0;
  const write = async (batch: LogBatch) => {
    const by = { keys, keep, salt: await salt(), nowMs: systemClock.nowMs() };
    for (const args of writesOf(batch, by)) await run("write", args, false);
    if (by.nowMs - tidiedMs < TIDY_MS) return;
    tidiedMs = by.nowMs;
    await removeOldRows(ask, send, keys, by.nowMs - keep.maxAgeMs).catch(link.fail);
  };
  return {
    name: "redis",
    isShared: true,
    salt,
    write,
    read: readerOf(new RedisReader(ask, keys)),
    close: async () => {
      link.end();
      link.close();
    },
  };
}

/**
 * The salt of the log. It is made where there is none.
 *
 * @throws StoreError `schema-version`; what the client throws
 */
async function saltOf(ask: AskLog, send: RedisLink["unbound"]["send"], meta: string): Promise<string> {
  const look = () => ask("fields", [meta], "salt", "version");
  const found = await look();
  if (found[0] === "") {
    await send(meta, "HSETNX", meta, "salt", randomId());
    await send(meta, "HSETNX", meta, "version", VERSION);
  }
  const [salt = "", version] = found[0] === "" ? await look() : found;
  if (version === String(VERSION)) return salt;
  const message = `Redis: the keys of the log have version ${version}; this version of Tollgate reads version ${VERSION}`;
  throw new StoreError("schema-version", message, { transient: false });
}

/** Users of a log may take its questions apart. */
function readerOf(reader: RedisReader): LogReader {
  return {
    entries: (query) => reader.entries(query),
    entry: (id, tenants) => reader.entry(id, tenants),
    top: (query) => reader.top(query),
    near: (query) => reader.near(query),
    sessions: (query) => reader.sessions(query),
    series: (query) => reader.series(query),
    policy: (version) => reader.policy(version),
  };
}
