// What a store must do where units are held for a call, and settled.

import assert from "node:assert/strict";
import type { LimitSpec } from "../kernel/algorithms/registry.ts";
import { forEachAlgorithm, forEachHolder, quota, slots, tokenBucket } from "./limits.ts";
import { charge, extend, hold, LEASE_MS, reset, settle } from "./steps.ts";
import { each, has, storeCase, type StoreCase } from "./trial.ts";

export const holdCases: readonly StoreCase[] = [
  ...forEachHolder("takes a hold's units from what is free", async (t, limit) => {
    const held = await t.judge(hold("b", limit, "h1", 3));
    has(held, { allowed: true, used: 3, retryAfterMs: 0 });
    assert.ok(held.resetAfterMs > 0);
    const denied = await t.judge(hold("b", limit, "h2", 3));
    has(denied, { allowed: false, used: 3 });
    assert.ok(denied.retryAfterMs !== null && denied.retryAfterMs > 0);
    assert.equal(await t.findHold("b", limit, "h2"), "unknown");
    assert.equal((await t.judge(hold("b", limit, "h3", 2))).used, 5);
    assert.equal((await t.judge(charge("b", limit, 1))).allowed, false);
  }),
  ...forEachHolder("never holds more than its capacity", async (t, limit) => {
    const step = await t.judge(hold("b", limit, "h1", 6));
    assert.deepEqual(step, { allowed: false, used: 0, resetAfterMs: 0, retryAfterMs: null });
  }),
  ...forEachHolder("holds nothing for an unknown cost, and denies it when nothing is left", async (t, limit) => {
    assert.equal((await t.judge(hold("b", limit, "h1", 0))).allowed, true);
    assert.deepEqual([await t.usedOf("b", limit), await t.findHold("b", limit, "h1")], [0, "unknown"]);
    await t.judge(hold("b", limit, "h2", 5));
    assert.equal((await t.judge(hold("b", limit, "h3", 0))).allowed, false);
  }),
  ...forEachHolder("holds exactly the quota for many concurrent calls", async (t, limit) => {
    const replies = await Promise.all(Array.from({ length: 50 }, (_, i) => t.judge(hold("b", limit, `h${i}`, 1))));
    assert.equal(replies.filter(({ allowed }) => allowed).length, 5);
  }),
  ...forEachHolder("answers a peek of a hold as if it were held, and holds nothing", async (t, limit) => {
    has(await t.peek(hold("b", limit, "h1", 2)), { allowed: true, used: 2 });
    assert.deepEqual([await t.usedOf("b", limit), await t.findHold("b", limit, "h1")], [0, "unknown"]);
  }),
  ...forEachHolder("holds past what is free when it is forced, and says what was free", async (t, limit) => {
    await t.judge(hold("b", limit, "h1", 4));
    has(await t.force(hold("b", limit, "h2", 4)), { allowed: false, used: 8 });
    assert.equal((await t.judge(settle("b", limit, "h1", 0))).used, 4);
    assert.equal(await t.findHold("b", limit, "h2"), "live");
  }),
  ...forEachHolder("gives everything back when nothing was needed", async (t, limit) => {
    await t.judge(hold("b", limit, "h1", 3));
    const step = await t.judge(settle("b", limit, "h1", 0));
    assert.deepEqual(step, { allowed: true, used: 0, resetAfterMs: 0, retryAfterMs: 0, found: "live" });
    assert.equal((await t.judge(hold("b", limit, "h2", 5))).used, 5);
  }),
  ...forEachAlgorithm("spends what was needed when a hold is settled, and frees the rest", async (t, limit) => {
    await t.judge(hold("b", limit, "h1", 4));
    has(await t.judge(settle("b", limit, "h1", 1)), { allowed: true, used: 1, found: "live" });
    assert.equal(await t.findHold("b", limit, "h1"), "unknown");
    assert.equal((await t.judge(charge("b", limit, 4))).used, 5);
    assert.equal((await t.judge(charge("b", limit, 1))).allowed, false);
  }),
  ...forEachAlgorithm("spends all that was needed, as debt where it is past the quota", async (t, limit) => {
    // A unit a ms, so that the debt of a token bucket is paid off within seconds.
    const large: LimitSpec =
      limit.algorithm === "token-bucket" ? { ...limit, burst: 1_100, levelPerUnit: 1 } : { ...limit, quota: 1_100 };
    assert.equal((await t.judge(hold("b", large, "h1", 100))).used, 100);
    has(await t.judge(settle("b", large, "h1", 5_000)), { allowed: true, used: 5_000, retryAfterMs: 0, found: "live" });
    const { allowed, retryAfterMs } = await t.judge(charge("b", large));
    assert.equal(allowed, false);
    if (large.algorithm === "token-bucket") assert.equal(retryAfterMs, 5_000 - 1_100 + 1);
    await t.passesAfter(retryAfterMs, charge("b", large));
  }),
  ...forEachAlgorithm("spends what was needed also for a hold that never was, and says so", async (t, limit) => {
    await t.judge(hold("b", limit, "h1", 1));
    has(await t.judge(settle("b", limit, "h2", 3)), { allowed: true, used: 4, found: "unknown" });
    assert.equal(await t.findHold("b", limit, "h1"), "live");
    has(await t.judge(settle("b", limit, "h3", 3)), { allowed: true, used: 7, found: "unknown" });
  }),
  ...forEachHolder("knows a hold no more once it was settled", async (t, limit) => {
    await t.judge(hold("b", limit, "h1", 2));
    await t.judge(settle("b", limit, "h1", 2));
    assert.equal((await t.judge(settle("b", limit, "h1", 0))).found, "unknown");
    assert.equal((await t.judge(extend("b", limit, "h1", LEASE_MS))).found, "unknown");
  }),
  ...forEachHolder("keeps the holds of a bucket apart, whatever their ids are", async (t, limit) => {
    const ids = ["a", "A", "-", "_".repeat(64), "7"];
    for (const id of ids) await t.judge(hold("b", limit, id, 1));
    await t.judge(hold("other", limit, "a", 1));
    await t.judge(settle("b", limit, "A", 0), settle("other", limit, "A", 0));
    const found = await Promise.all(ids.map((id) => t.findHold("b", limit, id)));
    assert.deepEqual(found, ["live", "unknown", "live", "live", "live"]);
    assert.deepEqual([await t.usedOf("b", limit), await t.usedOf("other", limit)], [4, 1]);
  }),
  ...forEachHolder("drops holds as well when a bucket is emptied", async (t, limit) => {
    await t.judge(hold("b", limit, "h1", 3));
    assert.equal((await t.judge(reset("b", limit))).used, 3);
    assert.equal(await t.usedOf("b", limit), 0);
    const used = limit.algorithm === "concurrency" ? 0 : 2;
    has(await t.judge(settle("b", limit, "h1", 2)), { used, found: "unknown" });
  }),
  ...forEachHolder("holds, settles and extends nothing in any bucket when one step is denied", async (t, limit) => {
    await t.judge(hold("b", limit, "old", 1), hold("c", limit, "old", 1));
    await t.judge(hold("full", limit, "all", 5, { leaseMs: 2 * LEASE_MS }));
    for (const step of [hold("full", limit, "new", 1), charge("full", limit), extend("full", limit, "new", 1)]) {
      const steps = [hold("a", limit, "new", 1), settle("b", limit, "old", 3), extend("c", limit, "old", 1_000)];
      const reply = await t.ask("judge", ...steps, step);
      assert.deepEqual(each(reply.steps, "allowed"), [true, true, true, false]);
      assert.deepEqual(each(reply.steps, "used"), [0, 1, 1, 5]);
    }
    assert.equal(await t.findHold("a", limit, "new"), "unknown");
    assert.equal(await t.findHold("b", limit, "old"), "live");
    await t.advance(LEASE_MS);
    assert.equal(await t.findHold("c", limit, "old"), "late");
  }),
  ...forEachHolder("decides a batch of holds in order, as if one by one", async (t, limit) => {
    await t.decidesInOrder([
      ["judge", [hold("b", limit, "h1", 3)], true, 3],
      ["peek", [hold("b", limit, "h2", 2)], true, 5],
      ["judge", [hold("b", limit, "h3", 3)], false, 3],
      ["judge", [extend("b", limit, "h1", LEASE_MS)], true, 3, "live"],
      ["judge", [settle("b", limit, "h1", 0)], true, 0, "live"],
      ["judge", [hold("b", limit, "h4", 4), hold("other", limit, "h4", 1)], true, 4],
      ["force", [hold("b", limit, "h5", 2)], false, 6],
      ["judge", [reset("b", limit)], true, 6],
      ["judge", [settle("b", limit, "h5", 0)], true, 0, "unknown"],
    ]);
  }),
  storeCase("judges holds, charges and settles of one request each in its own bucket", async (t) => {
    await t.judge(hold("tokens", quota(100), "h0", 60), hold("slots", slots, "h0", 1));
    const steps = [hold("slots", slots, "h1", 1), charge("calls", quota(5)), settle("tokens", quota(100), "h0", 70)];
    const reply = await t.ask("judge", ...steps, extend("gone", tokenBucket, "h0", 1));
    assert.deepEqual(each(reply.steps, "allowed"), [true, true, true, false]);
    assert.deepEqual(each(reply.steps, "used"), [1, 0, 60, 0]);
    assert.deepEqual(each(reply.steps, "found"), [undefined, undefined, "live", "unknown"]);
    const booked = await t.ask("judge", ...steps);
    assert.deepEqual(each(booked.steps, "used"), [2, 1, 70]);
  }),
];
