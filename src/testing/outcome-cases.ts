// What a store must do where outcomes or time are counted.

import assert from "node:assert/strict";
import { ask, charge, first, quota, read, type StoreCase, slots, tokenBucket, usedOf } from "./cases.ts";
import { elapsed, report, streak, window } from "./step-parts.ts";

export const streakCases: readonly StoreCase[] = [
  {
    name: "streak: denies after as many equal outcomes in a row as it may, until another one, or none",
    async run({ store }) {
      for (const [i, outcomes] of [["ok"], [null], ["ok", "error"]].entries()) {
        const bucket = `b${i}`;
        for (const _ of [1, 2]) await ask(store, "judge", report(bucket, streak, "error"));
        assert.equal((await ask(store, "judge", charge(bucket, streak))).allowed, false);
        for (const outcome of outcomes) await ask(store, "judge", report(bucket, streak, outcome));
        assert.equal((await ask(store, "judge", charge(bucket, streak))).allowed, true, bucket);
      }
    },
  },
  {
    name: "streak: says how long its row is, and is not changed by calls",
    async run({ store }) {
      assert.equal(first(await ask(store, "judge", report("b", streak, "error"))).used, 1);
      for (const _ of [1, 2, 3]) assert.equal((await ask(store, "judge", charge("b", streak))).allowed, true);
      assert.equal(first(await ask(store, "peek", report("b", streak, "error"))).used, 2);
      assert.equal(await usedOf(store, "b", streak), 1);
      assert.equal(first(await ask(store, "judge", report("b", streak, "error"))).used, 2);
      assert.equal(first(await ask(store, "judge", report("b", streak, "x"))).used, 1);
      assert.equal(first(await ask(store, "judge", report("b", streak, null))).used, 0);
    },
  },
  {
    name: "streak: forgets its row a ttl after the last report",
    async run({ store, advance }) {
      await ask(store, "judge", report("b", streak, "error"));
      await advance(streak.ttlMs - 1);
      await ask(store, "judge", report("b", streak, "error"));
      await advance(streak.ttlMs - 1);
      const { allowed, retryAfterMs, resetAfterMs } = first(await ask(store, "judge", charge("b", streak)));
      assert.deepEqual([allowed, retryAfterMs, resetAfterMs], [false, 1, 1]);
      await advance(1);
      assert.equal((await ask(store, "judge", charge("b", streak))).allowed, true);
    },
  },
  {
    name: "changes nothing by a report where outcomes are not counted",
    async run({ store }) {
      for (const limit of [quota(5), window, tokenBucket, slots, elapsed]) {
        const bucket = limit.algorithm;
        await ask(store, "judge", charge(bucket, limit, limit === slots ? 0 : 1));
        const before = first(await ask(store, "peek", read(bucket, limit)));
        for (const outcome of ["error", "error", null]) await ask(store, "judge", report(bucket, limit, outcome));
        const after = first(await ask(store, "peek", read(bucket, limit)));
        assert.deepEqual([after.used, after.allowed], [before.used, true], bucket);
      }
    },
  },
];

export const elapsedCases: readonly StoreCase[] = [
  {
    name: "elapsed: begins with the first call, also of nothing, and denies when its time is over",
    async run({ store, advance }) {
      assert.deepEqual(first(await ask(store, "judge", charge("b", elapsed, 0))).used, 0);
      await advance(elapsed.quota - 1);
      const last = first(await ask(store, "judge", charge("b", elapsed, 0)));
      assert.deepEqual([last.allowed, last.used, last.resetAfterMs], [true, elapsed.quota - 1, elapsed.ttlMs]);
      await advance(1);
      const over = first(await ask(store, "judge", charge("b", elapsed, 0)));
      assert.deepEqual([over.allowed, over.used, over.retryAfterMs], [false, elapsed.quota, null]);
      await advance(elapsed.ttlMs - 2);
      assert.equal((await ask(store, "judge", charge("b", elapsed, 0))).allowed, false);
      await advance(1);
      assert.equal(first(await ask(store, "judge", charge("b", elapsed, 0))).used, 0);
    },
  },
  {
    name: "elapsed: does not begin with a peek, or with a call that another step denies",
    async run({ store, advance }) {
      await ask(store, "peek", charge("b", elapsed, 0));
      await ask(store, "judge", charge("b", elapsed, 0), charge("none", quota(0)));
      await advance(1);
      await ask(store, "judge", charge("b", elapsed, 0));
      assert.equal(await usedOf(store, "b", elapsed), 0);
    },
  },
];
