// A Postgres table with a million live sessions, beside one with a thousand.

import { migrate, postgresStore } from "tollgate/stores/postgres";
import { BUCKET, endOfWindowMs, keysOf, liveSection } from "../live-sessions.ts";
import { startPostgres } from "../servers.ts";

const AT_ONCE = 100_000;

export const section = liveSection({
  name: "Postgres",
  needs: "postgres",
  note: "Each number of sessions has a schema of its own on one server.",
  async start(stack) {
    const { control, pool } = stack.use(await startPostgres());
    return async (sessions) => {
      const schema = `sessions_${sessions}`;
      const table = `${schema}.tollgate_buckets`;
      await control.query(`CREATE SCHEMA ${schema}`);
      await migrate(control, { schema });
      const endMs = endOfWindowMs();
      for (let first = 0; first < sessions; first += AT_ONCE) {
        const keys = keysOf(first, Math.min(AT_ONCE, sessions - first));
        await control.query(`INSERT INTO ${table} SELECT unnest($1::text[]), $2, $3`, [keys, BUCKET, endMs]);
      }
      await control.query(`VACUUM ANALYZE ${table}`);
      await control.query("CHECKPOINT");
      return {
        async open() {
          const own = pool();
          return { store: postgresStore(own, { schema }), close: () => own.end() };
        },
      };
    };
  },
});
