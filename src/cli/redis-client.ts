// A Redis by its URL: the client that the command line makes for it, and therefore closes. ioredis is an optional
// peer, so it is imported when a URL asks for it.

import { MisuseError } from "../kernel/errors.ts";
import { StoreError } from "../store.ts";
import { redisError } from "../stores/redis/errors.ts";
import type { RedisClient } from "../stores/redis.ts";

/** How long a server may take until it has answered for the first time. */
const CONNECT_MS = 2_000;
/** How long any later answer may take. */
export const ANSWER_MS = 5_000;

/** What a Redis URL says. */
export interface RedisAddress {
  readonly host: string;
  readonly port: number;
  readonly username: string;
  readonly password: string;
  readonly db: number;
  readonly isTls: boolean;
  /** The URL without user and password. */
  readonly label: string;
}

/** Reads `redis://[user:password@]host[:port][/db]`, or `rediss://` for TLS; `null` when it is not that. */
export function parseRedisUrl(text: string): RedisAddress | null {
  const url = URL.parse(text);
  if (url === null || !/^rediss?:$/.test(url.protocol) || url.hostname === "") return null;
  const db = /^\/?(\d{0,4})$/.exec(url.pathname)?.[1];
  if (db === undefined || url.search !== "" || url.hash !== "") return null;
  try {
    return {
      host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
      port: url.port === "" ? 6379 : Number(url.port),
      username: decodeURIComponent(url.username),
      password: decodeURIComponent(url.password),
      db: Number(db),
      isTls: url.protocol === "rediss:",
      label: `${url.protocol}//${url.host}${url.pathname}`,
    };
  } catch {
    return null;
  }
}

/**
 * A client whose server has answered. It never connects again: a command whose connection is lost is to end.
 *
 * @throws StoreError when the server cannot be reached, or lets this user not in
 * @throws MisuseError when ioredis is not installed
 */
export async function connectRedis(
  address: RedisAddress,
): Promise<{ readonly client: RedisClient; close(): Promise<void> }> {
  const { host, port, username, password, db, isTls, label } = address;
  const { Redis } = await importIoredis();
  const client = new Redis({
    host,
    port,
    db,
    ...(username === "" ? {} : { username }),
    ...(password === "" ? {} : { password }),
    ...(isTls ? { tls: {} } : {}),
    lazyConnect: true,
    connectTimeout: CONNECT_MS,
    commandTimeout: ANSWER_MS,
    disconnectTimeout: 100,
    retryStrategy: null,
    maxRetriesPerRequest: 1,
    enableOfflineQueue: false,
    enableReadyCheck: false,
    autoResendUnfulfilledCommands: false,
  });
  // The client tells why by an event; its promises say only that the connection was closed.
  const reasons: Error[] = [];
  client.on("error", (error) => reasons.push(error));
  // connectTimeout is for the socket alone: this one is for a server that accepts and says nothing.
  const deadline = setTimeout(() => {
    reasons.push(new Error(`no answer within ${CONNECT_MS} ms`));
    client.disconnect();
  }, CONNECT_MS);
  try {
    await client.connect();
    await client.ping();
    // A database that is not there is told by the event alone.
    if (reasons[0] !== undefined) throw reasons[0];
  } catch (error) {
    client.disconnect();
    throw connectError(label, reasons[0] ?? error);
  } finally {
    clearTimeout(deadline);
  }
  return {
    client,
    async close() {
      await client.quit().catch(() => client.disconnect());
    },
  };
}

async function importIoredis() {
  try {
    return await import("ioredis");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND")) throw error;
    const expected = "the package ioredis to be there for a Redis URL (npm install ioredis)";
    throw new MisuseError("invalid-option", { path: "--store", expected, got: "no such package" });
  }
}

function connectError(label: string, error: unknown): StoreError {
  // A name with several addresses fails once for each of them.
  const first = error instanceof AggregateError ? error.errors[0] : error;
  const { code, message, transient } = redisError(first);
  return new StoreError(code, `${label}: ${message}`, { transient, cause: error });
}
