// A Postgres table with a million live sessions, beside one with a thousand, and beside bare statements on such tables.

import { migrate, postgresStore } from "tollgate/stores/postgres";
import { BUCKET, endOfWindowMs, keysOf, LIMIT, liveSection } from "../live-sessions.ts";
import { bareTable, bareTransactions } from "../postgres-bare.ts";
import { startPostgres } from "../servers.ts";

const AT_ONCE = 100_000;

export const section = liveSection({
  name: "Postgres",
  needs: ["postgres"],
  note: `Each number of sessions has a schema of its own on one server. The bare statements have a table with the same rows. They
lock, read and write the same rows in the same transactions of 256 calls, two at a time, by prepared statements, and have no policy,
checks, expiry, verdicts or receipts.`,
  async start(stack) {
    const { control, pool } = stack.use(await startPostgres());
    const fill = async (table: string, sessions: number) => {
      const endMs = endOfWindowMs();
      for (let first = 0; first < sessions; first += AT_ONCE) {
        const keys = keysOf(first, Math.min(AT_ONCE, sessions - first));
        await control.query(`INSERT INTO ${table} SELECT unnest($1::text[]), $2, $3`, [keys, BUCKET, endMs]);
      }
      await control.query(`VACUUM ANALYZE ${table}`);
      await control.query("CHECKPOINT");
    };
    return {
      async store(sessions) {
        const schema = `sessions_${sessions}`;
        await control.query(`CREATE SCHEMA ${schema}`);
        await migrate(control, { schema });
        await fill(`${schema}.tollgate_buckets`, sessions);
        return {
          async open() {
            const own = pool();
            return { store: postgresStore(own, { schema }), close: () => own.end() };
          },
        };
      },
      async bare(sessions) {
        const table = `bare_${sessions}`;
        await control.query(bareTable(table));
        await fill(table, sessions);
        return async () => bareTransactions(LIMIT, table, pool());
      },
    };
  },
});
