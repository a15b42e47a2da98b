// A Postgres by its URL: the pool that the command line makes for it, and therefore closes. pg is an optional peer, so it is
// imported when a URL asks for it.

import { pauseAfter } from "../clock.ts";
import { MisuseError } from "../kernel/errors.ts";
import { StoreError } from "../store.ts";
import { databaseThrough } from "../stores/postgres/client.ts";
import { postgresError } from "../stores/postgres/errors.ts";
import { migrate, type PostgresClient } from "../stores/postgres.ts";

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
/** For the first statement of a command. */
const FIRST_MS = 5_000;
/** How long to wait before the tables are tried to be made again while the server is away: the first time, and at most, ms. */
const MIGRATE_EACH_MS = { first: 500, most: 2_000 };

/** A Postgres URL as it may be shown: without user and password; `null` when it is none. */
export function postgresLabel(text: string): string | null {
  const url = URL.parse(text);
  if (url === null || !/^postgres(ql)?:$/.test(url.protocol) || url.hostname === "") return null;
  return `${url.protocol}//${url.host}${url.pathname}`;
}

/**
 * A pool whose server has answered, and has Tollgate's tables if they are to be made.
 *
 * @throws StoreError when the server cannot be reached, or lets this user not in
 * @throws MisuseError when pg is not installed
 */
export async function connectPostgres(
  url: string,
  makesTables: boolean,
): Promise<{ readonly client: PostgresClient; close(): Promise<void> }> {
  const pool = await poolOf(url);
  try {
    await databaseThrough(pool, FIRST_MS).query("SELECT 1");
    if (makesTables) await migrate(pool);
  } catch (error) {
    await pool.end();
    const { code, message, transient } = postgresError(error);
    throw new StoreError(code, `${postgresLabel(url)}: ${message}`, { transient, cause: error });
  }
  return { client: pool, close: () => pool.end() };
}

/**
 * A pool whose server may not be there yet. `checkReady` throws until Tollgate's tables are there, and says why they are not.
 *
 * @throws MisuseError when pg is not installed
 */
export async function keepPostgres(
  url: string,
): Promise<{ readonly client: PostgresClient; checkReady(): void; close(): Promise<void> }> {
  const pool = await poolOf(url);
  let failure: StoreError | null = null;
  let isClosed = false;
  let again: ReturnType<typeof setTimeout> | undefined;
  let failures = 0;
  const prepare = async () => {
    try {
      await migrate(pool);
      failure = null;
    } catch (error) {
      const { code, message } = postgresError(error);
      // Whatever it is, it is tried again.
      failure = new StoreError(code, `Tollgate's tables are not ready: ${message}`, { transient: true, cause: error });
      if (!isClosed)
        again = setTimeout(prepare, pauseAfter(failures++, MIGRATE_EACH_MS.first, MIGRATE_EACH_MS.most)).unref();
    }
  };
  await prepare();
  return {
    client: pool,
    checkReady() {
      if (failure !== null) throw failure;
    },
    async close() {
      isClosed = true;
      clearTimeout(again);
      await pool.end();
    },
  };
}

async function poolOf(url: string) {
  const { Pool } = (await importPg()).default;
  const pool = new Pool({ connectionString: url, ...CONNECTIONS });
  // A connection that breaks while nobody uses it is told by the event alone.
  return pool.on("error", () => {});
}

async function importPg() {
  try {
    return await import("pg");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND")) throw error;
    const expected = "the package pg to be there for a Postgres URL (npm install pg)";
    throw new MisuseError("invalid-option", { path: "--store", expected, got: "no such package" });
  }
}
