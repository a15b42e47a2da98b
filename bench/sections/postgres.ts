// Postgres, three limits: beside rate-limiter-flexible's three, through pools of the same size on the same server.

import { migrate } from "tollgate/stores/postgres";
import { PEER, roomy, scheduleOf, THREE } from "../calls.ts";
import { number } from "../harness.ts";
import { postgresContenders } from "../postgres-contenders.ts";
import { race } from "../race.ts";
import { atLeast, bestPeer, headline, type Section, speedTables } from "../section.ts";
import { CONNECTIONS, startPostgres } from "../servers.ts";

// A quarter of the other sections' work, with as many calls for each session: the peer needs a round trip for each limit.
const FULL = { sessions: 2_500, calls: 20_000, rounds: 3 };
const SHORT = { sessions: 100, calls: 1_000, rounds: 1 };
const IN_FLIGHT = 512;
const GROUP = "Postgres, three limits";
const TIMES_THE_PEER = 5;

export const section: Section = {
  title: GROUP,
  needs: ["postgres"],
  meaning: `One Postgres with fsync on this machine's loopback, pools of ${CONNECTIONS} connections, ${IN_FLIGHT} calls
in flight. All pass, because on parallel connections it is undefined which of two calls is the first. Tollgate decides the
three limits of a call in one transaction, together with those of other calls. ${PEER} asks three times, each in its own
statement.`,

  async measure(isShort) {
    const { sessions, calls, rounds } = isShort ? SHORT : FULL;
    await using server = await startPostgres();
    await migrate(server.control);
    const contenders = postgresContenders(GROUP, { server, limits: roomy(THREE), inFlight: IN_FLIGHT });
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
