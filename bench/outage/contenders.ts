// Who decides while Redis is away: Tollgate, and a peer, each in two settings. One contender is one instance, with a client
// of its own.

import { Redis, type RedisOptions } from "ioredis";
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes, RLWrapperTimeouts } from "rate-limiter-flexible";
import { createLimiter, type FailoverOptions, type PolicyInput } from "tollgate";
import { redisStore } from "tollgate/stores/redis";

export const PEER = "rate-limiter-flexible";
export const QUOTA = 1_000;
export const INSTANCES = 3;
/** What Tollgate waits for Redis by default, and so the peer. */
export const DEADLINE_MS = 250;
const WINDOW_SECONDS = 600;
const SESSION = "s1";
/** Of every client. By default ioredis waits longer each time, and differently long, so that recovery is a matter of luck. */
const CLIENT = { lazyConnect: true, enableOfflineQueue: false, retryStrategy: () => 100 } satisfies RedisOptions;

/** One instance of what decides. */
export interface Contender {
  /** @throws when it neither allows nor denies */
  decide(): Promise<{ readonly allowed: boolean; readonly degraded: boolean }>;
  close(): Promise<void>;
}

/** A way to limit one session of `QUOTA` calls in 10 minutes. */
export interface Way {
  readonly name: string;
  /** An instance that has reached the Redis behind this port. */
  open(port: number): Promise<Contender>;
  /** Units that Redis holds as spent. */
  count(control: Redis): Promise<number>;
}

const POLICY: PolicyInput = {
  version: 1,
  limits: [
    { name: "session", per: ["session"], quota: QUOTA, algorithm: "fixed-window", window: "10m", align: "first-use" },
  ],
};

function tollgate(name: string, failover: FailoverOptions): Way {
  return {
    name,
    async open(port) {
      const client = new Redis(port, CLIENT).on("error", () => {});
      await client.connect();
      const limiter = createLimiter({ policy: POLICY, store: redisStore(client), failover });
      return {
        async decide() {
          const { allowed, degraded } = await limiter.consume({ tool: "search", session: SESSION });
          return { allowed, degraded: degraded !== null };
        },
        async close() {
          await limiter.close();
          client.disconnect();
        },
      };
    },
    async count(control) {
      const limiter = createLimiter({ policy: POLICY, store: redisStore(control), failover: false });
      const [usage] = await limiter.usage({ session: SESSION });
      await limiter.close();
      return usage?.used ?? 0;
    },
  };
}

/** Its insurance is each instance's share of the quota. */
function peer(name: string, wrap: (limiter: RateLimiterRedis) => Pick<RateLimiterRedis, "consume">): Way {
  const keyPrefix = "session";
  return {
    name,
    async open(port) {
      const client = new Redis(port, CLIENT).on("error", () => {});
      await client.connect();
      const limiter = wrap(
        new RateLimiterRedis({
          storeClient: client,
          keyPrefix,
          points: QUOTA,
          duration: WINDOW_SECONDS,
          rejectIfRedisNotReady: true,
          insuranceLimiter: new RateLimiterMemory({
            points: Math.floor(QUOTA / INSTANCES),
            duration: WINDOW_SECONDS,
          }),
        }),
      );
      return {
        async decide() {
          try {
            await limiter.consume(SESSION);
            return { allowed: true, degraded: false };
          } catch (denial) {
            if (!(denial instanceof RateLimiterRes)) throw denial;
            return { allowed: false, degraded: false };
          }
        },
        close: async () => client.disconnect(),
      };
    },
    async count(control) {
      const count = Number(await control.get(`${keyPrefix}:${SESSION}`));
      if (count > QUOTA) throw new Error(`${name}: its count of ${count} holds denied calls, which are no units`);
      return count;
    },
  };
}

export const WAYS: readonly Way[] = [
  tollgate("Tollgate", {}),
  tollgate(`Tollgate, instances: ${INSTANCES}`, { instances: INSTANCES }),
  peer(PEER, (limiter) => limiter),
  peer(`${PEER}, RLWrapperTimeouts`, (limiter) => new RLWrapperTimeouts({ limiter, timeoutMs: DEADLINE_MS })),
];
