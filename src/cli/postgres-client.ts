// A Postgres by its URL: the pool that the command line makes for it, and therefore closes. pg is an optional peer, so it is
// imported when a URL asks for it.

import type { PoolClient } from "pg";
import { inBackground, pauseAfter, type Timer } from "../clock.ts";
import { within } from "../deadlines.ts";
import { StoreError } from "../store/error.ts";
import { databaseThrough } from "../stores/postgres/client.ts";
import { postgresError } from "../stores/postgres/errors.ts";
import { migrate, type PostgresClient } from "../stores/postgres.ts";
import { importPeer, labelledError, type OpenClient } from "./store-client.ts";

/** What the command line's own connections are held to. The deadlines of statements are the store's. */
const CONNECTIONS = {
  max: 10,
  connectionTimeoutMillis: 2_000,
  idleTimeoutMillis: 10_000,
  keepAlive: true,
  keepAliveInitialDelayMillis: 10_000,
  // A name that has moved, while the server that it named before still answers, is followed within this time.
  maxLifetimeSeconds: 60,
};
/** How long connections may take to end. */
const END_MS = 1_000;
/** For the first statement of a command. */
const FIRST_MS = 5_000;
/** The pause before the tables are tried to be made again: the first time, and at most. */
const AWAY_MS = { first: 500, most: 2_000 };
const REFUSED_MS = { first: 5_000, most: 5_000 };

/** A Postgres URL as it may be shown: without user and password; `null` when it is none. */
export function postgresLabel(text: string): string | null {
  const url = URL.parse(text);
  if (url === null || !/^postgres(ql)?:$/.test(url.protocol) || url.hostname === "") return null;
  return `${url.protocol}//${url.host}${url.pathname}`;
}

export function isPostgresUrl(text: string): boolean {
  return postgresLabel(text) !== null;
}

/**
 * A pool whose server has answered, and has Tollgate's tables if they are to be made.
 *
 * @throws StoreError when the server cannot be reached, or lets this user not in
 * @throws MisuseError when pg is not installed
 */
export async function connectPostgres(url: string, makesTables: boolean): Promise<OpenClient<PostgresClient>> {
  const { pool, close } = await poolOf(url);
  try {
    await databaseThrough(pool, FIRST_MS).query("SELECT 1");
    if (makesTables) await migrate(pool);
  } catch (error) {
    await close();
    throw labelledError(String(postgresLabel(url)), postgresError(error), error);
  }
  return { client: pool, close };
}

/** A pool whose server may not be there yet, and whether it has Tollgate's tables. */
export interface KeptPostgres extends OpenClient<PostgresClient> {
  /** Throws a StoreError with the reason while there are no tables. */
  checkReady(): void;
  /** The tables are gone, perhaps because it is another server now: they are made again. */
  lost(): void;
}

/**
 * A pool whose server may not be there yet: Tollgate's tables are made when it is.
 *
 * @throws MisuseError when pg is not installed
 */
export async function keepPostgres(url: string): Promise<KeptPostgres> {
  const { pool, close } = await poolOf(url);
  let state: "waiting" | "ready" | "closed" = "waiting";
  let problem = new StoreError("loading", "Postgres: Tollgate's tables are being made", { transient: true });
  let again: Timer | undefined;
  let failures = 0;
  const prepare = async () => {
    try {
      await migrate(pool);
      if (state === "waiting") {
        state = "ready";
        failures = 0;
      }
    } catch (error) {
      const { code, message, transient } = postgresError(error);
      // Whatever it is, it is tried again.
      problem = new StoreError(code, `Tollgate's tables are not ready: ${message}`, { transient: true, cause: error });
      const { first, most } = transient ? AWAY_MS : REFUSED_MS;
      if (state === "waiting") again = inBackground(pauseAfter(failures++, first, most), prepare);
    }
  };
  await prepare();
  return {
    client: pool,
    checkReady() {
      if (state === "waiting") throw problem;
    },
    lost() {
      if (state !== "ready") return;
      state = "waiting";
      void prepare();
    },
    async close() {
      state = "closed";
      again?.cancel();
      await close();
    },
  };
}

/**
 * A pool whose server may not be there yet.
 *
 * @throws MisuseError when pg is not installed
 */
export async function openPostgres(url: string): Promise<OpenClient<PostgresClient>> {
  const { pool, close } = await poolOf(url);
  return { client: pool, close };
}

async function poolOf(url: string) {
  const { Pool } = (await importPeer(() => import("pg"), "pg", "Postgres")).default;
  const pool = new Pool({ connectionString: url, ...CONNECTIONS });
  const open = new Set<PoolClient>();
  pool.on("connect", (client) => open.add(client));
  pool.on("remove", (client) => open.delete(client));
  // A connection that breaks while it is idle is reported only by the event.
  pool.on("error", () => {});
  const close = async () => {
    const closed = new Promise<void>((resolve) => {
      const look = () => open.size === 0 && resolve();
      pool.on("remove", look);
      look();
    });
    await within(END_MS, Promise.all([pool.end(), closed])).catch(() => {});
    // Connections that a silent server leaves open would keep the process. The types of pg do not name the stream.
    for (const client of open as Set<{ connection?: { stream?: { destroy(): void } } }>) {
      client.connection?.stream?.destroy();
    }
  };
  return { pool, close };
}
