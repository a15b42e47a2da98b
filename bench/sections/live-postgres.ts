// A Postgres table with a million live sessions, against one with a thousand.

import { migrate, postgresStore } from "tollgate/stores/postgres";
import { sessionName } from "../calls.ts";
import { progress } from "../harness.ts";
import { endOfWindowMs, KEY, MEANING, measureLive, SPENT_TEXT } from "../live-sessions.ts";
import { type PostgresServer, startPostgres } from "../postgres-server.ts";
import type { Section } from "../section.ts";

const AT_ONCE = 100_000;

export const section: Section = {
  title: "Postgres, a million live sessions",
  needs: "postgres",
  meaning: `${MEANING} Each number of sessions has a schema of its own on one server.`,

  async measure(isShort) {
    const server = await startPostgres();
    try {
      return await measureLive("Postgres", isShort, async (sessions) => {
        const schema = `sessions_${sessions}`;
        await fill(server, schema, sessions);
        return {
          async open() {
            const pool = server.pool();
            return { store: postgresStore(pool, { schema }), close: () => pool.end() };
          },
        };
      });
    } finally {
      await server.stop();
    }
  },
};

async function fill({ control }: PostgresServer, schema: string, sessions: number): Promise<void> {
  progress(`filling Postgres with ${sessions} sessions`);
  await control.query(`CREATE SCHEMA ${schema}`);
  await migrate(control, { schema });
  const endMs = endOfWindowMs();
  for (let from = 0; from < sessions; from += AT_ONCE) {
    const keys = Array.from({ length: Math.min(AT_ONCE, sessions - from) }, (_, i) => {
      return `${KEY.before}${sessionName(from + i)}${KEY.after}`;
    });
    await control.query(`INSERT INTO ${schema}.tollgate_buckets SELECT unnest($1::text[]), $2, $3`, [
      keys,
      SPENT_TEXT,
      endMs,
    ]);
  }
  await control.query(`VACUUM ANALYZE ${schema}.tollgate_buckets`);
  await control.query("CHECKPOINT");
}
