// Postgres with few calls in flight, as an agent server has them: beside rate-limiter-flexible.

import { migrate } from "tollgate/stores/postgres";
import { type Limit, ONE, PEER, roomy, scheduleOf, THREE } from "../calls.ts";
import { number } from "../harness.ts";
import { postgresContenders } from "../postgres-contenders.ts";
import { race, type Speed } from "../race.ts";
import { atLeast, bestPeer, type Goal, type Section, speedNamed, speedTables } from "../section.ts";
import { startPostgres } from "../servers.ts";

// As many calls for each session as in the other sections.
const CALLS_PER_SESSION = 8;
const ROUNDS = 3;

interface Load {
  readonly inFlight: number;
  /** In a full run. */
  readonly calls: number;
  /** How many times as fast as the peer Tollgate should be. */
  readonly one: number;
  readonly three: number;
}

const LOADS: readonly Load[] = [
  { inFlight: 1, calls: 1_200, one: 0.6, three: 1 },
  { inFlight: 16, calls: 4_000, one: 1.5, three: 2.5 },
  { inFlight: 64, calls: 6_000, one: 3, three: 7.5 },
];

export const section: Section = {
  title: "Postgres, few calls in flight",
  needs: ["postgres"],
  meaning: `As in the section before, with one limit and three. A single call of Tollgate is one statement with all limits,
and with what failover needs; a batch is two round trips. With three limits and \`Promise.all\` ${PEER} uses three connections
at the same time, and may count a call by some of its limits only.`,

  async measure(isShort) {
    await using server = await startPostgres();
    await migrate(server.control);
    const speeds: Speed[] = [];
    const goals: Goal[] = [];
    const compare = async (what: string, given: readonly Limit[], { inFlight, calls }: Load, wanted: number) => {
      const group = `${what}, ${inFlight} in flight`;
      const count = isShort ? calls / 8 : calls;
      const contenders = postgresContenders(group, { server, limits: roomy(given), inFlight });
      speeds.push(...(await race(contenders, scheduleOf(count / CALLS_PER_SESSION, count), isShort ? 1 : ROUNDS)));
      const other = given.length === 1 ? bestPeer(speeds, group) : speedNamed(speeds, group, `${PEER}, Promise.all`);
      goals.push(atLeast(`Postgres, ${group}: times as fast as ${other.name}`, wanted, 1 / other.ratio));
    };
    for (const load of LOADS) await compare("one limit", ONE, load, load.one);
    for (const load of LOADS) await compare("three limits", THREE, load, load.three);
    return {
      tables: speedTables(speeds),
      work: `${LOADS.map(({ calls, inFlight }) => `${number(calls)} calls with ${inFlight} in flight`).join(", ")}`,
      goals,
    };
  },
};
