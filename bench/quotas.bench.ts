// What a decision costs whose quota is not the policy's: unlimited, claimed by the call, or looked up. Beside each stands the
// same call under a quota of the policy's own. All take turns in one process, round after round.
//
// npm run bench:quotas -- [--short]

import { Redis } from "ioredis";
import { createLimiter, type LimiterOptions, type PolicyInput } from "tollgate";
import { memoryStore } from "tollgate/stores/memory";
import { redisStore } from "tollgate/stores/redis";
import { median, number, progress, table } from "./harness.ts";
import { startRedis } from "./redis-server.ts";

type Quota = PolicyInput["limits"][number]["quota"];

const isShort = process.argv.includes("--short");
const ROUNDS = isShort ? 2 : 9;
const CALLS = isShort ? 20_000 : 100_000;
const IN_FLIGHT = 64;
/** Fewer than are remembered, and more. */
const [FEW, MANY] = [1_000, 50_000];
const MOST = 1_000_000_000;

interface Way {
  readonly name: string;
  readonly quota: Quota;
  readonly customers: number;
  readonly options?: Partial<Pick<LimiterOptions, "quotas">>;
  /** Of each call. */
  readonly claim?: number;
}

const FROM_CALL: Quota = { from: "call", default: MOST, max: MOST };
const lookUp = async () => MOST;
const WAYS: readonly Way[] = [
  { name: "fixed quota", quota: MOST, customers: FEW },
  { name: "unlimited", quota: "unlimited", customers: FEW },
  { name: "from: call, default", quota: FROM_CALL, customers: FEW },
  { name: "looked up before", quota: FROM_CALL, customers: FEW, options: { quotas: lookUp } },
  { name: "claimed by the call", quota: FROM_CALL, customers: FEW, claim: MOST },
  { name: "fixed quota, 50,000 customers", quota: MOST, customers: MANY },
  { name: "looked up each time, 50,000 customers", quota: FROM_CALL, customers: MANY, options: { quotas: lookUp } },
];

async function round(
  { quota, customers, options = {}, claim }: Way,
  redis: Redis | null,
  calls: number,
): Promise<number> {
  await redis?.flushall("SYNC");
  const limiter = createLimiter({
    policy: { version: 1, limits: [{ name: "monthly", per: ["tenant"], window: "month", quota }] } as PolicyInput,
    store: redis === null ? memoryStore() : redisStore(redis),
    failover: false,
    ...options,
  });
  const given = claim === undefined ? undefined : { quotas: { monthly: claim } };
  let next = 0;
  const lane = async (until: number) => {
    while (next < until) {
      const { allowed } = await limiter.consume({ tool: "search", tenant: `t${next++ % customers}` }, given);
      if (!allowed) throw new Error("a call was denied");
    }
  };
  const run = (until: number) => Promise.all(Array.from({ length: IN_FLIGHT }, () => lane(until)));
  await run(Math.min(customers, FEW) * 2);
  const startedMs = performance.now();
  const until = next + calls;
  await run(until);
  const seconds = (performance.now() - startedMs) / 1_000;
  // Closing the limiter closes the store, and not the client that it was given.
  await limiter.close();
  return calls / seconds;
}

async function race(name: string, redis: Redis | null, calls: number): Promise<void> {
  const speeds = new Map(WAYS.map((way) => [way.name, [] as number[]]));
  for (let n = -1; n < ROUNDS; n++) {
    progress(`${name}, round ${n + 1} of ${ROUNDS}`);
    const order = WAYS.map((_, i) => WAYS[(i + Math.max(0, n)) % WAYS.length] as Way);
    for (const way of order) {
      const speed = await round(way, redis, calls);
      if (n >= 0) speeds.get(way.name)?.push(speed);
    }
  }
  const base = (way: Way) => speeds.get(way.customers === FEW ? "fixed quota" : "fixed quota, 50,000 customers") ?? [];
  const rows = WAYS.map((way) => {
    const own = speeds.get(way.name) ?? [];
    const ratio = median(own.map((speed, i) => speed / (base(way)[i] ?? Number.NaN)));
    return [way.name, number(median(own)), ratio.toFixed(2)];
  });
  console.log(`\n${name}, ${number(calls)} calls a round, ${IN_FLIGHT} in flight, ${ROUNDS} rounds\n`);
  console.log(table(["quota", "decisions/s", "to a fixed quota"], rows));
}

await race("Memory", null, CALLS);
const server = await startRedis();
const client = new Redis(server.port);
try {
  await race("Redis", client, CALLS);
} finally {
  client.disconnect();
  await server.stop();
}
