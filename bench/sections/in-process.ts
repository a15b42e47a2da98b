// Limits on Redis that are decided in this process for a while: a leased global limit, and a bucket that is used up. Both
// against the bare form, which never asks anybody.

import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { createLimiter, definePolicy, type Limiter, MisuseError, type PolicyInput } from "tollgate";
import { redisStore } from "tollgate/stores/redis";
import { type Call, type Limit, PER_SESSION } from "../calls.ts";
import { bareForm } from "../floors.ts";
import { median, progress } from "../harness.ts";
import { type LoopContender, raceLoops } from "../race.ts";
import { costSoFar } from "../redis-cost.ts";
import { type RedisServer, startRedis } from "../redis-server.ts";
import { type Section, speedBars, speedNamed, speedTables } from "../section.ts";
import { limiterOf } from "../tollgate.ts";

const FULL = { ms: 900, rounds: 5, seconds: 3 };
const SHORT = { ms: 200, rounds: 1, seconds: 1 };
const TIMES_BARE = 2;
const LEASED = "leased global limit";
const DENIED = "used-up bucket";
const BARE = "bare form";
const CALL: Call = { tool: "search", session: "session-000000", user: "user-0" };
const GLOBAL: Limit = { name: "per-tool", per: ["tool"], quota: 1_000_000_000_000, key: (call) => call.tool };

/** A policy whose limit is leased, where this version knows such a thing. */
function leasedPolicy(): PolicyInput | null {
  const { name, per, quota } = GLOBAL;
  const policy: unknown = {
    version: 1,
    limits: [{ name, per, quota, algorithm: "fixed-window", window: "1h", borrow: "auto" }],
  };
  try {
    definePolicy(policy as PolicyInput);
    return policy as PolicyInput;
  } catch (error) {
    if (error instanceof MisuseError) return null;
    throw error;
  }
}

export const section: Section = {
  title: "Decided in process",
  needs: "redis",
  meaning: `One caller in a loop, each answer awaited, with the limiter's default options and a Redis on loopback. A
leased limit is a global one, per tool, of which the process has borrowed units ahead (\`borrow: "auto"\`); it is
measured after it was asked for a second. A used-up bucket is hammered after it has denied once: who is denied for a
while need not be asked about again for a second. The bare form is that of the memory section. Round trips are the
commands that decide, in the first 0.9 s of hammering after the first denial, by the server's statistics, less those
that a limiter which is asked nothing makes in the same moments of its life to say that it lives.`,

  async measure(isShort) {
    const { ms, rounds, seconds } = isShort ? SHORT : FULL;
    const server = await startRedis();
    try {
      const policy = leasedPolicy();
      const contenders = [...(policy === null ? [] : leasedContenders(server, policy)), ...deniedContenders(server)];
      const speeds = await raceLoops(contenders, ms, rounds);
      const trips: number[] = [];
      for (let i = 0; i < seconds; i++) trips.push(await tripsOfHammering(server));
      const timesBare = (group: string) =>
        policy === null && group === LEASED ? null : speedNamed(speeds, group, BARE).ratio;
      const missing = { head: [LEASED, "decisions/s"], rows: [["Tollgate", "not there yet"]] };
      return {
        work: `one call again and again, for ${ms} ms a turn`,
        goals: [
          ...[LEASED, DENIED].map((group) => {
            const what = `${group} on Redis: times as long as the bare form`;
            return { what, bound: "at most", wanted: TIMES_BARE, measured: timesBare(group) } as const;
          }),
          {
            what: `${DENIED}: round trips in the second after a denial`,
            bound: "at most",
            wanted: 0,
            measured: median(trips),
          },
        ],
        tables: [
          ...(policy === null ? [missing] : []),
          ...speedTables(speeds),
          { head: [`${DENIED}, hammered for 0.9 s`, "round trips"], rows: [["Tollgate", median(trips).toFixed(0)]] },
        ],
        panel: { title: "decisions/s, longer is better", bars: speedBars(speeds) },
        rounds: { speeds, trips },
      };
    } finally {
      await server.stop();
    }
  },
};

type LoopOf = Pick<LoopContender, "name" | "kind" | "open">;

function leasedContenders({ port, control }: RedisServer, policy: PolicyInput): LoopContender[] {
  const ways: LoopOf[] = [
    {
      name: "Tollgate",
      kind: "tollgate",
      async open() {
        await control.flushall("SYNC");
        const client = new Redis(port);
        const limiter = createLimiter({ policy, store: redisStore(client) });
        const endMs = performance.now() + 1_000;
        while (performance.now() < endMs) await limiter.consume(CALL);
        return { decide: () => limiter.consume(CALL), close: () => closed(limiter, client) };
      },
    },
    bare(GLOBAL),
  ];
  return ways.map((way) => ({ ...way, group: LEASED, admits: true }));
}

function deniedContenders(server: RedisServer): LoopContender[] {
  const own = (name: string, settings: { readonly failover?: false }): LoopOf => ({
    name,
    kind: "tollgate",
    async open() {
      await server.control.flushall("SYNC");
      const client = new Redis(server.port);
      const limiter = limiterOf([PER_SESSION], redisStore(client), settings);
      await usedUp((call) => limiter.consume(call));
      return { decide: () => limiter.consume(CALL), close: () => closed(limiter, client) };
    },
  });
  const ways = [own("Tollgate", {}), own("Tollgate, failover: false", { failover: false }), bare(PER_SESSION, true)];
  return ways.map((way) => ({ ...way, group: DENIED, admits: false }));
}

const bare = (limit: Limit, isUsedUp = false): LoopOf => ({
  name: BARE,
  kind: "floor",
  async open() {
    const decide = bareForm(limit);
    if (isUsedUp) await usedUp(decide);
    return { decide: () => decide(CALL), close: async () => {} };
  },
});

async function usedUp(decide: (call: Call) => Promise<{ readonly allowed: boolean }>): Promise<void> {
  while ((await decide(CALL)).allowed);
}

async function closed(limiter: Limiter, client: Redis): Promise<void> {
  await limiter.close();
  client.disconnect();
}

// What a limiter does when it is new is done by then, and a denial that was remembered is forgotten.
const LEARNT_AFTER_MS = 1_100;
const HAMMERED_MS = 900;

async function tripsOfHammering(server: RedisServer): Promise<number> {
  progress("round trips of hammering");
  const idle = await tripsOf(server, async () => sleep(HAMMERED_MS));
  const hammered = await tripsOf(server, async (limiter) => {
    const endMs = performance.now() + HAMMERED_MS;
    while (performance.now() < endMs) await limiter.consume(CALL);
  });
  return Math.max(0, hammered - idle);
}

/** The commands that decide while `act` runs, of a limiter that has just denied. */
async function tripsOf(server: RedisServer, act: (limiter: Limiter) => Promise<void>): Promise<number> {
  await server.control.flushall("SYNC");
  const client = new Redis(server.port);
  const limiter = limiterOf([PER_SESSION], redisStore(client));
  await usedUp((call) => limiter.consume(call));
  await sleep(LEARNT_AFTER_MS);
  await limiter.consume(CALL);
  const before = await costSoFar(server);
  await act(limiter);
  const { commands } = await costSoFar(server);
  await closed(limiter, client);
  return commands - before.commands;
}
