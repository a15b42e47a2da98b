// Stores by URL: the only place that knows which stores there are.

import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { formatGot, invalidOption, MisuseError } from "../kernel/errors.ts";
import { StoreError } from "../store/error.ts";
import type { Store } from "../store/store.ts";
import { forward } from "../layers/layer.ts";
import { memoryStore } from "../stores/memory.ts";
import { postgresStore } from "../stores/postgres.ts";
import { redisStore } from "../stores/redis.ts";
import { sqliteStore } from "../stores/sqlite.ts";
import { gatewayStorePath } from "./state-folder.ts";
import { connectPostgres, isPostgresUrl, type KeptPostgres, keepPostgres, postgresLabel } from "./postgres-client.ts";
import { ANSWER_MS, connectRedis, keepRedis, parseRedisUrl } from "./redis-client.ts";

export const SHARED_URLS =
  "sqlite:PATH, postgres://[USER:PASSWORD@]HOST[:PORT]/DATABASE, redis://[USER:PASSWORD@]HOST[:PORT][/DB], " +
  "redis+cluster://HOST:PORT,…, redis+sentinel://HOST:PORT,…/NAME, or rediss for TLS";
export const ALL_URLS = `memory:, ${SHARED_URLS}`;

/**
 * For each statement of a process that outlives outages: its calls are decided long before, and what is longer only keeps it
 * from seeing that a connection is dead.
 */
const LASTING_MS = 1_000;

/**
 * What a command needs: `any` store, one that processes can have `shared`, or an `existing` one, whose state a process
 * else wrote. A SQLite file, and Postgres tables, that are not there are made for the first two.
 */
export type StoreNeed = "any" | "shared" | "existing";

/** Which URLs there are, for help texts. */
export function storeUrls(need: StoreNeed): string {
  return need === "any" ? ALL_URLS : SHARED_URLS;
}

/** A store, and what was opened for it. */
export interface OpenStore {
  readonly store: Store;
  /** Closes the store and then its client. A limiter that uses it is closed before. */
  close(): Promise<void>;
}

/**
 * The store that a URL names.
 *
 * @throws MisuseError `invalid-option`
 * @throws StoreError when a server cannot be reached
 */
export async function openStore(url: string, need: StoreNeed = "any"): Promise<OpenStore> {
  if (url === "memory:" && need === "any") return openStoreOf(memoryStore());
  const path = sqlitePath(url);
  if (path !== undefined) {
    if (need === "existing" && !existsSync(path)) throw noFile(path, url);
    return openStoreOf(sqliteStore(path));
  }
  if (isPostgresUrl(url)) {
    const { client, close } = await connectPostgres(url, need !== "existing");
    return openStoreOf(postgresStore(client, { deadlineMs: ANSWER_MS }), close);
  }
  const address = parseRedisUrl(url);
  if (address === null) throw invalidOption("--store", storeUrls(need), withoutSecrets(url));
  const { client, close } = await connectRedis(address);
  return openStoreOf(redisStore(client, { deadlineMs: ANSWER_MS }), close);
}

/**
 * The store that a URL names, for a process that outlives outages: a server that is not there yet is waited for, and one
 * that goes away is connected to again.
 *
 * @throws MisuseError `invalid-option`
 * @throws StoreError when a file cannot be opened
 */
export async function openLastingStore(url: string): Promise<OpenStore> {
  if (isPostgresUrl(url)) {
    const kept = await keepPostgres(url);
    return openStoreOf(onceReady(postgresStore(kept.client, { deadlineMs: LASTING_MS }), kept), kept.close);
  }
  const address = parseRedisUrl(url);
  if (address === null) return openStore(url, "any");
  const { client, close } = await keepRedis(address);
  return openStoreOf(redisStore(client, { deadlineMs: ANSWER_MS }), close);
}

/** Until its tables are there, a store fails with the reason for that. */
function onceReady(store: Store, { checkReady, lost }: KeptPostgres): Store {
  const whenReady = async <Answer>(ask: () => Promise<Answer>): Promise<Answer> => {
    checkReady();
    try {
      return await ask();
    } catch (error) {
      if (StoreError.isInstance(error) && error.code === "schema-version") lost();
      throw error;
    }
  };
  return forward(store, whenReady);
}

/** Opens a store, sends it one empty request, and closes it, so that a store that fails is found first. */
export async function probeStore(url: string, need: StoreNeed): Promise<void> {
  const { store, close } = await openStore(url, need);
  try {
    await askNothing(store);
  } finally {
    await close();
  }
}

/** Sends a request that names no bucket and changes nothing. Throws a StoreError where that fails. */
export async function askNothing(store: Store): Promise<void> {
  const [reply] = await store.apply([{ mode: "peek", steps: [] }]);
  if (StoreError.isInstance(reply)) throw reply;
}

/** A URL as it may be shown: without user and password. */
export function storeLabel(url: string): string {
  return parseRedisUrl(url)?.label ?? postgresLabel(url) ?? (sqlitePath(url) === undefined ? withoutSecrets(url) : url);
}

function sqlitePath(url: string): string | undefined {
  return /^sqlite:(.+)$/s.exec(url)?.[1];
}

function openStoreOf(store: Store, closeClient?: () => Promise<void>): OpenStore {
  return {
    store,
    async close() {
      await store.close();
      await closeClient?.();
    },
  };
}

/** A new file would only show that nothing was used. */
function noFile(path: string, url: string): MisuseError {
  const ofGateway = gatewayStorePath();
  const hint = existsSync(ofGateway) ? `; an MCP gateway's counts are in sqlite:${ofGateway}` : "";
  const expected = `a SQLite file that exists: run the command in the folder where \`tollgate serve\` runs, or name its file as sqlite:PATH${hint}`;
  const got = `${formatGot(url)}, and there is no ${resolve(path)}`;
  return new MisuseError("invalid-option", { path: "--store", expected, got });
}

/** A text that is not a URL may still contain a password. */
export function withoutSecrets(text: string): string {
  return text.replace(/:.*@/s, ":…@").replace(/\?.*$/s, "?…");
}
