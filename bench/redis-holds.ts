// What reservations under an idempotency key, and decisions over seven limits of all kinds, cost inside Redis.

import { Redis } from "ioredis";
import { createLimiter, type Limiter, type PolicyInput } from "tollgate";
import { redisStore } from "tollgate/stores/redis";
import { type Call, THREE } from "./calls.ts";
import { costOf } from "./redis-cost.ts";
import type { RedisServer } from "./servers.ts";
import { allows, policyOf } from "./tollgate.ts";

export const BATCH = 64;

/**
 * µs inside Redis for a reservation under an idempotency key of its own, and for its settle; and `called`, the part of the first
 * that passes in the commands that the script calls.
 */
export async function holdTimes(server: RedisServer, calls: readonly Call[]) {
  let [reserve, called, settle, settled] = [0, 0, 0, 0];
  await inBatches(server, policyOf(THREE), calls, async (limiter, batch, first) => {
    const keyed = batch.map((call, i) => ({ ...call, idempotencyKey: `job-${first + i}` }));
    let held: Awaited<ReturnType<Limiter["reserve"]>>[] = [];
    const reserved = await costOf(server, 1, async () => {
      held = await Promise.all(keyed.map((call) => limiter.reserve(call)));
    });
    const ended = await costOf(server, 1, async () => {
      const ends = await Promise.all(held.map((each) => (allows(each) && each.allowed ? each.hold.settle() : null)));
      settled += ends.filter((end) => end?.status === "settled").length;
    });
    reserve += reserved.microseconds;
    called += reserved.called;
    settle += ended.microseconds;
  });
  if (settled === 0) throw new Error("nothing was settled");
  return { reserve: reserve / calls.length, called: called / calls.length, settle: settle / settled };
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

/** What a decision over seven limits costs inside Redis, without `processor`. */
export async function sevenLimits(server: RedisServer, calls: readonly Call[]) {
  let [microseconds, called, commands] = [0, 0, 0];
  await inBatches(server, SEVEN, calls, async (limiter, batch) => {
    const [gate, begun] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
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
    called += cost.called;
    commands += cost.commands;
    gate.resolve();
    await Promise.all(ran);
  });
  const of = (sum: number) => sum / calls.length;
  return { microseconds: of(microseconds), called: of(called), commands: of(commands) };
}

/** On an empty Redis, by one limiter. */
async function inBatches(
  server: RedisServer,
  policy: PolicyInput,
  calls: readonly Call[],
  act: (limiter: Limiter, batch: readonly Call[], first: number) => Promise<void>,
): Promise<void> {
  await server.control.flushall("SYNC");
  const client = new Redis(server.port);
  const limiter = createLimiter({ policy, store: redisStore(client) });
  for (let first = 0; first < calls.length; first += BATCH) {
    await act(limiter, calls.slice(first, first + BATCH), first);
  }
  await limiter.close();
  client.disconnect();
}
