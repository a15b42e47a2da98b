// What a store must do with holds of particular algorithms, and at their bounds.

import assert from "node:assert/strict";
import type { LimitSpec } from "../kernel/algorithms/registry.ts";
import { StoreError } from "../store/error.ts";
import { MAX_ENTRIES, quota, slots, tokenBucket } from "./limits.ts";
import { charge, hold, LEASE_MS, read, settle } from "./steps.ts";
import { answered, storeCase, type StoreCase, type Trial } from "./trial.ts";

export const holdEdgeCases: readonly StoreCase[] = [
  storeCase("concurrency: frees slots for any usage of a settle, and spends nothing", async (t) => {
    for (const id of ["h1", "h2", "h3"]) await t.judge(hold("b", slots, id, 1));
    for (const [id, used] of Object.entries({ h1: 2, h2: 1, never: 1, h3: 0 })) {
      assert.equal((await t.judge(settle("b", slots, id, 1))).used, used);
    }
    await t.judge(hold("b", slots, "h4", 1));
    assert.equal((await t.judge(charge("b", slots, 4))).used, 1);
    assert.equal(await t.usedOf("b", slots), 1);
  }),
  storeCase("token-bucket: gives back no more of a hold than has not flowed back", async (t) => {
    await t.judge(hold("b", tokenBucket, "h1", 3, { leaseMs: 1_000 }));
    await t.advance(400);
    assert.equal((await t.judge(charge("b", tokenBucket, 4))).used, 5);
    assert.equal((await t.judge(settle("b", tokenBucket, "h1", 0))).used, 4);
    assert.equal((await t.judge(charge("b", tokenBucket, 1))).used, 5);
    assert.equal((await t.judge(charge("b", tokenBucket, 1))).retryAfterMs, 200);
  }),
  storeCase("token-bucket: gives back what is left of a hold also after one below it was given back", async (t) => {
    for (const id of ["h1", "h2"]) await t.judge(hold("b", tokenBucket, id, 2, { leaseMs: 1_000 }));
    await t.judge(settle("b", tokenBucket, "h1", 0));
    await t.judge(charge("b", tokenBucket, 2));
    await t.advance(300);
    assert.equal(await t.usedOf("b", tokenBucket), 3);
    assert.equal((await t.judge(settle("b", tokenBucket, "h2", 0))).used, 2);
  }),
  storeCase("takes holds of another algorithm for none, and leaves them where nothing is booked", async (t) => {
    for (const [limit, other] of [
      [tokenBucket, quota(5)],
      [slots, tokenBucket],
      [quota(5), slots],
    ] as const) {
      const bucket = limit.algorithm;
      await t.judge(hold(bucket, limit, "h1", 2));
      assert.equal(await t.usedOf(bucket, other), 0);
      assert.equal((await t.judge(settle(bucket, other, "h1", 0))).found, "unknown");
      assert.equal(await t.findHold(bucket, limit, "h1"), "live");
      await t.judge(hold(bucket, other, "h2", 1));
      assert.equal(await t.findHold(bucket, limit, "h1"), "unknown");
    }
  }),
  storeCase("lets another store on the same data settle a hold", async (t) => {
    await t.judge(hold("b", quota(5), "h1", 3));
    const { used, found } = await t.another().judge(settle("b", quota(5), "h1", 1));
    assert.deepEqual([used, found], [1, "live"]);
    assert.equal(await t.findHold("b", quota(5), "h1"), "unknown");
  }),
  storeCase("fails only a request that would make more than a thousand holds in one bucket", async (t) => {
    const large = quota(2 * MAX_ENTRIES);
    await fill(t, large);
    for (const mode of ["judge", "force", "peek"] as const) {
      const [failed, fits] = await t.store.apply([
        { mode, steps: [charge("other", large), hold("b", large, "more", 1)], once: { key: "once", request: "r1" } },
        { mode: "judge", steps: [charge("b", large), read("other", large)] },
      ]);
      assert.ok(StoreError.isInstance(failed) && failed.code === "too-many-holds" && failed.transient, mode);
      assert.equal(answered(fits).steps[1]?.used, 0);
    }
    assert.equal(await t.usedOf("b", large), MAX_ENTRIES + 3);
    await t.judge(settle("b", large, "h0", 0));
    assert.equal((await t.judge(hold("b", large, "more", 1))).allowed, true);
    assert.equal((await t.judge(hold("b", large, "never", MAX_ENTRIES))).allowed, false);
  }),
  storeCase("forgets the earliest holds that have ended where they are in the way of new ones", async (t) => {
    const large = quota(2 * MAX_ENTRIES);
    await fill(t, large);
    await t.advance(LEASE_MS);
    await t.judge(hold("b", large, "more", 1));
    const found = await Promise.all(["h0", "h1", "more"].map((id) => t.findHold("b", large, id)));
    assert.deepEqual(found, ["unknown", "late", "live"]);
  }),
];

/** Puts as many holds of a unit into a bucket as it may have. */
async function fill(t: Trial, limit: LimitSpec): Promise<void> {
  const steps = Array.from({ length: MAX_ENTRIES }, (_, i) => hold("b", limit, `h${i}`, 1));
  await t.sendAll(steps.map((step) => ({ mode: "judge", steps: [step] })));
}
