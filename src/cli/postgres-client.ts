// A Postgres by its URL: the pool that the command line makes for it, and therefore closes. pg is an optional peer, so it is
// imported when a URL asks for it.

import { MisuseError } from "../kernel/errors.ts";
import { StoreError } from "../store.ts";
import { postgresError } from "../stores/postgres/errors.ts";
import { migrate, type PostgresClient } from "../stores/postgres.ts";

const CONNECT_MS = 2_000;
/** How long until the tables are tried to be made again: while the server is away, and where it refuses that. */
const AWAY_MS = 500;
const REFUSED_MS = 5_000;

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
    await pool.query("SELECT 1");
    if (makesTables) await migrate(pool);
  } catch (error) {
    await pool.end();
    const { code, message, transient } = postgresError(error);
    throw new StoreError(code, `${postgresLabel(url)}: ${message}`, { transient, cause: error });
  }
  return { client: pool, close: () => pool.end() };
}

/** A pool whose server may not be there yet, and whether it has Tollgate's tables. */
export interface KeptPostgres {
  readonly client: PostgresClient;
  /**
   * Refuses to go on while there are no tables.
   *
   * @throws StoreError why there are none yet
   */
  checkReady(): void;
  /** The tables are gone, perhaps because it is another server now: they are made again. */
  lost(): void;
  close(): Promise<void>;
}

/**
 * A pool whose server may not be there yet: Tollgate's tables are made when it is.
 *
 * @throws MisuseError when pg is not installed
 */
export async function keepPostgres(url: string): Promise<KeptPostgres> {
  const pool = await poolOf(url);
  let state: "waiting" | "ready" | "closed" = "waiting";
  let problem = new StoreError("loading", "Postgres: Tollgate's tables are being made", { transient: true });
  let again: ReturnType<typeof setTimeout> | undefined;
  const prepare = async () => {
    try {
      await migrate(pool);
      if (state === "waiting") state = "ready";
    } catch (error) {
      const { code, message, transient } = postgresError(error);
      // Whatever it is, it is tried again.
      problem = new StoreError(code, `Tollgate's tables are not ready: ${message}`, { transient: true, cause: error });
      if (state === "waiting") again = setTimeout(prepare, transient ? AWAY_MS : REFUSED_MS).unref();
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
      clearTimeout(again);
      await pool.end();
    },
  };
}

async function poolOf(url: string) {
  const { Pool } = (await importPg()).default;
  const pool = new Pool({ connectionString: url, connectionTimeoutMillis: CONNECT_MS, max: 10 });
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
