// Decisions per second on one Redis, by both clients, beside the peer and INCR: what redis-one-limit and
// redis-three-limits share.

import { type Limit, scheduleOf } from "./calls.ts";
import { number } from "./harness.ts";
import { race, type Speed } from "./race.ts";
import { RedisApart } from "./redis-apart.ts";
import { CLIENT_NAMES, redisContenders } from "./redis-contenders.ts";
import { atLeast, bestPeer, headline, speedNamed } from "./section.ts";
import { type RedisServer, startRedis } from "./servers.ts";

export const IN_FLIGHT = 512;

const FULL = { sessions: 10_000, calls: 80_000 };
const SHORT = { sessions: 160, calls: 1_280 };
/** The fastest way to send INCR by each client. */
export const PIPELINED = { ioredis: "INCR, autopipelining", "node-redis": "INCR, a tick's together" };

interface RaceOnRedis<More> {
  /** What the goals and headlines call it. */
  readonly name: string;
  readonly limits: readonly Limit[];
  readonly rounds: number;
  /** How many times as fast as the peer Tollgate should be. */
  readonly timesThePeer: number;
  /** Measures more on the same server, after the race. */
  readonly more: (server: RedisServer) => More;
}

export async function raceOnRedis<More>(isShort: boolean, asked: RaceOnRedis<More>) {
  const { name, limits, rounds, timesThePeer, more } = asked;
  const { sessions, calls } = isShort ? SHORT : FULL;
  await using server = await startRedis({ ownCore: true });
  const field = { server, limits, inFlight: IN_FLIGHT };
  const schedule = scheduleOf(sessions, calls);
  using apart = new RedisApart(server.port);
  const speeds: Speed[] = [];
  for (const client of CLIENT_NAMES) {
    const contenders = redisContenders(client, `${name}, ${client}`, field);
    speeds.push(...(await race(contenders, schedule, isShort ? 1 : rounds, apart.timer(client, { sessions, calls }))));
  }
  return {
    speeds,
    work: `${number(calls)} calls of ${number(sessions)} sessions in one random order, ${IN_FLIGHT} in flight`,
    goals: CLIENT_NAMES.map((client) => {
      const group = `${name}, ${client}`;
      const peer = bestPeer(speeds, group);
      const floor = speedNamed(speeds, group, PIPELINED[client]);
      return atLeast(
        `${group}: times as fast as ${peer.name}`,
        timesThePeer,
        1 / peer.ratio,
        `Most of the time passes in the client library: INCR, which only counts, is ${ofPeer(floor, peer)} times as fast as the peer.`,
      );
    }),
    headlines: CLIENT_NAMES.map((client) => {
      const group = `${name}, ${client}`;
      return headline(speeds, group, bestPeer(speeds, group), `Redis, ${group}`);
    }),
    more: more(server),
  };
}

const ofPeer = (floor: Speed, peer: Speed) => (floor.ratio / peer.ratio).toFixed(1);
