// Decisions per second on one Redis, by both clients, beside the peer's ways and beside INCR. What redis-one-limit and
// redis-three-limits share.

import { type Limit, PEER, scheduleOf } from "./calls.ts";
import { number } from "./harness.ts";
import { race, type Speed } from "./race.ts";
import { ioredisContenders, nodeRedisContenders } from "./redis-contenders.ts";
import { type RedisServer, startRedis } from "./redis-server.ts";
import { bestPeer, type Goal } from "./section.ts";

export const CLIENTS = ["ioredis", "node-redis"] as const;
export const IN_FLIGHT = 512;

const FULL = { sessions: 10_000, calls: 80_000 };
const SHORT = { sessions: 160, calls: 1_280 };

export async function raceOnRedis<More>(
  limits: readonly Limit[],
  { isShort, rounds }: { readonly isShort: boolean; readonly rounds: number },
  more: (server: RedisServer) => Promise<More>,
) {
  const { sessions, calls } = isShort ? SHORT : FULL;
  const server = await startRedis();
  try {
    const field = { server, limits, inFlight: IN_FLIGHT };
    const contenders = [...ioredisContenders(CLIENTS[0], field), ...nodeRedisContenders(CLIENTS[1], field)];
    const speeds = await race(contenders, scheduleOf(sessions, calls), isShort ? 1 : rounds);
    const work = `${number(calls)} calls of ${number(sessions)} sessions in one random order, ${IN_FLIGHT} in flight`;
    return { speeds, work, more: await more(server) };
  } finally {
    await server.stop();
  }
}

/** What is wanted, times the fastest of the peer's ways, through each client. */
export function timesThePeer(speeds: readonly Speed[], what: string, wanted: number): Goal[] {
  return CLIENTS.map((client) => {
    const best = bestPeer(speeds, client);
    const name = best.name === PEER ? PEER : best.name;
    return {
      what: `${what}, ${client}: times as fast as ${name}`,
      bound: "at least",
      wanted,
      measured: 1 / best.ratio,
    };
  });
}
