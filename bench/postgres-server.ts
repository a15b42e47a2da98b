// A Postgres of a section's own, and pools on it.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { startPostgresIn } from "../test/postgres-process.ts";

export const CONNECTIONS = 10;

export interface PostgresServer {
  /** For what is done between measurements. No contender uses it. */
  readonly control: pg.Pool;
  /** A pool of `CONNECTIONS`. */
  pool(): pg.Pool;
  stop(): Promise<void>;
}

/** Starts one that loses nothing acknowledged, as users have it. */
export async function startPostgres(): Promise<PostgresServer> {
  const folder = mkdtempSync(join(tmpdir(), "tollgate-bench-"));
  const server = await startPostgresIn(folder, "fsync=on", "shared_buffers=256MB");
  const killIt = () => void server.kill();
  process.once("exit", killIt);
  const pool = () => new pg.Pool({ connectionString: server.url, max: CONNECTIONS });
  const control = pool();
  return {
    control,
    pool,
    async stop() {
      await control.end();
      process.off("exit", killIt);
      await server.kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
