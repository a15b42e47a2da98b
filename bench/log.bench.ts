// What a decision log adds to a decision: in memory in ns of processor time, and on stores over a file or a network as a share of the
// decisions per second. The ways take turns, so that other processes on the machine disturb each equally.
//
// npm run bench:log

import { join } from "node:path";
import { createLimiter, type PolicyInput } from "tollgate";
import { type DecisionLog, functionLog, memoryLog } from "tollgate/log";
import { sqliteLog } from "tollgate/log/sqlite";
import { memoryStore } from "tollgate/stores/memory";
import { redisStore } from "tollgate/stores/redis";
import { sqliteStore } from "tollgate/stores/sqlite";
import type { Store } from "tollgate/store";
import { anyRedis } from "../test/servers.ts";
import { temporaryFolder } from "../test/temporary.ts";
import { median, number, table } from "./harness.ts";
import { inTurn } from "./race.ts";

const ROUNDS = 15;
const IN_FLIGHT = 32;
const SESSIONS = 1_000;

const policy: PolicyInput = {
  version: 1,
  limits: [
    { name: "tool-per-session", per: ["session", "tool"], quota: 1_000_000_000 },
    { name: "session-rate", per: ["session"], algorithm: "token-bucket", quota: 600_000_000, window: "1m" },
    { name: "all", per: [], algorithm: "fixed-window", quota: 1_000_000_000, window: "1h" },
  ],
};
const folder = temporaryFolder();
const logs: Record<string, () => DecisionLog | undefined> = {
  "no log": () => undefined,
  "a function that does nothing": () => functionLog(() => {}),
  memory: () => memoryLog(),
  SQLite: () => sqliteLog(join(folder, `${Math.random()}.db`)),
};

interface Ways {
  readonly name: string;
  readonly consume: (call: { tool: string; session: string }) => Promise<unknown>;
  readonly close: () => Promise<void>;
}

function waysOn(store: () => Store): Ways[] {
  return Object.entries(logs).map(([name, open]) => {
    const log = open();
    const limiter = createLimiter({ policy, store: store(), ...(log === undefined ? {} : { log }) });
    return { name, consume: (call) => limiter.consume(call), close: () => limiter.close() };
  });
}

const callOf = (n: number) => ({ tool: "search", session: `s${n % SESSIONS}` });

/** Processor time of a decision on the thread that decides, ns. */
async function inMemory(calls: number): Promise<string> {
  const ways = waysOn(memoryStore);
  const taken = await inTurn(ways, ROUNDS, async ({ consume }) => {
    const before = process.threadCpuUsage();
    for (let i = 0; i < calls; i++) {
      await consume(callOf(i));
      if (i % 100 === 99) await new Promise((resolve) => setImmediate(resolve));
    }
    const { user, system } = process.threadCpuUsage(before);
    return ((user + system) * 1_000) / calls;
  });
  await Promise.all(ways.map(({ close }) => close()));
  const medians = taken.map(median);
  return table(
    ["memory, with", "ns a decision", "more than without"],
    ways.map(({ name }, i) => [
      name,
      number(medians[i] ?? Number.NaN),
      number((medians[i] ?? Number.NaN) - (medians[0] ?? 0)),
    ]),
  );
}

/**
 * Processor time of a decision on the thread that decides, us. While that thread is busy, the rate is what this time allows. And the time
 * within which 99 % are made.
 */
async function onStore(what: string, calls: number, store: () => Store): Promise<string> {
  const ways = waysOn(store);
  const late: number[][] = ways.map(() => []);
  const costs = await inTurn(ways, ROUNDS, async (way) => {
    const times: number[] = [];
    const before = process.threadCpuUsage();
    let next = 0;
    const caller = async () => {
      while (next < calls) {
        const askedMs = performance.now();
        await way.consume(callOf(next++));
        times.push(performance.now() - askedMs);
      }
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, caller));
    const { user, system } = process.threadCpuUsage(before);
    late[ways.indexOf(way)]?.push(times.sort((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? 0);
    return (user + system) / calls;
  });
  await Promise.all(ways.map(({ close }) => close()));
  const [without = []] = costs;
  const shareOf = (cost: readonly number[]) => median(cost.map((each, i) => (without[i] ?? each) / each));
  return table(
    [`${what}, with`, "us a decision", "share of the rate", "p99, ms"],
    ways.map(({ name }, i) => {
      const cost = costs[i] ?? [];
      return [name, median(cost).toFixed(1), shareOf(cost).toFixed(3), median(late[i] ?? []).toFixed(2)];
    }),
  );
}

const redis = await anyRedis();
console.log(await inMemory(10_000));
console.log(await onStore("SQLite", 3_000, () => sqliteStore(join(folder, `${Math.random()}.db`))));
console.log(await onStore("Redis", 3_000, () => redisStore(redis.ioredis())));
process.exit(0);
