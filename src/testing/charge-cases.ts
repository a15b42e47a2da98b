// What a store must do with charges, reads and resets.

import assert from "node:assert/strict";
import type { LimitSpec } from "../kernel/algorithms/registry.ts";
import { forEachAlgorithm, quota, tokenBucket, WINDOW_MS } from "./limits.ts";
import { charge, read, reset } from "./steps.ts";
import { each, has, storeCase, type StoreCase, type Trial } from "./trial.ts";

/** Four charges, of which two are denied, lead to this use of their buckets. */
async function deniesSteps(t: Trial, mode: "judge" | "force", used: Readonly<Record<string, number>>): Promise<void> {
  await t.judge(charge("full", quota(2), 2));
  const steps = [charge("a", quota(9)), charge("full", quota(2)), charge("b", quota(9)), charge("c", quota(0))];
  const reply = await t.ask(mode, ...steps);
  assert.equal(reply.allowed, false);
  assert.deepEqual(each(reply.steps, "allowed"), [true, false, true, false]);
  assert.deepEqual(each(reply.steps, "used"), Object.values(used));
  for (const [bucket, units] of Object.entries(used)) assert.equal(await t.usedOf(bucket, quota(9)), units);
}

export const chargeCases: readonly StoreCase[] = [
  ...forEachAlgorithm("admits the quota and not one unit more", async (t, limit) => {
    for (const expected of [1, 2, 3, 4, 5]) {
      has(await t.judge(charge("b", limit)), { allowed: true, used: expected, retryAfterMs: 0 });
    }
    assert.equal((await t.judge(charge("b", limit))).allowed, false);
    assert.equal(await t.usedOf("b", limit), 5);
  }),
  ...forEachAlgorithm("denies one ms before the promised retry, and admits at it", async (t, limit) => {
    await t.judge(charge("b", limit, 5));
    const { retryAfterMs } = await t.judge(charge("b", limit));
    await t.passesAfter(retryAfterMs, charge("b", limit));
  }),
  ...forEachAlgorithm("has everything free again after the promised reset", async (t, limit) => {
    const { resetAfterMs } = await t.judge(charge("b", limit, 5));
    await t.advance(resetAfterMs - 1);
    assert.ok((await t.usedOf("b", limit)) > 0);
    await t.advance(1);
    assert.equal(await t.usedOf("b", limit), 0);
    assert.equal((await t.judge(charge("b", limit, 5))).allowed, true);
  }),
  ...forEachAlgorithm("never admits a cost above its capacity", async (t, limit) => {
    const step = await t.judge(charge("b", limit, 6));
    assert.deepEqual(step, { allowed: false, used: 0, resetAfterMs: 0, retryAfterMs: null });
  }),
  ...forEachAlgorithm("books nothing for an unknown cost, and denies it when nothing is left", async (t, limit) => {
    assert.equal((await t.judge(charge("b", limit, 0))).allowed, true);
    assert.equal(await t.usedOf("b", limit), 0);
    await t.judge(charge("b", limit, 5));
    assert.equal((await t.judge(charge("b", limit, 0))).allowed, false);
  }),
  ...forEachAlgorithm("admits exactly the quota of many concurrent calls", async (t, limit) => {
    const replies = await Promise.all(Array.from({ length: 50 }, () => t.judge(charge("b", limit))));
    assert.equal(replies.filter(({ allowed }) => allowed).length, 5);
  }),
  ...forEachAlgorithm("books a forced charge whole, and lets nothing pass until it is paid off", async (t, limit) => {
    await t.judge(charge("b", limit, 3));
    has(await t.force(charge("b", limit, 4)), { allowed: false, used: 7 });
    const denied = await t.judge(charge("b", limit));
    has(denied, { allowed: false, used: 7 });
    await t.passesAfter(denied.retryAfterMs, charge("b", limit));
  }),
  ...forEachAlgorithm("answers a forced charge as if it were judged", async (t, limit) => {
    has(await t.force(charge("b", limit, 5)), { allowed: true, used: 5, retryAfterMs: 0 });
    has(await t.force(charge("b", limit, 6)), { allowed: false, used: 11, retryAfterMs: null });
    has(await t.force(charge("b", limit, 0)), { allowed: false, used: 11 });
  }),
  ...forEachAlgorithm("counts no further than numbers are exact", async (t, limit) => {
    const most =
      limit.algorithm === "token-bucket" ? Math.floor(2 ** 52 / limit.levelPerUnit) : Number.MAX_SAFE_INTEGER;
    for (const cost of [Number.MAX_SAFE_INTEGER - 1, 1, 1, Number.MAX_SAFE_INTEGER]) {
      await t.force(charge("b", limit, cost));
    }
    assert.equal(await t.usedOf("b", limit), most);
    assert.equal((await t.judge(charge("b", limit))).allowed, false);
  }),
  ...forEachAlgorithm("says how a bucket stands, then empties it, on reset", async (t, limit) => {
    await t.judge(charge("b", limit, 3));
    assert.equal((await t.judge(reset("b", limit))).used, 3);
    assert.equal(await t.usedOf("b", limit), 0);
  }),
  storeCase("books all steps of a request or none, and judges all of them", async (t) => {
    await deniesSteps(t, "judge", { a: 0, full: 2, b: 0, c: 0 });
  }),
  storeCase("books all steps of a forced request, also where one is denied", async (t) => {
    await deniesSteps(t, "force", { a: 1, full: 3, b: 1, c: 1 });
  }),
  storeCase("lets a forced charge restart the ttl, also past the quota", async (t) => {
    await t.judge(charge("b", quota(1)));
    await t.advance(WINDOW_MS - 1);
    assert.equal((await t.force(charge("b", quota(1)))).retryAfterMs, WINDOW_MS);
    await t.advance(WINDOW_MS - 1);
    assert.equal(await t.usedOf("b", quota(1)), 2);
    await t.advance(1);
    assert.equal(await t.usedOf("b", quota(1)), 0);
  }),
  storeCase("lets the debt of a token bucket run off at its rate, and keeps it when the rate is changed", async (t) => {
    const { resetAfterMs } = await t.force(charge("b", tokenBucket, 8));
    assert.equal(resetAfterMs, 1_600);
    assert.equal((await t.judge(charge("b", tokenBucket))).retryAfterMs, 800);
    await t.advance(600);
    assert.equal(await t.usedOf("b", tokenBucket), 5);
    const other: LimitSpec = { ...tokenBucket, levelPerUnit: 100 };
    await t.force(charge("b", tokenBucket, 3));
    assert.equal(await t.usedOf("b", other), 8);
  }),
  storeCase("answers a peek as if it were booked, and books nothing", async (t) => {
    assert.equal((await t.peek(charge("b", quota(5), 2))).used, 2);
    assert.equal(await t.usedOf("b", quota(5)), 0);
  }),
  storeCase("decides a batch in order, as if one by one, also on one bucket", async (t) => {
    const step = charge("b", quota(2));
    await t.decidesInOrder([
      ["judge", [step], true, 1],
      ["peek", [step], true, 2],
      ["judge", [step, charge("other", quota(1))], true, 2],
      ["judge", [step], false, 2],
      ["force", [step], false, 3],
      ["judge", [reset("b", quota(2))], true, 3],
      ["judge", [step], true, 1],
    ]);
  }),
  storeCase("lets denials and peeks restart no ttl, and bookings do", async (t) => {
    await t.judge(charge("b", quota(2), 1));
    await t.advance(WINDOW_MS - 1);
    await t.judge(charge("b", quota(2), 2));
    await t.peek(charge("b", quota(2), 1));
    assert.equal((await t.judge(charge("b", quota(2), 1))).resetAfterMs, WINDOW_MS);
    await t.advance(WINDOW_MS - 1);
    assert.equal((await t.judge(charge("b", quota(2), 1))).retryAfterMs, 1);
    await t.advance(1);
    assert.equal(await t.usedOf("b", quota(2)), 0);
  }),
  storeCase("takes a state of another algorithm for no state", async (t) => {
    await t.judge(charge("b", tokenBucket, 5));
    assert.equal((await t.judge(charge("b", quota(5), 5))).allowed, true);
    assert.equal(await t.usedOf("b", quota(5)), 5);
  }),
  storeCase(
    "leaves a state of another algorithm as it is until something is booked on it, or it is reset",
    async (t) => {
      await t.judge(charge("b", tokenBucket, 5));
      for (const mode of ["judge", "force"] as const) {
        const reply = await t.ask(mode, charge("a", quota(9)), read("b", quota(5)));
        assert.equal(reply.steps[1]?.used, 0);
        await t.one(mode, charge("a", quota(9)), charge("b", quota(5), 0));
      }
      assert.equal(await t.usedOf("b", tokenBucket), 5);
      assert.equal(await t.usedOf("a", quota(9)), 4);
      await t.judge(reset("b", quota(5)));
      assert.equal(await t.usedOf("b", tokenBucket), 0);
    },
  ),
  storeCase("counts to 2^53 - 1 exactly", async (t) => {
    const most = quota(Number.MAX_SAFE_INTEGER);
    await t.judge(charge("b", most, Number.MAX_SAFE_INTEGER - 1));
    assert.equal((await t.judge(charge("b", most, 2))).allowed, false);
    assert.equal((await t.judge(charge("b", most, 1))).used, Number.MAX_SAFE_INTEGER);
  }),
];
