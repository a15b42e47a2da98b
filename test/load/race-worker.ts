// One of the processes of race.test.ts: callers that all want the same bucket, for a bounded time.

import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { createLimiter } from "tollgate";
import type { Store } from "tollgate/store";
import { redisStore } from "tollgate/stores/redis";
import { sqliteStore } from "tollgate/stores/sqlite";

export interface Race {
  /** The path of a SQLite file, or the URL of a Redis. */
  readonly home: string;
  readonly prefix: string;
  readonly quota: number;
  readonly callers: number;
  /** When all processes begin, epoch ms. */
  readonly startMs: number;
  readonly forMs: number;
}

export interface RaceResult {
  readonly admitted: number;
  readonly decisions: number;
  readonly longestStallMs: number;
}

let client: Redis | undefined;

function storeAt(home: string): Store {
  if (!home.startsWith("redis:")) return sqliteStore(home);
  client ??= new Redis(home, { autoResendUnfulfilledCommands: false });
  return redisStore(client);
}

async function race({ home, prefix, quota, callers, startMs, forMs }: Race): Promise<RaceResult> {
  const policy = { version: 1, limits: [{ name: "one-bucket", per: ["session"], quota }] } as const;
  const limiter = createLimiter({ policy, store: storeAt(home), prefix, failover: { deadlineMs: 10_000 } });
  const delay = monitorEventLoopDelay({ resolution: 5 });
  await sleep(startMs - Date.now());
  delay.enable();
  const endMs = startMs + forMs;
  let admitted = 0;
  let decisions = 0;
  await Promise.all(
    Array.from({ length: callers }, async () => {
      while (Date.now() < endMs) {
        const { allowed } = await limiter.consume({ tool: "search", session: "s1" });
        decisions++;
        if (allowed) admitted++;
      }
    }),
  );
  delay.disable();
  await limiter.close();
  return { admitted, decisions, longestStallMs: delay.max / 1e6 };
}

process.on("message", async (message: Race) => process.send?.(await race(message)));
process.on("disconnect", () => process.exit());
process.send?.("ready");
