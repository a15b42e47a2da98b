// What a store must do with holds as time passes: those that are extended, that live on, and that were not settled in time.

import assert from "node:assert/strict";
import { forEachAlgorithm, forEachHolder, forEachWindow, quota, REMEMBERED_MS, slots, tokenBucket } from "./limits.ts";
import { WINDOW_MS } from "./limits.ts";
import { charge, extend, hold, LEASE_MS, read, settle } from "./steps.ts";
import { has, storeCase, type StoreCase } from "./trial.ts";

const ENDS = ["charge", "refund"] as const;

export const expiryCases: readonly StoreCase[] = [
  ...forEachHolder("ends a hold at exactly the instant that was promised", async (t, limit) => {
    const found = () => Promise.all(ENDS.map((onExpiry) => t.findHold(onExpiry, limit, "h1")));
    for (const onExpiry of ENDS) await t.judge(hold(onExpiry, limit, "h1", 1, { onExpiry }));
    await t.advance(LEASE_MS - 1);
    assert.deepEqual(await found(), ["live", "live"]);
    await t.advance(1);
    assert.deepEqual(await found(), ["late", "late"]);
  }),
  ...forEachHolder("gives back a hold with `refund` when its lease ends, and not one ms before", async (t, limit) => {
    const { resetAfterMs } = await t.judge(hold("b", limit, "h1", 5, { onExpiry: "refund" }));
    assert.equal(resetAfterMs, LEASE_MS);
    await t.advance(LEASE_MS - 1);
    assert.ok((await t.usedOf("b", limit)) > 0);
    assert.equal((await t.judge(hold("b", limit, "h2", 5))).retryAfterMs, 1);
    await t.advance(1);
    assert.equal(await t.usedOf("b", limit), 0);
    assert.equal((await t.judge(hold("b", limit, "h2", 5))).used, 5);
  }),
  ...forEachAlgorithm("spends holds with `charge` when their leases end, each at its own instant", async (t, limit) => {
    const leases = { h1: LEASE_MS, h2: 3 * LEASE_MS };
    for (const [id, leaseMs] of Object.entries(leases)) {
      await t.judge(hold("b", limit, id, 2, { leaseMs }));
      // A token bucket spends what it holds at once.
      if (limit.algorithm === "token-bucket") await t.judge(charge("spent", limit, 2));
    }
    for (const waitMs of [leases.h1, leases.h2 - leases.h1]) {
      await t.advance(waitMs);
      if (limit.algorithm !== "token-bucket") await t.judge(charge("spent", limit, 2));
    }
    for (const waitMs of [0, 1, 2 * LEASE_MS, WINDOW_MS - 3 * LEASE_MS, LEASE_MS]) {
      await t.advance(waitMs);
      const [held, spent] = (await t.ask("peek", charge("b", limit, 3), charge("spent", limit, 3))).steps;
      assert.deepEqual(held, spent);
    }
  }),
  ...forEachAlgorithm("promises to the ms when the units of a hold will be free", async (t, limit) => {
    for (const onExpiry of ENDS) {
      await t.judge(hold(onExpiry, limit, "h1", 5, { onExpiry }));
      const { retryAfterMs, resetAfterMs } = await t.judge(charge(onExpiry, limit, 4));
      assert.ok(retryAfterMs !== null && retryAfterMs > 0 && retryAfterMs <= resetAfterMs);
      await t.advance(retryAfterMs - 1);
      assert.equal((await t.judge(charge(onExpiry, limit, 4))).retryAfterMs, 1);
      await t.advance(1);
      assert.equal((await t.peek(charge(onExpiry, limit, 4))).allowed, true);
      if (resetAfterMs > retryAfterMs) {
        await t.advance(resetAfterMs - retryAfterMs - 1);
        assert.ok((await t.usedOf(onExpiry, limit)) > 0);
        await t.advance(1);
      }
      assert.equal(await t.usedOf(onExpiry, limit), 0);
    }
  }),
  ...forEachAlgorithm("spends only the difference when what was charged is settled late", async (t, limit) => {
    for (const bucket of ["more", "less"]) await t.judge(hold(bucket, limit, "h1", 3));
    await t.advance(LEASE_MS);
    has(await t.judge(settle("more", limit, "h1", 5)), { allowed: true, used: 5, found: "late" });
    has(await t.judge(settle("less", limit, "h1", 1)), { allowed: true, used: 3, found: "late" });
    for (const bucket of ["more", "less"]) assert.equal(await t.findHold(bucket, limit, "h1"), "unknown");
  }),
  ...forEachAlgorithm("spends all that was needed when what was given back is settled late", async (t, limit) => {
    await t.judge(hold("b", limit, "h1", 2, { onExpiry: "refund" }));
    await t.advance(LEASE_MS);
    has(await t.judge(settle("b", limit, "h1", 6)), { allowed: true, used: 6, found: "late" });
    assert.equal(await t.findHold("b", limit, "h1"), "unknown");
  }),
  ...forEachHolder("remembers a hold for ten minutes after its end, and not a ms longer", async (t, limit) => {
    for (const bucket of ["late", "unknown"]) {
      await t.judge(hold(bucket, limit, "h1", 2, { leaseMs: 1 }));
      await t.judge(extend(bucket, limit, "h1", LEASE_MS));
    }
    await t.advance(LEASE_MS);
    // Neither another hold of its bucket nor what cannot bring it back lets it be remembered longer.
    await t.judge(hold("unknown", limit, "h2", 1, { leaseMs: 2 * REMEMBERED_MS, onExpiry: "refund" }));
    await t.force(extend("unknown", limit, "h1", LEASE_MS));
    await t.advance(REMEMBERED_MS - 1);
    const late = await t.judge(settle("late", limit, "h1", 3));
    await t.advance(1);
    const unknown = await t.judge(settle("unknown", limit, "h1", 3));
    assert.deepEqual([late.found, unknown.found], ["late", "unknown"]);
    // A token bucket has long been given back what the other hold took.
    const used = { concurrency: [0, 1], "token-bucket": [1, 3] }[limit.algorithm as string] ?? [1, 4];
    assert.deepEqual([late.used, unknown.used], used);
  }),
  ...forEachHolder("lets a hold live longer when it is extended, and never shorter", async (t, limit) => {
    await t.judge(hold("b", limit, "h1", 5, { onExpiry: "refund" }));
    await t.advance(LEASE_MS - 1);
    has(await t.judge(extend("b", limit, "h1", LEASE_MS)), { allowed: true, retryAfterMs: 0, found: "live" });
    await t.judge(extend("b", limit, "h1", 1));
    await t.advance(LEASE_MS - 1);
    assert.equal(await t.findHold("b", limit, "h1"), "live");
    assert.equal((await t.peek(hold("b", limit, "h2", 5))).retryAfterMs, 1);
    await t.advance(1);
    assert.equal(await t.findHold("b", limit, "h1"), "late");
    assert.equal((await t.judge(hold("b", limit, "h2", 5))).used, 5);
  }),
  ...forEachHolder("denies to extend a hold that has ended or never was, and changes nothing", async (t, limit) => {
    await t.judge(hold("b", limit, "h1", 2, { onExpiry: "refund" }));
    await t.advance(LEASE_MS);
    for (const [id, found] of Object.entries({ h1: "late", h2: "unknown" })) {
      for (const mode of ["judge", "force", "peek"] as const) {
        const step = await t.one(mode, extend("b", limit, id, LEASE_MS));
        assert.deepEqual(step, { allowed: false, used: 0, resetAfterMs: 0, retryAfterMs: null, found });
      }
      assert.equal(await t.findHold("b", limit, id), found);
    }
  }),
  ...forEachHolder("forgets no bucket in which a hold lives", async (t, limit) => {
    const leaseMs = 6 * REMEMBERED_MS;
    await t.judge(hold("b", limit, "h1", 5, { leaseMs, onExpiry: "refund" }));
    for (let i = 0; i < 6; i++) {
      await t.advance(REMEMBERED_MS - 1);
      // Stores drop what has ended while others are booked.
      for (const name of ["c", "d", "e"]) await t.judge(charge(`${name}${i}`, quota(5)));
    }
    await t.advance(5);
    assert.equal((await t.judge(read("b", limit))).used, limit.algorithm === "token-bucket" ? 0 : 5);
    assert.equal(await t.findHold("b", limit, "h1"), "live");
    await t.advance(1);
    assert.deepEqual([await t.usedOf("b", limit), await t.findHold("b", limit, "h1")], [0, "late"]);
  }),
  ...forEachWindow("keeps the units of a live hold across the end of a window", async (t, limit) => {
    await t.judge(charge("b", limit, 2));
    await t.judge(hold("b", limit, "h1", 3, { leaseMs: 10 * WINDOW_MS, onExpiry: "refund" }));
    await t.advance(5 * WINDOW_MS);
    assert.equal(await t.usedOf("b", limit), 3);
    assert.equal((await t.judge(charge("b", limit, 2))).allowed, true);
    assert.equal((await t.judge(charge("b", limit, 1))).allowed, false);
    assert.equal((await t.judge(charge("b", limit, 5))).retryAfterMs, 5 * WINDOW_MS);
  }),
  ...forEachWindow("spends in the window in which a hold is settled, not in that of the hold", async (t, limit) => {
    const { resetAfterMs } = await t.judge(charge("b", limit, 2));
    await t.judge(hold("b", limit, "h1", 3, { leaseMs: 10 * WINDOW_MS }));
    await t.advance(resetAfterMs);
    assert.equal(await t.usedOf("b", limit), 3);
    await t.judge(settle("b", limit, "h1", 4), charge("spent", limit, 4));
    for (const waitMs of [0, WINDOW_MS / 2, WINDOW_MS / 2, WINDOW_MS / 10]) {
      await t.advance(waitMs);
      const [settled, spent] = (await t.ask("peek", charge("b", limit, 2), charge("spent", limit, 2))).steps;
      assert.deepEqual(settled, spent);
    }
  }),
  storeCase("restarts a ttl when units are spent, not when they are held, extended or given back", async (t) => {
    await t.judge(charge("b", quota(9), 1));
    await t.advance(WINDOW_MS - 2);
    for (const id of ["h1", "h2"]) await t.judge(hold("b", quota(9), id, 2));
    await t.judge(extend("b", quota(9), "h2", LEASE_MS));
    await t.judge(settle("b", quota(9), "h1", 0));
    await t.advance(1);
    assert.equal(await t.usedOf("b", quota(9)), 3);
    await t.advance(1);
    assert.equal(await t.usedOf("b", quota(9)), 2);
    has(await t.judge(settle("b", quota(9), "h2", 1)), { used: 1, resetAfterMs: WINDOW_MS });
  }),
  storeCase("concurrency: slots come back as their leases end, to the ms", async (t) => {
    await t.judge(hold("b", slots, "h1", 3, { leaseMs: 2 * LEASE_MS, onExpiry: "refund" }));
    await t.judge(hold("b", slots, "h2", 2, { leaseMs: LEASE_MS, onExpiry: "refund" }));
    for (const [units, leases] of Object.entries({ 1: 1, 2: 1, 3: 2, 5: 2 })) {
      assert.equal((await t.judge(hold("b", slots, "h3", Number(units)))).retryAfterMs, leases * LEASE_MS);
    }
    await t.advance(LEASE_MS - 1);
    assert.equal((await t.judge(hold("b", slots, "h3", 2))).allowed, false);
    await t.advance(1);
    has(await t.judge(hold("b", slots, "h3", 2)), { allowed: true, used: 5, resetAfterMs: LEASE_MS });
    await t.advance(LEASE_MS);
    assert.equal(await t.usedOf("b", slots), 0);
  }),
  storeCase("token-bucket: gives back at the end of a hold no more than has not flowed back", async (t) => {
    await t.judge(hold("b", tokenBucket, "h1", 3, { leaseMs: 400, onExpiry: "refund" }));
    await t.advance(300);
    assert.equal((await t.judge(charge("b", tokenBucket, 3))).used, 5);
    await t.advance(99);
    assert.equal((await t.peek(read("b", tokenBucket))).used, 5);
    await t.advance(1);
    has(await t.peek(read("b", tokenBucket)), { used: 3, resetAfterMs: 600 });
  }),
];
