// What holds under an idempotency key, and seven limits of all kinds, take inside Redis.

import { Redis } from "ioredis";
import { createLimiter, type PolicyInput } from "tollgate";
import { redisStore } from "tollgate/stores/redis";
import { type Call, THREE } from "./calls.ts";
import { costOf } from "./redis-cost.ts";
import type { RedisServer } from "./redis-server.ts";
import { allows, limiterOf } from "./tollgate.ts";

export const BATCH = 64;

/** Microseconds inside Redis: of each half of a call that is held under a key of its own and then settled. */
export async function holdTimes(server: RedisServer, calls: readonly Call[]) {
  await server.control.flushall("SYNC");
  const client = new Redis(server.port);
  const limiter = limiterOf(THREE, redisStore(client));
  let [reserve, settle, settled] = [0, 0, 0];
  for (let from = 0; from < calls.length; from += BATCH) {
    const asked = calls.slice(from, from + BATCH).map((call, i) => ({ ...call, idempotencyKey: `job-${from + i}` }));
    let held: Awaited<ReturnType<typeof limiter.reserve>>[] = [];
    const first = await costOf(server, 1, async () => {
      held = await Promise.all(asked.map((call) => limiter.reserve(call)));
    });
    const second = await costOf(server, 1, async () => {
      const ends = await Promise.all(held.map((each) => (allows(each) && each.allowed ? each.hold.settle() : null)));
      settled += ends.filter((end) => end?.status === "settled").length;
    });
    reserve += first.microseconds;
    settle += second.microseconds;
  }
  await limiter.close();
  client.disconnect();
  if (settled === 0) throw new Error("nothing was settled");
  return { reserve: reserve / calls.length, settle: settle / settled };
}

const SEVEN: PolicyInput = {
  version: 1,
  tools: {
    search: { group: "T1" },
    fetch: { group: "T1" },
    write_file: { group: "T2", cost: { usd_micros: 10 } },
    send_email: { group: "T3", cost: { usd_micros: 50 } },
  },
  limits: [
    { name: "tool-per-turn", per: ["session", "turn", "tool"], quota: 50 },
    { name: "tool-per-session", per: ["session", "tool"], quota: 500 },
    { name: "group-per-turn", per: ["session", "turn", "group"], quota: 100 },
    { name: "same-call-again", per: ["session", "turn", "tool", "args"], quota: 50 },
    { name: "tenant-rate", per: ["tenant"], algorithm: "token-bucket", quota: 1_000_000, window: "1m" },
    {
      name: "money-per-user",
      per: ["user"],
      unit: "usd_micros",
      algorithm: "fixed-window",
      window: "day",
      timezone: "Europe/Berlin",
      quota: 1_000_000_000,
    },
    { name: "parallel-calls", per: ["session"], algorithm: "concurrency", quota: 64 },
  ],
};

/** Microseconds inside Redis of a decision over seven limits, and how many commands it took. */
export async function sevenLimits(server: RedisServer, calls: readonly Call[]) {
  await server.control.flushall("SYNC");
  const client = new Redis(server.port);
  const limiter = createLimiter({ policy: SEVEN, store: redisStore(client) });
  let [microseconds, commands] = [0, 0];
  for (let from = 0; from < calls.length; from += BATCH) {
    const batch = calls.slice(from, from + BATCH);
    const gate = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    let [running, ran]: [number, Promise<unknown>[]] = [0, []];
    const cost = await costOf(server, 1, () => {
      ran = batch.map((call, i) =>
        limiter.run({ ...call, turn: 1, tenant: "acme", args: { page: i % 8 } }, () => {
          if (++running === batch.length) begun.resolve();
          return gate.promise;
        }),
      );
      return begun.promise;
    });
    microseconds += cost.microseconds;
    commands += cost.commands;
    gate.resolve();
    await Promise.all(ran);
  }
  await limiter.close();
  client.disconnect();
  return { microseconds: microseconds / calls.length, commands: commands / calls.length };
}
