// Redis, three limits in one decision: beside rate-limiter-flexible's three, and beside three INCRs, by both clients.

import { PEER, THREE } from "../calls.ts";
import { IN_FLIGHT, raceOnRedis } from "../redis-speed.ts";
import { type Section, speedTables } from "../section.ts";

export const section: Section = {
  title: "Redis, three limits",
  needs: ["redis"],
  meaning: `As with one limit: ${IN_FLIGHT} calls in flight, an empty Redis each round. Tollgate decides the three limits
of a call together: it charges all or none. ${PEER} has no atomic decision over several limits. A call that one limit
denies stays charged to the limits asked before it ("in turn") or with it ("Promise.all"), which therefore admits fewer
calls. No window ends during the race, so what such charges cost in the next window is not measured. INCR charges denied
calls, too.`,

  async measure(isShort) {
    const limits = { name: "three limits", limits: THREE, rounds: 3, timesThePeer: 4 };
    const { speeds, work, goals, headlines } = await raceOnRedis(isShort, { ...limits, more: () => null });
    return { work, goals, headlines, tables: speedTables(speeds) };
  },
};
