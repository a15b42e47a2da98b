// A real Postgres for tests: in a temporary folder, ended with the test file.

import { after } from "node:test";
import pg from "pg";
import { type PostgresProcess, startPostgresIn, startStandbyIn } from "./postgres-process.ts";
import { temporaryFolder } from "./temporary.ts";

const endings: (() => unknown)[] = [];
after(async () => {
  for (const end of endings.reverse()) await end();
});

/** A Postgres of a test's own. */
export interface PostgresServer extends PostgresProcess {
  /** A pool of its own, closed with the test file. */
  pool(options?: pg.PoolConfig): pg.Pool;
}

export async function startPostgres(...settings: string[]): Promise<PostgresServer> {
  return ended(await startPostgresIn(temporaryFolder(), ...settings));
}

/** A standby of another one, by streaming replication. */
export async function startStandby(primary: PostgresServer, ...settings: string[]): Promise<PostgresServer> {
  return ended(await startStandbyIn(temporaryFolder(), primary.url, ...settings));
}

function ended(server: PostgresProcess): PostgresServer {
  endings.push(server.kill);
  return {
    ...server,
    pool(more = {}) {
      const pool = new pg.Pool({ connectionString: server.url, ...more });
      pool.on("error", () => {});
      endings.push(() => pool.end());
      return pool;
    },
  };
}
