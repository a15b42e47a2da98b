// One of the processes of wait-processes.test.ts: all of its calls wait for the same slots, and count those at work in Redis.

import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { createLimiter } from "tollgate";
import { redisStore } from "tollgate/stores/redis";

export interface SlotOrder {
  readonly url: string;
  readonly session: string;
  readonly slots: number;
  readonly calls: number;
}

export interface SlotReport {
  readonly allowed: number;
  /** Most that were at work at one time, in all processes. */
  readonly most: number;
}

async function compete({ url, session, slots, calls }: SlotOrder): Promise<SlotReport> {
  const redis = new Redis(url);
  const limiter = createLimiter({
    policy: {
      version: 1,
      limits: [{ name: "at-once", per: ["session"], algorithm: "concurrency", quota: slots, hold: { lease: "1m" } }],
    },
    store: redisStore(redis),
    // A busy machine must not begin an outage, in which each process decides by itself.
    failover: { deadlineMs: 60_000 },
  });
  let most = 0;
  const work = async () => {
    most = Math.max(most, await redis.incr(`${session}:at-work`));
    await sleep(60);
    await redis.decr(`${session}:at-work`);
  };
  const ran = await Promise.all(
    Array.from({ length: calls }, () => limiter.run({ tool: "model", session }, work, { maxWaitMs: 120_000 })),
  );
  await limiter.close();
  redis.disconnect();
  return { allowed: ran.filter(({ allowed }) => allowed).length, most };
}

process.once("message", async (order: SlotOrder) => {
  process.send?.(await compete(order));
});
process.send?.("ready");
