// What a store must do with charges, reads and resets.

import assert from "node:assert/strict";
import type { LimitSpec } from "../kernel/algorithms/registry.ts";
import {
  answered,
  ask,
  charge,
  first,
  forEachAlgorithm,
  tokenBucket,
  quota,
  read,
  reset,
  type StoreCase,
  usedOf,
  WINDOW_MS,
} from "./cases.ts";

export const chargeCases: readonly StoreCase[] = [
  ...forEachAlgorithm("admits the quota and not one unit more", async ({ store }, limit) => {
    for (const expected of [1, 2, 3, 4, 5]) {
      const { allowed, used, retryAfterMs } = first(await ask(store, "judge", charge("b", limit)));
      assert.deepEqual({ allowed, used, retryAfterMs }, { allowed: true, used: expected, retryAfterMs: 0 });
    }
    const denied = await ask(store, "judge", charge("b", limit));
    assert.equal(denied.allowed, false);
    assert.equal(await usedOf(store, "b", limit), 5);
  }),

  ...forEachAlgorithm(
    "denies one ms before the promised retry, and admits at it",
    async ({ store, advance }, limit) => {
      await ask(store, "judge", charge("b", limit, 5));
      const { retryAfterMs } = first(await ask(store, "judge", charge("b", limit)));
      assert.ok(retryAfterMs !== null && retryAfterMs > 0);
      await advance(retryAfterMs - 1);
      assert.equal(first(await ask(store, "peek", charge("b", limit))).retryAfterMs, 1);
      await advance(1);
      assert.equal((await ask(store, "judge", charge("b", limit))).allowed, true);
    },
  ),

  ...forEachAlgorithm("has everything free again after the promised reset", async ({ store, advance }, limit) => {
    const { resetAfterMs } = first(await ask(store, "judge", charge("b", limit, 5)));
    await advance(resetAfterMs - 1);
    assert.ok((await usedOf(store, "b", limit)) > 0);
    await advance(1);
    assert.equal(await usedOf(store, "b", limit), 0);
    assert.equal((await ask(store, "judge", charge("b", limit, 5))).allowed, true);
  }),

  ...forEachAlgorithm("never admits a cost above its capacity", async ({ store }, limit) => {
    const step = first(await ask(store, "judge", charge("b", limit, 6)));
    assert.deepEqual(step, { allowed: false, used: 0, resetAfterMs: 0, retryAfterMs: null });
  }),

  ...forEachAlgorithm(
    "books nothing for an unknown cost, and denies it when nothing is left",
    async ({ store }, limit) => {
      assert.equal((await ask(store, "judge", charge("b", limit, 0))).allowed, true);
      assert.equal(await usedOf(store, "b", limit), 0);
      await ask(store, "judge", charge("b", limit, 5));
      assert.equal((await ask(store, "judge", charge("b", limit, 0))).allowed, false);
    },
  ),

  ...forEachAlgorithm("admits exactly the quota of many concurrent calls", async ({ store }, limit) => {
    const asked = Array.from({ length: 50 }, () => ask(store, "judge", charge("b", limit)));
    const replies = await Promise.all(asked);
    assert.equal(replies.filter(({ allowed }) => allowed).length, 5);
  }),

  ...forEachAlgorithm(
    "books a forced charge whole, and lets nothing pass until it is paid off",
    async (fixture, limit) => {
      const { store, advance } = fixture;
      await ask(store, "judge", charge("b", limit, 3));
      const forced = await ask(store, "force", charge("b", limit, 4));
      assert.deepEqual([forced.allowed, first(forced).allowed, first(forced).used], [false, false, 7]);
      const denied = first(await ask(store, "judge", charge("b", limit)));
      const { retryAfterMs } = denied;
      assert.deepEqual([denied.allowed, denied.used], [false, 7]);
      assert.ok(retryAfterMs !== null && retryAfterMs > 0);
      await advance(retryAfterMs - 1);
      assert.equal(first(await ask(store, "judge", charge("b", limit))).retryAfterMs, 1);
      await advance(1);
      assert.equal((await ask(store, "judge", charge("b", limit))).allowed, true);
    },
  ),

  ...forEachAlgorithm("answers a forced charge as if it were judged", async ({ store }, limit) => {
    const fits = first(await ask(store, "force", charge("b", limit, 5)));
    assert.deepEqual([fits.allowed, fits.used, fits.retryAfterMs], [true, 5, 0]);
    const never = first(await ask(store, "force", charge("b", limit, 6)));
    assert.deepEqual([never.allowed, never.used, never.retryAfterMs], [false, 11, null]);
    const unknown = first(await ask(store, "force", charge("b", limit, 0)));
    assert.deepEqual([unknown.allowed, unknown.used], [false, 11]);
  }),

  ...forEachAlgorithm("counts no further than numbers are exact", async ({ store }, limit) => {
    const most =
      limit.algorithm === "token-bucket" ? Math.floor(2 ** 52 / limit.levelPerUnit) : Number.MAX_SAFE_INTEGER;
    for (const cost of [Number.MAX_SAFE_INTEGER - 1, 1, 1, Number.MAX_SAFE_INTEGER]) {
      await ask(store, "force", charge("b", limit, cost));
    }
    assert.equal(await usedOf(store, "b", limit), most);
    assert.equal((await ask(store, "judge", charge("b", limit))).allowed, false);
  }),

  ...forEachAlgorithm("says how a bucket stands, then empties it, on reset", async ({ store }, limit) => {
    await ask(store, "judge", charge("b", limit, 3));
    const step = first(await ask(store, "judge", reset("b", limit)));
    assert.equal(step.used, 3);
    assert.equal(await usedOf(store, "b", limit), 0);
  }),

  {
    name: "books all steps of a request or none, and judges all of them",
    async run({ store }) {
      await ask(store, "judge", charge("full", quota(2), 2));
      const steps = [charge("a", quota(9)), charge("full", quota(2)), charge("b", quota(9)), charge("c", quota(0))];
      const reply = await ask(store, "judge", ...steps);
      assert.equal(reply.allowed, false);
      assert.deepEqual(
        reply.steps.map(({ allowed, used }) => [allowed, used]),
        [
          [true, 0],
          [false, 2],
          [true, 0],
          [false, 0],
        ],
      );
      for (const bucket of ["a", "b", "c"]) assert.equal(await usedOf(store, bucket, quota(9)), 0);
    },
  },
  {
    name: "books all steps of a forced request, also where one is denied",
    async run({ store }) {
      await ask(store, "judge", charge("full", quota(2), 2));
      const steps = [charge("a", quota(9)), charge("full", quota(2)), charge("b", quota(9)), charge("c", quota(0))];
      const reply = await ask(store, "force", ...steps);
      assert.equal(reply.allowed, false);
      assert.deepEqual(
        reply.steps.map(({ allowed, used }) => [allowed, used]),
        [
          [true, 1],
          [false, 3],
          [true, 1],
          [false, 1],
        ],
      );
      for (const [bucket, used] of Object.entries({ a: 1, full: 3, b: 1, c: 1 })) {
        assert.equal(await usedOf(store, bucket, quota(9)), used);
      }
    },
  },
  {
    name: "lets a forced charge restart the ttl, also past the quota",
    async run({ store, advance }) {
      await ask(store, "judge", charge("b", quota(1)));
      await advance(WINDOW_MS - 1);
      assert.equal(first(await ask(store, "force", charge("b", quota(1)))).retryAfterMs, WINDOW_MS);
      await advance(WINDOW_MS - 1);
      assert.equal(await usedOf(store, "b", quota(1)), 2);
      await advance(1);
      assert.equal(await usedOf(store, "b", quota(1)), 0);
    },
  },
  {
    name: "lets the debt of a token bucket run off at its rate, and keeps it when the rate is changed",
    async run({ store, advance }) {
      const { resetAfterMs } = first(await ask(store, "force", charge("b", tokenBucket, 8)));
      assert.equal(resetAfterMs, 1_600);
      assert.equal(first(await ask(store, "judge", charge("b", tokenBucket))).retryAfterMs, 800);
      await advance(600);
      assert.equal(await usedOf(store, "b", tokenBucket), 5);
      const other: LimitSpec = { ...tokenBucket, levelPerUnit: 100 };
      await ask(store, "force", charge("b", tokenBucket, 3));
      assert.equal(await usedOf(store, "b", other), 8);
    },
  },
  {
    name: "answers a peek as if it were booked, and books nothing",
    async run({ store }) {
      assert.equal(first(await ask(store, "peek", charge("b", quota(5), 2))).used, 2);
      assert.equal(await usedOf(store, "b", quota(5)), 0);
    },
  },
  {
    name: "decides a batch in order, as if one by one, also on one bucket",
    async run({ store }) {
      const step = charge("b", quota(2));
      const requests = [
        { mode: "judge", steps: [step] },
        { mode: "peek", steps: [step] },
        { mode: "judge", steps: [step, charge("other", quota(1))] },
        { mode: "judge", steps: [step] },
        { mode: "force", steps: [step] },
        { mode: "judge", steps: [reset("b", quota(2))] },
        { mode: "judge", steps: [step] },
      ] as const;
      const replies = (await store.apply(requests)).map(answered);
      assert.deepEqual(
        replies.map((reply) => [reply.allowed, first(reply).used]),
        [
          [true, 1],
          [true, 2],
          [true, 2],
          [false, 2],
          [false, 3],
          [true, 3],
          [true, 1],
        ],
      );
      assert.equal(new Set(replies.map(({ nowMs }) => nowMs)).size, 1);
    },
  },
  {
    name: "lets denials and peeks restart no ttl, and bookings do",
    async run({ store, advance }) {
      await ask(store, "judge", charge("b", quota(2), 1));
      await advance(WINDOW_MS - 1);
      await ask(store, "judge", charge("b", quota(2), 2));
      await ask(store, "peek", charge("b", quota(2), 1));
      assert.equal(first(await ask(store, "judge", charge("b", quota(2), 1))).resetAfterMs, WINDOW_MS);
      await advance(WINDOW_MS - 1);
      assert.equal(first(await ask(store, "judge", charge("b", quota(2), 1))).retryAfterMs, 1);
      await advance(1);
      assert.equal(await usedOf(store, "b", quota(2)), 0);
    },
  },
  {
    name: "takes a state of another algorithm for no state",
    async run({ store }) {
      await ask(store, "judge", charge("b", tokenBucket, 5));
      assert.equal((await ask(store, "judge", charge("b", quota(5), 5))).allowed, true);
      assert.equal(await usedOf(store, "b", quota(5)), 5);
    },
  },
  {
    name: "leaves a state of another algorithm as it is where nothing is booked on it, unless it is reset",
    async run({ store }) {
      await ask(store, "judge", charge("b", tokenBucket, 5));
      for (const mode of ["judge", "force"] as const) {
        const reply = await ask(store, mode, charge("a", quota(9)), read("b", quota(5)));
        assert.equal(reply.steps[1]?.used, 0);
        await ask(store, mode, charge("a", quota(9)), charge("b", quota(5), 0));
      }
      assert.equal(await usedOf(store, "b", tokenBucket), 5);
      assert.equal(await usedOf(store, "a", quota(9)), 4);
      await ask(store, "judge", reset("b", quota(5)));
      assert.equal(await usedOf(store, "b", tokenBucket), 0);
    },
  },
  {
    name: "counts to 2^53 - 1 exactly",
    async run({ store }) {
      const most = quota(Number.MAX_SAFE_INTEGER);
      await ask(store, "judge", charge("b", most, Number.MAX_SAFE_INTEGER - 1));
      assert.equal((await ask(store, "judge", charge("b", most, 2))).allowed, false);
      assert.equal(first(await ask(store, "judge", charge("b", most, 1))).used, Number.MAX_SAFE_INTEGER);
    },
  },
];
