// Redis with few calls in flight, as an agent server has them: beside rate-limiter-flexible.

import { PEER } from "../calls.ts";
import { type Load, measureFew } from "../few-in-flight.ts";
import { RedisApart } from "../redis-apart.ts";
import { redisContenders } from "../redis-contenders.ts";
import { bestPeer, type Section, speedNamed } from "../section.ts";
import { startRedis } from "../servers.ts";

const ROUNDS = 5;
const NO_FAILOVER = "Tollgate, failover: false";

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
    await using server = await startRedis({ ownCore: true });
    using apart = new RedisApart(server.port);
    return await measureFew(isShort, {
      store: "Redis",
      timer: (schedule) => apart.timer("ioredis", schedule),
      loads: LOADS,
      rounds: ROUNDS,
      contenders: (group, limits, inFlight) =>
        redisContenders("ioredis", group, { server, limits, inFlight }).filter(
          ({ name }) => name.startsWith("Tollgate") || (name.startsWith(PEER) && !name.includes("auto")),
        ),
      peerIn(speeds, group) {
        const peer = bestPeer(speeds, group);
        const alone = speedNamed(speeds, group, NO_FAILOVER).ratio / peer.ratio;
        const reason = `Without failover it is ${alone.toFixed(2)} times as fast. Decision 74 says where the time of a single call goes.`;
        return { peer, reason };
      },
    });
  },
};
