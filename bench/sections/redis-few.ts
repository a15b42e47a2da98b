// Redis with few calls in flight, as an agent server has them: beside rate-limiter-flexible.

import { type Limit, ONE, PEER, roomy, scheduleOf, THREE } from "../calls.ts";
import { number } from "../harness.ts";
import { race, type Speed } from "../race.ts";
import { redisContenders } from "../redis-contenders.ts";
import { atLeast, bestPeer, type Goal, type Section, speedNamed, speedTables } from "../section.ts";
import { startRedis } from "../servers.ts";

// As many calls for each session as in the other sections.
const CALLS_PER_SESSION = 8;
const ROUNDS = 5;
const NO_FAILOVER = "Tollgate, failover: false";

interface Load {
  readonly inFlight: number;
  /** In a full run. */
  readonly calls: number;
  /** How many times as fast as the peer Tollgate should be. */
  readonly one: number;
  readonly three: number;
}

const LOADS: readonly Load[] = [
  { inFlight: 1, calls: 8_000, one: 0.9, three: 1.2 },
  { inFlight: 4, calls: 16_000, one: 0.75, three: 1.1 },
  { inFlight: 16, calls: 24_000, one: 1.15, three: 2 },
  { inFlight: 64, calls: 32_000, one: 2.2, three: 3 },
];

export const section: Section = {
  title: "Redis, few calls in flight",
  needs: ["redis"],
  meaning: `As in the sections before, by ioredis, but with few calls in flight, and all calls are admitted. A single call of Tollgate
is one script with all limits, and with what failover needs. ${PEER} runs a script for each limit.`,

  async measure(isShort) {
    await using server = await startRedis();
    const speeds: Speed[] = [];
    const goals: Goal[] = [];
    const compare = async (what: string, given: readonly Limit[], { inFlight, calls }: Load, wanted: number) => {
      const group = `${what}, ${inFlight} in flight`;
      const count = isShort ? calls / 8 : calls;
      const field = redisContenders("ioredis", group, { server, limits: roomy(given), inFlight });
      const chosen = field.filter(
        ({ name }) => name.startsWith("Tollgate") || (name.startsWith(PEER) && !name.includes("auto")),
      );
      speeds.push(...(await race(chosen, scheduleOf(count / CALLS_PER_SESSION, count), isShort ? 1 : ROUNDS)));
      const peer = bestPeer(speeds, group);
      const alone = speedNamed(speeds, group, NO_FAILOVER).ratio / peer.ratio;
      const reason = `Without failover it is ${alone.toFixed(2)} times as fast. Decision 74 says where the time of a single call goes.`;
      goals.push(atLeast(`Redis, ${group}: times as fast as ${peer.name}`, wanted, 1 / peer.ratio, reason));
    };
    for (const load of LOADS) await compare("one limit", ONE, load, load.one);
    for (const load of LOADS) await compare("three limits", THREE, load, load.three);
    return {
      tables: speedTables(speeds),
      work: LOADS.map(({ calls, inFlight }) => `${number(calls)} calls with ${inFlight} in flight`).join(", "),
      goals,
    };
  },
};
