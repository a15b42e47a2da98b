// Postgres with few calls in flight, as an agent server has them: beside rate-limiter-flexible.

import { migrate } from "tollgate/stores/postgres";
import { PEER } from "../calls.ts";
import { type Load, measureFew } from "../few-in-flight.ts";
import { postgresContenders } from "../postgres-contenders.ts";
import { bestPeer, type Section, speedNamed } from "../section.ts";
import { startPostgres } from "../servers.ts";

const ROUNDS = 3;
const NO_FAILOVER = "Tollgate, failover: false";

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
    return await measureFew(isShort, {
      store: "Postgres",
      loads: LOADS,
      rounds: ROUNDS,
      contenders: (group, limits, inFlight) => postgresContenders(group, { server, limits, inFlight }),
      peerIn(speeds, group, limits) {
        const peer = limits.length === 1 ? bestPeer(speeds, group) : speedNamed(speeds, group, `${PEER}, Promise.all`);
        const alone = speedNamed(speeds, group, NO_FAILOVER).ratio / peer.ratio;
        const reason = `Without failover it is ${alone.toFixed(2)} times as fast. Decision 71 says what the server works for a single call, and for an upsert of the peer.`;
        return { peer, reason };
      },
    });
  },
};
