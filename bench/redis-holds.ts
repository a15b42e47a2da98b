// What holds and idempotency keys take inside Redis: microseconds a decision, and bytes for a call that has not ended.

import { Redis } from "ioredis";
import { redisStore } from "tollgate/stores/redis";
import { arrivingAgain, type Call, limiterOf, sessionName, THREE } from "./contenders.ts";
import { median, progress } from "./harness.ts";
import type { RedisServer } from "./redis-server.ts";

const BATCH = 64;

/** Microseconds inside Redis, of each half of a call that is held under a key and then settled. */
export interface HoldTimes {
  readonly reserve: number;
  readonly settle: number;
}

/** Reserves each call of a batch under three limits and a key of its own, then settles those that were allowed. */
export async function holdTimes(server: RedisServer, calls: readonly Call[], rounds: number): Promise<HoldTimes> {
  const taken: HoldTimes[] = [];
  for (let round = 0; round <= rounds; round++) {
    progress(`holds inside Redis, ${round === 0 ? "warming up" : `round ${round} of ${rounds}`}`);
    await server.control.flushall("SYNC");
    const one = await timesOf(server, calls.map(arrivingAgain), `round-${round}`);
    if (round > 0) taken.push(one);
  }
  return { reserve: median(taken.map(({ reserve }) => reserve)), settle: median(taken.map(({ settle }) => settle)) };
}

async function timesOf(server: RedisServer, calls: readonly Call[], name: string): Promise<HoldTimes> {
  const client = new Redis(server.port);
  const limiter = limiterOf(THREE, redisStore(client));
  let [reserve, settle, settled] = [0, 0, 0];
  for (let from = 0; from < calls.length; from += BATCH) {
    const batch = calls.slice(from, from + BATCH);
    const before = await usedMicroseconds(server);
    const held = await Promise.all(
      batch.map((call, i) => limiter.reserve({ ...call, idempotencyKey: `${name}-${from + i}` })),
    );
    const between = await usedMicroseconds(server);
    const ends = await Promise.all(held.map((each) => (each.allowed ? each.settle() : null)));
    reserve += between - before;
    settle += (await usedMicroseconds(server)) - between;
    settled += ends.filter((end) => end?.late === false && end.problem === null).length;
  }
  await limiter.close();
  client.disconnect();
  if (settled === 0) throw new Error("nothing was settled");
  return { reserve: reserve / calls.length, settle: settle / settled };
}

async function usedMicroseconds(server: RedisServer): Promise<number> {
  const stats = await server.info("commandstats");
  return Number(/usec=(\d+)/.exec(stats.get("cmdstat_evalsha") ?? "")?.[1] ?? 0);
}

/** Bytes that a call that has not ended takes, beyond the counters of its three limits. */
export async function holdBytes(
  server: RedisServer,
  sessions: number,
  growth: (server: RedisServer, fill: () => Promise<void>) => Promise<number>,
) {
  progress("bytes per hold");
  const client = new Redis(server.port);
  const limiter = limiterOf(THREE, redisStore(client));
  const call = (i: number) => ({ tool: "search", session: sessionName(i), user: `user-${sessionName(i)}` });
  const fill = async (act: (i: number) => Promise<unknown>) => {
    for (let from = 0; from < sessions; from += BATCH) {
      await Promise.all(Array.from({ length: Math.min(BATCH, sessions - from) }, (_, i) => act(from + i)));
    }
  };
  const grown = (then: (i: number) => Promise<unknown>) =>
    growth(server, async () => {
      await fill((i) => limiter.consume(call(i)));
      await fill(then);
    });
  await limiter.consume(call(0));
  const counters = await grown((i) => limiter.consume(call(i)));
  const held = await grown((i) => limiter.reserve(call(i)));
  const keyed = await grown((i) => limiter.reserve({ ...call(i), idempotencyKey: `job-${sessionName(i)}` }));
  await limiter.close();
  client.disconnect();
  return { hold: (held - counters) / sessions, keyed: (keyed - counters) / sessions };
}
