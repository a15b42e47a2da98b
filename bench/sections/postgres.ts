// Postgres, three limits: beside rate-limiter-flexible's three, through pools of the same size on the same server.

import type pg from "pg";
import { RateLimiterPostgres } from "rate-limiter-flexible";
import { migrate, postgresStore } from "tollgate/stores/postgres";
import { PEER, type Rule, roomy, scheduleOf, THREE, WINDOW_SECONDS } from "../calls.ts";
import { number } from "../harness.ts";
import { askingAll } from "../memory-contenders.ts";
import { type Contender, type Opened, race } from "../race.ts";
import { atLeast, bestPeer, headline, type Section, speedTables } from "../section.ts";
import { CONNECTIONS, startPostgres } from "../servers.ts";
import { TOLLGATE_WAYS, tollgate } from "../tollgate.ts";

// A quarter of the other sections' work, with as many calls for each session: the peer needs a round trip for each limit.
const FULL = { sessions: 2_500, calls: 20_000, rounds: 3 };
const SHORT = { sessions: 100, calls: 1_000, rounds: 1 };
const IN_FLIGHT = 512;
const GROUP = "Postgres, three limits";
const TIMES_THE_PEER = 5;
const LIMITS = roomy(THREE);

export const section: Section = {
  title: GROUP,
  needs: "postgres",
  meaning: `One Postgres with fsync on this machine's loopback, pools of ${CONNECTIONS} connections, ${IN_FLIGHT} calls
in flight. All pass, because on parallel connections it is undefined which of two calls is the first. Tollgate decides the
three limits of a call in one transaction, together with those of other calls. ${PEER} asks three times, each in its own
statement.`,

  async measure(isShort) {
    const { sessions, calls, rounds } = isShort ? SHORT : FULL;
    await using server = await startPostgres();
    await migrate(server.control);
    const contender = (
      about: Pick<Contender, "name" | "rule">,
      start: (pool: pg.Pool) => Promise<Opened>,
    ): Contender => ({
      ...about,
      group: GROUP,
      limits: LIMITS,
      inFlight: IN_FLIGHT,
      async open() {
        await server.control.query("TRUNCATE tollgate_buckets");
        for (const { name } of LIMITS) await server.control.query(`DROP TABLE IF EXISTS ${tableOf(name)}`);
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
    const peer = (how: string, rule: Rule) =>
      contender({ name: `${PEER}, ${how}`, rule }, (pool) => flexibleOn(pool, rule));
    const contenders = [
      ...TOLLGATE_WAYS.map(({ name, settings }) =>
        contender({ name, rule: "all or none" }, async (pool) => tollgate(LIMITS, postgresStore(pool), settings)),
      ),
      peer("in turn", "one after the other"),
      peer("Promise.all", "all at once"),
    ];
    const speeds = await race(contenders, scheduleOf(sessions, calls), rounds);
    const best = bestPeer(speeds, GROUP);
    return {
      tables: speedTables(speeds),
      work: `${number(calls)} calls of ${number(sessions)} sessions in one random order, ${IN_FLIGHT} in flight`,
      goals: [atLeast(`${GROUP}: times as fast as ${best.name}`, TIMES_THE_PEER, 1 / best.ratio)],
      headlines: [headline(speeds, GROUP, best)],
    };
  },
};

const tableOf = (limit: string) => limit.replaceAll("-", "_");

async function flexibleOn(pool: pg.Pool, rule: Rule) {
  const parts = await Promise.all(
    LIMITS.map(async ({ name, quota, key }) => {
      const options = { storeClient: pool, tableName: tableOf(name), points: quota, duration: WINDOW_SECONDS };
      const { promise, resolve, reject } = Promise.withResolvers<RateLimiterPostgres>();
      const limiter = new RateLimiterPostgres(options, (error) => (error ? reject(error) : resolve(limiter)));
      return { limiter: await promise, key };
    }),
  );
  return { decide: askingAll(parts, rule), allows: () => true };
}
