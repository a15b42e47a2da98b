// Postgres, three limits: beside rate-limiter-flexible's three, through pools of the same size on the same server.

import type pg from "pg";
import { RateLimiterPostgres } from "rate-limiter-flexible";
import { migrate, postgresStore } from "tollgate/stores/postgres";
import { askAll, type Call, PEER, type Rule, roomy, scheduleOf, THREE, WINDOW_SECONDS } from "../calls.ts";
import { number } from "../harness.ts";
import { flexibly } from "../memory-contenders.ts";
import { CONNECTIONS, startPostgres } from "../postgres-server.ts";
import { type Contender, type Opened, race } from "../race.ts";
import { bestPeer, type Section, speedBars, speedTables } from "../section.ts";
import { type Settings, tollgate } from "../tollgate.ts";

// A quarter of the other sections' work, at the same number of calls a session: the peer takes a round trip a limit.
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
in flight, of which all pass: on parallel connections it is not defined which of two calls is the first. Tollgate decides
the three limits of a call in one transaction, together with those of other calls; ${PEER} asks three times, each in a
statement of its own.`,

  async measure(isShort) {
    const { sessions, calls, rounds } = isShort ? SHORT : FULL;
    const server = await startPostgres();
    try {
      await migrate(server.control);
      const emptied = async () => {
        await server.control.query("TRUNCATE tollgate_buckets");
        for (const { name } of LIMITS) await server.control.query(`DROP TABLE IF EXISTS ${tableOf(name)}`);
        return server.pool();
      };
      const own = (name: string, settings: Settings): Contender =>
        contender(name, "tollgate", async (some) => {
          const pool = await emptied();
          const { run, close } = tollgate(some, LIMITS, postgresStore(pool), IN_FLIGHT, settings);
          return { run, close: () => close().finally(() => pool.end()) };
        });
      const peer = (name: string, rule: Rule) =>
        contender(`${PEER}, ${name}`, "peer", async (some) => flexibleOn(await emptied(), some, rule));
      const contenders = [
        own("Tollgate", {}),
        own("Tollgate, failover: false", { failover: false }),
        peer("in turn", "one after the other"),
        peer("Promise.all", "all at once"),
      ];
      const speeds = await race(contenders, scheduleOf(sessions, calls), rounds);
      const best = bestPeer(speeds, GROUP);
      return {
        work: `${number(calls)} calls of ${number(sessions)} sessions in one random order, ${IN_FLIGHT} in flight`,
        goals: [
          {
            what: `${GROUP}: times as fast as ${best.name}`,
            bound: "at least",
            wanted: TIMES_THE_PEER,
            measured: 1 / best.ratio,
          },
        ],
        tables: speedTables(speeds),
        panel: { title: "decisions/s, longer is better", bars: speedBars(speeds) },
        rounds: { speeds },
      };
    } finally {
      await server.stop();
    }
  },
};

const tableOf = (limit: string) => limit.replaceAll("-", "_");

const contender = (name: string, kind: Contender["kind"], open: Contender["open"]): Contender => {
  return { group: GROUP, name, kind, mustAdmit: (calls) => calls.length, open };
};

async function flexibleOn(pool: pg.Pool, calls: readonly Call[], rule: Rule): Promise<Opened> {
  const parts = await Promise.all(
    LIMITS.map(async ({ name, quota, key }) => {
      const options = { storeClient: pool, tableName: tableOf(name), points: quota, duration: WINDOW_SECONDS };
      const limiter = await new Promise<RateLimiterPostgres>((resolve, reject) => {
        const made = new RateLimiterPostgres(options, (error?: Error) => (error ? reject(error) : resolve(made)));
      });
      return { limiter, key };
    }),
  );
  const decider = { decide: flexibly(parts, rule), allows: () => true };
  return { run: () => askAll(calls, IN_FLIGHT, decider), close: () => pool.end() };
}
