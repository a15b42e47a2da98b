// Postgres beside rate-limiter-flexible: decisions per second over three limits through pools of the same size on the same
// server, which it starts. It holds no figure: each is measured in the run that prints it.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import pg from "pg";
import { RateLimiterPostgres } from "rate-limiter-flexible";
import { migrate, postgresStore } from "tollgate/stores/postgres";
import { startPostgresIn } from "../test/postgres-process.ts";
import { type Call, type Limit, scheduleOf, THREE, tollgate, WINDOW_SECONDS } from "./contenders.ts";
import { aboutLines, type Contender, circumstances, type Opened, race, speedTables } from "./harness.ts";

const FULL = { sessions: 1_000, decisions: 20_000, rounds: 5 };
const SHORT = { sessions: 100, decisions: 1_000, rounds: 1 };
const IN_FLIGHT = 512;
const CONNECTIONS = 10;
const GROUP = "Postgres, three limits";
const GOAL_TIMES = 5;

const { values } = parseArgs({ options: { short: { type: "boolean" }, write: { type: "boolean" } } });
const { sessions, decisions, rounds } = values.short ? SHORT : FULL;
const folder = mkdtempSync(join(tmpdir(), "tollgate-bench-"));
// On connections side by side nobody says which of two calls is the first: all of them pass.
const limits: readonly Limit[] = THREE.map((limit) => ({ ...limit, quota: 1_000_000 }));
const calls = scheduleOf(sessions, decisions);

/** Asks its three limits in turn, as its documentation has it; 512 calls are in flight. */
async function flexibleOn(pool: pg.Pool, calls: readonly Call[]): Promise<Opened> {
  const limiters = await Promise.all(
    limits.map(async ({ name, quota }) => {
      const options = {
        storeClient: pool,
        tableName: name.replaceAll("-", "_"),
        points: quota,
        duration: WINDOW_SECONDS,
      };
      return new Promise<RateLimiterPostgres>((resolve, reject) => {
        const limiter = new RateLimiterPostgres(options, (error?: Error) => (error ? reject(error) : resolve(limiter)));
      });
    }),
  );
  let [next, admitted] = [0, 0];
  const lane = async () => {
    for (let call = calls[next++]; call !== undefined; call = calls[next++]) {
      for (const [i, limiter] of limiters.entries()) await limiter.consume((limits[i] as Limit).key(call));
      admitted++;
    }
  };
  return {
    run: () => Promise.all(Array.from({ length: IN_FLIGHT }, lane)).then(() => admitted),
    close: () => pool.end(),
  };
}

const server = await startPostgresIn(folder, "fsync=on", "shared_buffers=256MB");
try {
  const poolOf = () => new pg.Pool({ connectionString: server.url, max: CONNECTIONS });
  const control = poolOf();
  const { rows } = await control.query("SHOW server_version");
  const about = circumstances(
    "node --conditions=tollgate-source bench/postgres.bench.ts",
    `Postgres ${rows[0]?.server_version}`,
    ["tollgate", "rate-limiter-flexible", "pg"],
  );
  await migrate(control);
  const emptied = async () => {
    await control.query("TRUNCATE tollgate_buckets");
    for (const { name } of limits) await control.query(`DROP TABLE IF EXISTS ${name.replaceAll("-", "_")}`);
    return poolOf();
  };
  const contenders: Contender[] = [
    {
      group: GROUP,
      name: "Tollgate",
      expected: decisions,
      async open() {
        const pool = await emptied();
        const opened = tollgate(calls, limits, postgresStore(pool), IN_FLIGHT);
        return { run: opened.run, close: () => opened.close().then(() => pool.end()) };
      },
    },
    {
      group: GROUP,
      name: "rate-limiter-flexible, in turn",
      expected: decisions,
      open: async () => flexibleOn(await emptied(), calls),
    },
  ];
  const speeds = await race(contenders, decisions, rounds);
  await control.end();
  const times = 1 / (speeds[1]?.ratio ?? Number.NaN);
  const page = [
    "# Postgres, side by side",
    "",
    "Written by the command below from one run; nothing here is edited by hand.",
    "",
    aboutLines(
      about,
      `${decisions} calls of ${sessions} sessions in one random order, ${rounds} rounds after a warm-up`,
    ),
    "",
    `Tollgate is ${times.toFixed(1)} times as fast as rate-limiter-flexible; wanted: at least ${GOAL_TIMES}.`,
    "",
    ...speedTables(speeds),
    "",
    `What they mean. One Postgres with fsync on this machine's loopback, pools of ${CONNECTIONS} connections, ${IN_FLIGHT} calls in`,
    "flight, of which all pass. Tollgate decides the three limits of a call in one transaction, together with those of other",
    "calls; rate-limiter-flexible asks three times, each in a statement of its own. Client and server share the machine:",
    "compare the ratio, and carry no decisions per second to another one.",
    "",
  ].join("\n");
  console.log(page);
  if (values.write) writeFileSync(new URL("RESULTS-postgres.md", import.meta.url), page);
} finally {
  await server.kill();
  rmSync(folder, { recursive: true, force: true });
}
