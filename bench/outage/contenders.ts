// The limiters that decide while Redis is away: Tollgate and a peer, each in two settings. One contender is one instance,
// with a client of its own.

import { Redis, type RedisOptions } from "ioredis";
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes, RLWrapperTimeouts } from "rate-limiter-flexible";
import { createLimiter, type FailoverOptions, type PolicyInput } from "tollgate";
import { redisStore } from "tollgate/stores/redis";
import { PEER } from "../calls.ts";

export const QUOTA = 1_000;
export const INSTANCES = 3;
/** What Tollgate waits for Redis by default, and so does the peer. */
export const DEADLINE_MS = 250;
const WINDOW_SECONDS = 600;
const SESSION = "s1";
/** By default ioredis waits longer and longer, with random parts, so that the recovery would depend on chance. */
const CLIENT = { lazyConnect: true, enableOfflineQueue: false, retryStrategy: () => 100 } satisfies RedisOptions;

export interface Contender {
  /** @throws when it neither allows nor denies */
  decide(): Promise<{ readonly allowed: boolean; readonly degraded: boolean }>;
  close(): Promise<void>;
}

/** A way to limit one session to `QUOTA` calls in 10 minutes. */
export interface Way {
  readonly name: string;
  /** An instance that has connected to the Redis behind this port. */
  open(port: number): Promise<Contender>;
  /** Units that are spent by Redis' count. */
  count(control: Redis): Promise<number>;
}

const POLICY: PolicyInput = {
  version: 1,
  limits: [
    { name: "session", per: ["session"], quota: QUOTA, algorithm: "fixed-window", window: "10m", align: "first-use" },
  ],
};

async function connected(port: number): Promise<Redis> {
  const client = new Redis(port, CLIENT).on("error", () => {});
  await client.connect();
  return client;
}

const tollgate = (name: string, failover: FailoverOptions): Way => ({
  name,
  async open(port) {
    const client = await connected(port);
    const limiter = createLimiter({ policy: POLICY, store: redisStore(client), failover });
    return {
      async decide() {
        const { allowed, degraded } = await limiter.consume({ tool: "search", session: SESSION });
        return { allowed, degraded: degraded !== null };
      },
      close: () => limiter.close().finally(() => client.disconnect()),
    };
  },
  async count(control) {
    const limiter = createLimiter({ policy: POLICY, store: redisStore(control), failover: false });
    const [usage] = await limiter.usage({ session: SESSION });
    await limiter.close();
    return usage?.used ?? 0;
  },
});

/** Its insurance is each instance's share of the quota. */
const peer = (name: string, wrap: (limiter: RateLimiterRedis) => Pick<RateLimiterRedis, "consume">): Way => ({
  name,
  async open(port) {
    const client = await connected(port);
    const share = { points: Math.floor(QUOTA / INSTANCES), duration: WINDOW_SECONDS };
    const limiter = wrap(
      new RateLimiterRedis({
        storeClient: client,
        keyPrefix: "session",
        points: QUOTA,
        duration: WINDOW_SECONDS,
        rejectIfRedisNotReady: true,
        insuranceLimiter: new RateLimiterMemory(share),
      }),
    );
    const denied = (error: unknown) => {
      if (error instanceof RateLimiterRes) return false;
      throw error;
    };
    return {
      decide: async () => ({ allowed: await limiter.consume(SESSION).then(() => true, denied), degraded: false }),
      close: async () => client.disconnect(),
    };
  },
  async count(control) {
    const count = Number(await control.get(`session:${SESSION}`));
    if (count > QUOTA) throw new Error(`${name}: its count of ${count} holds denied calls, which are no units`);
    return count;
  },
});

export const WAYS: readonly Way[] = [
  tollgate("Tollgate", {}),
  tollgate(`Tollgate, instances: ${INSTANCES}`, { instances: INSTANCES }),
  peer(PEER, (limiter) => limiter),
  peer(`${PEER}, RLWrapperTimeouts`, (limiter) => new RLWrapperTimeouts({ limiter, timeoutMs: DEADLINE_MS })),
];
