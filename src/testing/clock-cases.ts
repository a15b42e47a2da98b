// What a store must do when its clock was ahead and is set right: no bucket is out of reach for longer than one window, one
// refill or one lease, and nothing that was spent or held is forgotten earlier than that.

import assert from "node:assert/strict";
import type { LimitSpec } from "../kernel/algorithms/registry.ts";
import { forEachAlgorithm, forEachHolder, quota, REMEMBERED_MS, WINDOW_MS } from "./limits.ts";
import { charge, grant, hold, LEASE_MS, read, report } from "./steps.ts";
import { storeCase, type StoreCase, type Trial } from "./trial.ts";

const DAY_MS = 86_400_000;

/** How long units stay spent at most: a sub-window longer where there are some. */
function longestMs(limit: LimitSpec): number {
  return limit.algorithm === "sliding-window" ? WINDOW_MS + WINDOW_MS / 10 - 1 : WINDOW_MS;
}

/** Runs on a clock that is a day ahead, and sets it right. */
async function aDayAhead(t: Trial, run: () => Promise<unknown>): Promise<void> {
  await t.advance(DAY_MS);
  await run();
  await t.advance(-DAY_MS);
}

/** A charge is denied for exactly as long as the first denial says, and that is `ms` at most. */
async function freeWithin(t: Trial, limit: LimitSpec, ms: number): Promise<void> {
  const { allowed, retryAfterMs } = await t.judge(charge("b", limit));
  assert.ok(!allowed && retryAfterMs !== null && retryAfterMs <= ms, `${retryAfterMs} ms`);
  await t.passesAfter(retryAfterMs, charge("b", limit));
}

export const clockCases: readonly StoreCase[] = [
  ...forEachAlgorithm("is free again within one window after the clock was a day ahead", async (t, limit) => {
    await aDayAhead(t, () => t.judge(charge("b", limit, 5)));
    await freeWithin(t, limit, longestMs(limit));
  }),
  ...forEachAlgorithm("is free again within one window after denials on a clock that was ahead", async (t, limit) => {
    await t.judge(charge("b", limit, 5));
    await aDayAhead(t, async () => {
      await t.force(charge("b", limit, 5));
      await t.judge(charge("b", limit));
    });
    await t.peek(read("b", limit));
    await freeWithin(t, limit, longestMs(limit));
  }),
  ...forEachAlgorithm("forgets nothing when the clock is set back by a little", async (t, limit) => {
    await t.judge(charge("b", limit, 5));
    for (const byMs of [1, 7, 150]) {
      await t.advance(-byMs);
      assert.equal(await t.usedOf("b", limit), 5);
      assert.equal((await t.judge(charge("b", limit))).allowed, false);
    }
  }),
  ...forEachHolder("ends a hold of a clock that was ahead after one lease", async (t, limit) => {
    const refund = { onExpiry: "refund" } as const;
    await aDayAhead(t, async () => {
      await t.judge(hold("b", limit, "long", 2, { ...refund, leaseMs: 2 * LEASE_MS }));
      await t.judge(hold("b", limit, "short", 3, refund));
    });
    const { retryAfterMs } = await t.judge(hold("b", limit, "next", 5));
    if (limit.algorithm !== "token-bucket") assert.equal(retryAfterMs, 2 * LEASE_MS);
    assert.ok((retryAfterMs ?? DAY_MS) <= 2 * LEASE_MS);
    await t.advance(LEASE_MS);
    assert.ok((await t.usedOf("b", limit)) <= 2);
    await t.advance(LEASE_MS);
    assert.equal(await t.usedOf("b", limit), 0);
  }),
  storeCase("ends a grant of a clock that was ahead after its own time", async (t) => {
    await aDayAhead(t, () => t.judge(grant("b", quota(5), "g1", 3)));
    await t.judge(charge("b", quota(5), 5));
    assert.equal((await t.judge(charge("b", quota(5)))).granted, 3);
    await t.advance(LEASE_MS);
    assert.equal((await t.judge(charge("b", quota(5), 2))).allowed, false);
  }),
  storeCase("gives an answer of a clock that was ahead again, for ten minutes from then on", async (t) => {
    const once = { key: "once", request: "r1" };
    const send = () => t.send({ mode: "judge", steps: [charge("b", quota(5))], once });
    await aDayAhead(t, send);
    assert.notEqual((await send()).replay, undefined);
    await t.advance(REMEMBERED_MS - 1);
    assert.notEqual((await send()).replay, undefined);
    await t.advance(1);
    assert.equal((await send()).replay, undefined);
  }),
  storeCase("fixed-window calendar: is free again within one window after the clock was in the next one", async (t) => {
    const nowMs = await t.nowMs();
    const lies = (ms: number) => {
      const boundaries = [nowMs + ms - 10, nowMs + ms + DAY_MS / 2, nowMs + ms + DAY_MS] as const;
      return { algorithm: "fixed-window", quota: 5, align: "calendar", boundaries } satisfies LimitSpec;
    };
    await aDayAhead(t, () => t.judge(charge("b", lies(DAY_MS), 5)));
    await freeWithin(t, lies(0), DAY_MS / 2 + 10);
  }),
  storeCase("elapsed: counts from now on in a scope that was first seen by a clock that was ahead", async (t) => {
    const limit: LimitSpec = { algorithm: "elapsed", quota: 50, ttlMs: WINDOW_MS };
    await aDayAhead(t, () => t.judge(charge("b", limit)));
    assert.equal((await t.judge(charge("b", limit))).used, 0);
    await t.advance(50);
    assert.equal((await t.judge(charge("b", limit))).resetAfterMs, WINDOW_MS - 50);
  }),
  storeCase("streak: is free again within one ttl after the clock was a day ahead", async (t) => {
    const limit: LimitSpec = { algorithm: "streak", quota: 1, ttlMs: WINDOW_MS };
    await aDayAhead(t, () => t.force(report("b", limit, "error")));
    await freeWithin(t, limit, WINDOW_MS);
  }),
];
