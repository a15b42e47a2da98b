// One of the processes of wait.test.ts: calls that wait in one row, some of which give up.

import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { createLimiter } from "tollgate";
import type { Store, StoreRequest } from "tollgate/store";
import { redisStore } from "tollgate/stores/redis";
import { POLICY } from "./wait-policy.ts";

export interface Row {
  readonly url: string;
  readonly session: string;
  /** When all processes begin, epoch ms. */
  readonly startMs: number;
  /** Each call comes so long after that, and gives up after it has waited so long (`null`: it does not). */
  readonly calls: readonly { readonly user: string; readonly afterMs: number; readonly abortsAfterMs: number | null }[];
}

export interface Waited {
  readonly user: string;
  /** The store's time at which it was to be served. */
  readonly turnMs: number;
  /** When it was; `null` when it gave up. */
  readonly servedMs: number | null;
  /** How often it asked the store for something. */
  readonly asked: number;
}

/** A Redis store that remembers what it told whom. */
function told(url: string) {
  const inner = redisStore(new Redis(url, { autoResendUnfulfilledCommands: false }));
  const turns = new Map<string, number>();
  const asked = new Map<string, number>();
  const userOf = ({ steps }: StoreRequest) =>
    steps.map(({ bucket }) => /:(call-\w+)$/.exec(bucket)?.[1]).find(Boolean) ?? "";
  const store: Store = {
    ...(inner.layers === undefined ? {} : { layers: inner.layers }),
    ...(inner.batching === undefined ? {} : { batching: inner.batching }),
    close: () => inner.close(),
    async apply(requests) {
      const replies = await inner.apply(requests);
      for (const [i, request] of requests.entries()) {
        const user = userOf(request);
        const reply = replies[i];
        asked.set(user, (asked.get(user) ?? 0) + 1);
        if (reply !== undefined && "allowed" in reply && request.mode === "judge") {
          turns.set(user, reply.nowMs + (reply.waitMs ?? 0));
        }
      }
      return replies;
    },
  };
  return { store, turns, asked };
}

async function wait({ url, session, startMs, calls }: Row): Promise<Waited[]> {
  const { store, turns, asked } = told(url);
  const limiter = createLimiter({ policy: POLICY, store, failover: { deadlineMs: 10_000 } });
  await sleep(startMs - Date.now());
  const served = await Promise.all(
    calls.map(async ({ user, afterMs, abortsAfterMs }) => {
      await sleep(afterMs);
      const signal = abortsAfterMs === null ? undefined : AbortSignal.timeout(abortsAfterMs);
      try {
        const { allowed } = await limiter.consume({ tool: "search", session, user }, { maxWaitMs: 60_000, signal });
        if (!allowed) throw new Error("a call with a minute's time was denied");
        return performance.timeOrigin + performance.now();
      } catch (error) {
        if (signal?.aborted) return null;
        throw error;
      }
    }),
  );
  // What was given up is still on its way.
  await sleep(200);
  return calls.map(({ user }, i) => ({
    user,
    turnMs: turns.get(user) ?? Number.NaN,
    servedMs: served[i] ?? null,
    asked: asked.get(user) ?? 0,
  }));
}

process.on("message", async (row: Row) => {
  process.send?.(await wait(row));
  process.exit();
});
process.send?.("ready");
