// What a store must do where outcomes or time are counted.

import assert from "node:assert/strict";
import { elapsed, quota, slots, streak, tokenBucket, window } from "./limits.ts";
import { charge, read, report } from "./steps.ts";
import { has, storeCase, type StoreCase } from "./trial.ts";

export const outcomeCases: readonly StoreCase[] = [
  storeCase("streak: denies after its number of equal outcomes in a row, until another outcome, or none", async (t) => {
    for (const [i, outcomes] of [["ok"], [null], ["ok", "error"]].entries()) {
      const bucket = `b${i}`;
      for (const _ of [1, 2]) await t.judge(report(bucket, streak, "error"));
      assert.equal((await t.judge(charge(bucket, streak))).allowed, false);
      for (const outcome of outcomes) await t.judge(report(bucket, streak, outcome));
      assert.equal((await t.judge(charge(bucket, streak))).allowed, true, bucket);
    }
  }),
  storeCase("streak: has the length of the streak, and is not changed by calls", async (t) => {
    assert.equal((await t.judge(report("b", streak, "error"))).used, 1);
    for (const _ of [1, 2, 3]) assert.equal((await t.judge(charge("b", streak))).allowed, true);
    assert.equal((await t.peek(report("b", streak, "error"))).used, 2);
    assert.equal(await t.usedOf("b", streak), 1);
    assert.equal((await t.judge(report("b", streak, "error"))).used, 2);
    assert.equal((await t.judge(report("b", streak, "x"))).used, 1);
    assert.equal((await t.judge(report("b", streak, null))).used, 0);
  }),
  storeCase("streak: forgets the streak a ttl after the last report", async (t) => {
    await t.judge(report("b", streak, "error"));
    await t.advance(streak.ttlMs - 1);
    await t.judge(report("b", streak, "error"));
    await t.advance(streak.ttlMs - 1);
    has(await t.judge(charge("b", streak)), { allowed: false, retryAfterMs: 1, resetAfterMs: 1 });
    await t.advance(1);
    assert.equal((await t.judge(charge("b", streak))).allowed, true);
  }),
  storeCase("changes nothing by a report where outcomes are not counted", async (t) => {
    for (const limit of [quota(5), window, tokenBucket, slots, elapsed]) {
      const bucket = limit.algorithm;
      await t.judge(charge(bucket, limit, limit === slots ? 0 : 1));
      const before = await t.peek(read(bucket, limit));
      for (const outcome of ["error", "error", null]) await t.judge(report(bucket, limit, outcome));
      const after = await t.peek(read(bucket, limit));
      assert.deepEqual([after.used, after.allowed], [before.used, true], bucket);
    }
  }),
  storeCase("elapsed: begins with the first call, also of nothing, and denies when its time is over", async (t) => {
    assert.deepEqual((await t.judge(charge("b", elapsed, 0))).used, 0);
    await t.advance(elapsed.quota - 1);
    const last = await t.judge(charge("b", elapsed, 0));
    has(last, { allowed: true, used: elapsed.quota - 1, resetAfterMs: elapsed.ttlMs });
    await t.advance(1);
    has(await t.judge(charge("b", elapsed, 0)), { allowed: false, used: elapsed.quota, retryAfterMs: null });
    await t.advance(elapsed.ttlMs - 2);
    assert.equal((await t.judge(charge("b", elapsed, 0))).allowed, false);
    await t.advance(1);
    assert.equal((await t.judge(charge("b", elapsed, 0))).used, 0);
  }),
  storeCase("elapsed: does not begin with a peek, or with a call that another step denies", async (t) => {
    await t.peek(charge("b", elapsed, 0));
    await t.judge(charge("b", elapsed, 0), charge("none", quota(0)));
    await t.advance(1);
    await t.judge(charge("b", elapsed, 0));
    assert.equal(await t.usedOf("b", elapsed), 0);
  }),
];
