// Stores on real servers, and the document store, give replies equal to the kernel's for equal schedules, as the stores
// of stores-agree.test.ts do. TOLLGATE_SCHEDULES says how many schedules each plays.

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import fc from "fast-check";
import type { Store } from "tollgate/store";
import { type DocumentPort, documentStore } from "tollgate/stores/document";
import { migrate, postgresStore } from "tollgate/stores/postgres";
import { redisStore } from "tollgate/stores/redis";
import { type Clock, fakeClock } from "tollgate/testing";
import { clientsOfCluster } from "../cluster-clients.ts";
import { startPostgres } from "../postgres.ts";
import { play, type Tallies } from "../properties/play.ts";
import { createTallies, renamed, rowSchedule, schedule } from "../properties/schedule.ts";
import { cases } from "../length.ts";
import { startCluster } from "../redis-cluster.ts";
import { inPartition } from "../stores/store-suite.ts";

const SEED = Number(process.env.TOLLGATE_SEED ?? 20_261_121);

/** A store whose time is given. */
interface Candidate {
  readonly schedules: number;
  /** Whether each schedule is in a partition of its own. */
  readonly inPartitions: boolean;
  open(clock: Clock): Store;
}

/** Values as text in a map, made when they are first asked for. */
function mapPort(clock: Clock): DocumentPort {
  const values = new Map<string, string>();
  return {
    async transact(partition, change) {
      const { json, result } = change(JSON.parse(values.get(partition) ?? "null"), clock.nowMs());
      values.set(partition, JSON.stringify(json));
      return result;
    },
  };
}

const pool = (await startPostgres()).pool();
await migrate(pool);
const clients = await clientsOfCluster(await startCluster("--cluster-node-timeout", "60000"));

const count = (wide: number) => Number(process.env.TOLLGATE_SCHEDULES ?? cases(wide / 4, wide));

const candidates: Record<string, Candidate> = {
  postgres: {
    schedules: count(300),
    inPartitions: false,
    open: (clock) => postgresStore(pool, { clock }),
  },
  "documents in a map": {
    schedules: count(2_000),
    inPartitions: true,
    open: (clock) => documentStore(mapPort(clock), { clock }),
  },
};
for (const [name, client] of Object.entries(clients)) {
  candidates[`redis cluster by ${name}`] = {
    schedules: count(300),
    inPartitions: true,
    open: (clock) => redisStore(client, { clock }),
  };
}

/** What has to have happened to each algorithm: a few times in 300 schedules. */
const WORTH = ["expiries", "retries", "holds", "live", "late", "unknown", "charged", "refunded", "replays"] as const;

function assertWorthRunning(tallies: Tallies): void {
  for (const algorithm of ["budget", "fixed-window", "sliding-window", "token-bucket", "concurrency"] as const) {
    const tally = tallies[algorithm];
    const what = `${algorithm}: ${JSON.stringify(tally)}`;
    assert.ok(tally.denials >= 0.25 * tally.asked, what);
    for (const thing of WORTH) {
      if (algorithm === "concurrency" && thing === "expiries") continue;
      assert.ok(tally[thing] > 0, `${thing} of ${what}`);
    }
  }
}

for (const [name, { schedules, inPartitions, open }] of Object.entries(candidates)) {
  const rows = Math.ceil(schedules / 5);
  describe(`${name} and the kernel`, () => {
    const clock = fakeClock(Date.now() + 365 * 86_400_000);
    const store = open(clock);
    after(() => store.close());

    async function compare(turns: typeof schedule, numRuns: number, prefix: string): Promise<Tallies> {
      const tallies = createTallies();
      let played = 0;
      await fc.assert(
        fc.asyncProperty(turns, (each) => {
          // The clients of one cluster play the same schedules.
          const own = `${name.replaceAll(" ", "-")}-${prefix}${played++}-`;
          return play(renamed(each, own), inPartitions ? inPartition(store, own) : store, tallies, clock);
        }),
        { numRuns, seed: SEED },
      );
      return tallies;
    }

    it(`agree on ${schedules} schedules at given times`, async (context) => {
      const tallies = await compare(schedule, schedules, "");
      context.diagnostic(JSON.stringify(tallies));
      if (schedules >= 300) assertWorthRunning(tallies);
    });

    it(`agree on ${rows} schedules of calls that wait`, async (context) => {
      const tallies = await compare(rowSchedule, rows, "row-");
      const places = Object.entries(tallies).map(([algorithm, tally]) => [algorithm, tally.places] as const);
      context.diagnostic(`places: ${JSON.stringify(Object.fromEntries(places))}`);
      assert.ok(tallies["token-bucket"].places >= rows / 2, `${tallies["token-bucket"].places} places`);
    });
  });
}
