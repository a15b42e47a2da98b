// One of the processes of race.test.ts: callers that all want the same bucket, for a bounded time.

import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { createLimiter } from "tollgate";
import { sqliteStore } from "tollgate/stores/sqlite";

export interface Race {
  readonly file: string;
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

let stores = new Map<string, ReturnType<typeof sqliteStore>>();

async function race({ file, prefix, quota, callers, startMs, forMs }: Race): Promise<RaceResult> {
  const store = stores.get(file) ?? sqliteStore(file);
  stores = new Map([[file, store]]);
  const policy = { version: 1, limits: [{ name: "one-bucket", per: ["session"], quota }] } as const;
  const limiter = createLimiter({ policy, store, prefix });
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  await sleep(startMs - Date.now());
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
  return { admitted, decisions, longestStallMs: delay.max / 1e6 };
}

process.on("message", async (message: Race) => process.send?.(await race(message)));
process.on("disconnect", () => process.exit());
process.send?.("ready");
