// The contenders on Postgres, through pools of the same size on the same server.

import type pg from "pg";
import { RateLimiterPostgres } from "rate-limiter-flexible";
import { postgresStore } from "tollgate/stores/postgres";
import { type Limit, PEER, type Rule, WINDOW_SECONDS } from "./calls.ts";
import { askingAll } from "./memory-contenders.ts";
import type { Contender, Opened } from "./race.ts";
import type { PostgresServer } from "./servers.ts";
import { TOLLGATE_WAYS, tollgate } from "./tollgate.ts";

/** What all contenders of a group have in common. */
interface Field {
  readonly server: PostgresServer;
  readonly limits: readonly Limit[];
  readonly inFlight: number;
}

/** Tollgate, and the peer: with one limit, or with several in turn and at once. */
export function postgresContenders(group: string, field: Field): Contender[] {
  const { server, limits } = field;
  const contender = (
    about: Pick<Contender, "name" | "rule">,
    start: (pool: pg.Pool) => Promise<Opened>,
  ): Contender => ({
    ...about,
    ...field,
    group,
    async open() {
      await server.control.query("TRUNCATE tollgate_buckets");
      for (const { name } of limits) await server.control.query(`DROP TABLE IF EXISTS ${tableOf(name)}`);
      const pool = server.pool();
      const opened = await start(pool);
      return {
        ...opened,
        async close() {
          await opened.close?.();
          await pool.end();
        },
      };
    },
  });
  const peer = (name: string, rule: Rule) => contender({ name, rule }, (pool) => flexibleOn(pool, limits, rule));
  const inTurn = "one after the other";
  return [
    ...TOLLGATE_WAYS.map(({ name, settings }) =>
      contender({ name, rule: "all or none" }, async (pool) => tollgate(limits, postgresStore(pool), settings)),
    ),
    ...(limits.length === 1
      ? [peer(PEER, inTurn)]
      : [peer(`${PEER}, in turn`, inTurn), peer(`${PEER}, Promise.all`, "all at once")]),
  ];
}

const tableOf = (limit: string) => limit.replaceAll("-", "_");

async function flexibleOn(pool: pg.Pool, limits: readonly Limit[], rule: Rule) {
  const parts = await Promise.all(
    limits.map(async ({ name, quota, key }) => {
      const options = { storeClient: pool, tableName: tableOf(name), points: quota, duration: WINDOW_SECONDS };
      const { promise, resolve, reject } = Promise.withResolvers<RateLimiterPostgres>();
      const limiter = new RateLimiterPostgres(options, (error) => (error ? reject(error) : resolve(limiter)));
      return { limiter: await promise, key };
    }),
  );
  return { decide: askingAll(parts, rule), allows: () => true };
}
