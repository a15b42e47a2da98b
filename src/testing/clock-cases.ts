// What a store must do when its clock was ahead and is set right: no bucket is out of reach for longer than one window, one
// refill or one lease, and nothing that was spent or held is forgotten earlier than that.

import assert from "node:assert/strict";
import type { LimitSpec } from "../kernel/algorithms/registry.ts";
import type { StepEvent } from "../kernel/request.ts";
import {
  answered,
  ask,
  charge,
  first,
  forEachAlgorithm,
  forEachHolder,
  hold,
  LEASE_MS,
  quota,
  REMEMBERED_MS,
  read,
  type StoreCase,
  type StoreFixture,
  usedOf,
  WINDOW_MS,
} from "./cases.ts";

const DAY_MS = 86_400_000;

/** How long units stay spent at most: a sub-window longer where there are some. */
function longestMs(limit: LimitSpec): number {
  return limit.algorithm === "sliding-window" ? WINDOW_MS + WINDOW_MS / 10 - 1 : WINDOW_MS;
}

/** Runs on a clock that is a day ahead, and sets it right. */
async function aDayAhead({ advance }: StoreFixture, run: () => Promise<unknown>): Promise<void> {
  await advance(DAY_MS);
  await run();
  await advance(-DAY_MS);
}

/** A charge is denied for exactly as long as the first denial says, and that is `ms` at most. */
async function freeWithin({ store, advance }: StoreFixture, limit: LimitSpec, ms: number): Promise<void> {
  const denied = first(await ask(store, "judge", charge("b", limit)));
  const waitMs = denied.retryAfterMs ?? Number.POSITIVE_INFINITY;
  assert.ok(!denied.allowed && waitMs > 0 && waitMs <= ms, `${waitMs} ms`);
  await advance(waitMs - 1);
  assert.equal(first(await ask(store, "judge", charge("b", limit))).retryAfterMs, 1);
  await advance(1);
  assert.equal(first(await ask(store, "judge", charge("b", limit))).allowed, true);
}

const event = (limit: LimitSpec, what: StepEvent) => ({ bucket: "b", limit, event: what });

export const clockCases: readonly StoreCase[] = [
  ...forEachAlgorithm("is free again within one window after the clock was a day ahead", async (fixture, limit) => {
    await aDayAhead(fixture, () => ask(fixture.store, "judge", charge("b", limit, 5)));
    await freeWithin(fixture, limit, longestMs(limit));
  }),

  ...forEachAlgorithm(
    "is free again within one window after denials on a clock that was ahead",
    async (fixture, limit) => {
      await ask(fixture.store, "judge", charge("b", limit, 5));
      await aDayAhead(fixture, async () => {
        await ask(fixture.store, "force", charge("b", limit, 5));
        await ask(fixture.store, "judge", charge("b", limit));
      });
      await ask(fixture.store, "peek", read("b", limit));
      await freeWithin(fixture, limit, longestMs(limit));
    },
  ),

  ...forEachAlgorithm("forgets nothing when the clock is set back by a little", async ({ store, advance }, limit) => {
    await ask(store, "judge", charge("b", limit, 5));
    for (const byMs of [1, 7, 150]) {
      await advance(-byMs);
      assert.equal(await usedOf(store, "b", limit), 5);
      assert.equal(first(await ask(store, "judge", charge("b", limit))).allowed, false);
    }
  }),

  ...forEachHolder("ends a hold of a clock that was ahead after one lease", async (fixture, limit) => {
    const { store, advance } = fixture;
    const refund = { onExpiry: "refund" } as const;
    await aDayAhead(fixture, async () => {
      await ask(store, "judge", hold("b", limit, "long", 2, { ...refund, leaseMs: 2 * LEASE_MS }));
      await ask(store, "judge", hold("b", limit, "short", 3, refund));
    });
    const { retryAfterMs } = first(await ask(store, "judge", hold("b", limit, "next", 5)));
    assert.equal(retryAfterMs, limit.algorithm === "token-bucket" ? retryAfterMs : 2 * LEASE_MS);
    assert.ok((retryAfterMs ?? DAY_MS) <= 2 * LEASE_MS);
    await advance(LEASE_MS);
    assert.ok((await usedOf(store, "b", limit)) <= 2);
    await advance(LEASE_MS);
    assert.equal(await usedOf(store, "b", limit), 0);
  }),

  {
    name: "ends a grant of a clock that was ahead after its own time",
    async run(fixture) {
      const { store, advance } = fixture;
      const granted = { type: "grant", id: "g1", units: 3, leaseMs: LEASE_MS } as const;
      await aDayAhead(fixture, () => ask(store, "judge", event(quota(5), granted)));
      await ask(store, "judge", charge("b", quota(5), 5));
      assert.equal(first(await ask(store, "judge", charge("b", quota(5)))).granted, 3);
      await advance(LEASE_MS);
      assert.equal(first(await ask(store, "judge", charge("b", quota(5), 2))).allowed, false);
    },
  },
  {
    name: "gives an answer of a clock that was ahead again, for ten minutes from then on",
    async run(fixture) {
      const { store, advance } = fixture;
      const limit = quota(5);
      const apply = async () => {
        const once = { key: "once", request: "r1" };
        const [reply] = await store.apply([{ mode: "judge", steps: [charge("b", limit)], once }]);
        return answered(reply);
      };
      await aDayAhead(fixture, apply);
      assert.notEqual((await apply()).replay, undefined);
      await advance(REMEMBERED_MS - 1);
      assert.notEqual((await apply()).replay, undefined);
      await advance(1);
      assert.equal((await apply()).replay, undefined);
    },
  },
  {
    name: "fixed-window calendar: is free again within one window after the clock was in the next one",
    async run(fixture) {
      const { store } = fixture;
      const { nowMs } = await ask(store, "peek");
      const lies = (ms: number) => {
        const boundaries = [nowMs + ms - 10, nowMs + ms + DAY_MS / 2, nowMs + ms + DAY_MS] as const;
        return { algorithm: "fixed-window", quota: 5, align: "calendar", boundaries } satisfies LimitSpec;
      };
      await aDayAhead(fixture, () => ask(store, "judge", charge("b", lies(DAY_MS), 5)));
      await freeWithin(fixture, lies(0), DAY_MS / 2 + 10);
    },
  },
  {
    name: "elapsed: counts from now on in a scope that was first seen by a clock that was ahead",
    async run(fixture) {
      const { store, advance } = fixture;
      const limit: LimitSpec = { algorithm: "elapsed", quota: 50, ttlMs: WINDOW_MS };
      await aDayAhead(fixture, () => ask(store, "judge", charge("b", limit)));
      assert.equal(first(await ask(store, "judge", charge("b", limit))).used, 0);
      await advance(50);
      assert.equal(first(await ask(store, "judge", charge("b", limit))).resetAfterMs, WINDOW_MS - 50);
    },
  },
  {
    name: "streak: is free again within one ttl after the clock was a day ahead",
    async run(fixture) {
      const limit: LimitSpec = { algorithm: "streak", quota: 1, ttlMs: WINDOW_MS };
      const report = event(limit, { type: "report", outcome: "error" });
      await aDayAhead(fixture, () => ask(fixture.store, "force", report));
      await freeWithin(fixture, limit, WINDOW_MS);
    },
  },
];
