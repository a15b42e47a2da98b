// What holds, idempotency keys and many limits take inside Redis: microseconds a decision, and bytes for a call that has
// not ended.

import { Redis } from "ioredis";
import { createLimiter, type PolicyInput } from "tollgate";
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

const SEVEN: PolicyInput = {
  version: 1,
  tools: {
    search: { tier: "T1" },
    fetch: { tier: "T1" },
    write_file: { tier: "T2", cost: { usd_micros: 10 } },
    send_email: { tier: "T3", cost: { usd_micros: 50 } },
  },
  limits: [
    { name: "tool-per-turn", per: ["session", "turn", "tool"], quota: 50 },
    { name: "tool-per-session", per: ["session", "tool"], quota: 500 },
    { name: "tier-per-turn", per: ["session", "turn", "tier"], quota: 100 },
    { name: "same-call-again", per: ["session", "turn", "tool", "args"], quota: 50 },
    { name: "tenant-rate", per: ["tenant"], algorithm: "gcra", quota: 1_000_000, window: "1m" },
    {
      name: "money-per-user",
      per: ["user"],
      unit: "usd_micros",
      algorithm: "fixed-window",
      align: "calendar",
      window: "day",
      timezone: "Europe/Berlin",
      quota: 1_000_000_000,
    },
    { name: "parallel-calls", per: ["session"], algorithm: "concurrency", quota: 64 },
  ],
};

/** Microseconds inside Redis of a decision over seven limits, and how many script calls it took. */
export async function sevenLimits(server: RedisServer, calls: readonly Call[], rounds: number) {
  const taken: number[] = [];
  let scripts = 0;
  for (let round = 0; round <= rounds; round++) {
    progress(`seven limits inside Redis, ${round === 0 ? "warming up" : `round ${round} of ${rounds}`}`);
    await server.control.flushall("SYNC");
    const one = await sevenOf(server, calls);
    if (round > 0) taken.push(one.microseconds);
    scripts = one.scripts;
  }
  return { microseconds: median(taken), scripts };
}

async function sevenOf(server: RedisServer, calls: readonly Call[]) {
  const client = new Redis(server.port);
  const limiter = createLimiter({ policy: SEVEN, store: redisStore(client), failover: false });
  let [microseconds, scripts] = [0, 0];
  for (let from = 0; from < calls.length; from += BATCH) {
    const batch = calls.slice(from, from + BATCH);
    const gate = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    let running = 0;
    const before = await used(server);
    const ran = batch.map((call, i) =>
      limiter.run({ ...call, turn: 1, tenant: "acme", args: { page: i % 8 } }, () => {
        if (++running === batch.length) begun.resolve();
        return gate.promise;
      }),
    );
    await begun.promise;
    const after = await used(server);
    microseconds += after.microseconds - before.microseconds;
    scripts += after.calls - before.calls;
    gate.resolve();
    await Promise.all(ran);
  }
  await limiter.close();
  client.disconnect();
  return { microseconds: microseconds / calls.length, scripts: scripts / calls.length };
}

async function usedMicroseconds(server: RedisServer): Promise<number> {
  return (await used(server)).microseconds;
}

async function used(server: RedisServer) {
  const stats = (await server.info("commandstats")).get("cmdstat_evalsha") ?? "";
  return {
    calls: Number(/calls=(\d+)/.exec(stats)?.[1] ?? 0),
    microseconds: Number(/usec=(\d+)/.exec(stats)?.[1] ?? 0),
  };
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
