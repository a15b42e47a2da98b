// Redis, three limits in one decision: beside rate-limiter-flexible's three, and beside three INCRs, by both clients.

import { PEER, THREE } from "../calls.ts";
import { IN_FLIGHT, raceOnRedis, timesThePeer } from "../redis-speed.ts";
import { type Section, speedBars, speedTables } from "../section.ts";

const ROUNDS = 3;
const TIMES_THE_PEER = 10;

export const section: Section = {
  title: "Redis, three limits",
  needs: "redis",
  meaning: `As with one limit: ${IN_FLIGHT} calls in flight, an emptied Redis each round. Tollgate decides the three
limits of a call together: all are charged, or none. ${PEER} has no atomic decision over several: a call that one limit
denies stays charged to the limits asked before it ("in turn") or with it ("Promise.all"), which is why the latter
admits fewer. No window ends during the schedule, which hides what such charges cost a window later. INCR charges denied
calls, too.`,

  async measure(isShort) {
    const { speeds, work } = await raceOnRedis(THREE, { isShort, rounds: ROUNDS }, async () => null);
    return {
      work,
      goals: timesThePeer(speeds, "three limits", TIMES_THE_PEER),
      tables: speedTables(speeds),
      panel: { title: "decisions/s, longer is better", bars: speedBars(speeds) },
      rounds: { speeds },
    };
  },
};
