// Limits on Redis that are decided in this process for a while: a limit with borrowed units, and a used-up bucket. Both are
// compared with the bare form, which never asks a server.

import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { createLimiter, type Limiter, type PolicyInput } from "tollgate";
import { redisStore } from "tollgate/stores/redis";
import { type Call, type Limit, PER_SESSION } from "../calls.ts";
import { bareForm } from "../floors.ts";
import { median, progress } from "../harness.ts";
import { type LoopContender, raceLoops } from "../race.ts";
import { costSoFar } from "../redis-cost.ts";
import { atMost, type Section, speedNamed, speedTables } from "../section.ts";
import { type RedisServer, startRedis } from "../servers.ts";
import { policyOf, type Settings, TOLLGATE_WAYS } from "../tollgate.ts";

const FULL = { ms: 900, rounds: 5, repeats: 3 };
const SHORT = { ms: 50, rounds: 1, repeats: 1 };
const TIMES_BARE = 2;
const LEASED = "leased global limit";
const DENIED = "used-up bucket";
const BARE = "bare form";
const CALL: Call = { tool: "search", session: "session-000000", user: "user-0" };
const GLOBAL: Limit = { name: "per-tool", per: ["tool"], quota: 1_000_000_000_000, key: (call) => call.tool };
const LEASED_POLICY: PolicyInput = {
  version: 1,
  limits: [
    {
      name: GLOBAL.name,
      per: GLOBAL.per,
      quota: GLOBAL.quota,
      algorithm: "fixed-window",
      window: "1h",
      borrow: "auto",
    },
  ],
};

export const section: Section = {
  title: "Decided in process",
  needs: ["redis"],
  meaning: `One caller in a loop, each answer awaited, with the limiter's default options and a Redis on loopback. A leased
limit is a limit per tool of which the process has borrowed units ahead (\`borrow: "auto"\`); it is measured after one
second of calls. A used-up bucket is called on and on after its first denial: while it denies, Redis need not be asked for a
second. The bare form is that of the memory section. Round trips are the script calls in the first 0.9 s after a
denial, from the server's statistics, with \`failover: false\`: then no heartbeat is among them.`,

  async measure(isShort) {
    const { ms, rounds, repeats } = isShort ? SHORT : FULL;
    await using server = await startRedis();
    const speeds = await raceLoops(contendersOn(server), ms, rounds);
    const trips: number[] = [];
    for (let i = 0; i < repeats; i++) trips.push(await tripsAfterDenial(server));
    return {
      work: `one call again and again, for ${ms} ms a turn`,
      goals: [
        ...[LEASED, DENIED].map((group) => {
          const { ratio } = speedNamed(speeds, group, BARE);
          return atMost(`${group} on Redis: times as long as the bare form`, TIMES_BARE, ratio);
        }),
        atMost(`${DENIED}: round trips in the second after a denial`, 0, median(trips)),
      ],
      tables: [
        ...speedTables(speeds),
        { head: [`${DENIED}, called for 0.9 s`, "round trips"], rows: [["Tollgate", median(trips).toFixed(0)]] },
      ],
    };
  },
};

function contendersOn(server: RedisServer): LoopContender[] {
  const ours = (
    group: string,
    { name, settings }: (typeof TOLLGATE_WAYS)[number],
    policy: PolicyInput,
    begin: (limiter: Limiter) => Promise<void>,
  ): LoopContender => ({
    group,
    name,
    admits: group === LEASED,
    async open() {
      const { limiter, close } = await onEmptyRedis(server, policy, settings);
      await begin(limiter);
      return { decide: () => limiter.consume(CALL), close };
    },
  });
  const bare = (group: string, limit: Limit): LoopContender => ({
    group,
    name: BARE,
    admits: group === LEASED,
    async open() {
      const decide = bareForm(limit);
      if (group === DENIED) await useUp(() => decide(CALL));
      return { decide: () => decide(CALL), close: async () => {} };
    },
  });
  return [
    ...TOLLGATE_WAYS.slice(0, 1).map((way) => ours(LEASED, way, LEASED_POLICY, (limiter) => callFor(limiter, 1_000))),
    bare(LEASED, GLOBAL),
    ...TOLLGATE_WAYS.map((way) =>
      ours(DENIED, way, policyOf([PER_SESSION]), (limiter) => useUp(() => limiter.consume(CALL))),
    ),
    bare(DENIED, PER_SESSION),
  ];
}

async function useUp(decide: () => Promise<{ readonly allowed: boolean }>): Promise<void> {
  while ((await decide()).allowed);
}

async function callFor(limiter: Limiter, ms: number): Promise<void> {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs) await limiter.consume(CALL);
}

async function onEmptyRedis(server: RedisServer, policy: PolicyInput, settings: Settings = {}) {
  await server.control.flushall("SYNC");
  const client = new Redis(server.port);
  const limiter = createLimiter({ policy, store: redisStore(client), ...settings });
  return { limiter, close: () => limiter.close().finally(() => client.disconnect()) };
}

/** The denial that used the bucket up is forgotten by then. */
const FORGOTTEN_AFTER_MS = 1_100;
const CALLED_MS = 900;

/** The script calls of a limiter that goes on calling after a denial. */
async function tripsAfterDenial(server: RedisServer): Promise<number> {
  progress("round trips of a used-up bucket");
  const { limiter, close } = await onEmptyRedis(server, policyOf([PER_SESSION]), { failover: false });
  await useUp(() => limiter.consume(CALL));
  await sleep(FORGOTTEN_AFTER_MS);
  await limiter.consume(CALL);
  const before = await costSoFar(server);
  await callFor(limiter, CALLED_MS);
  const { commands } = await costSoFar(server);
  await close();
  return commands - before.commands;
}
