// What a store must do with holds as time passes: those that are extended, that live on, and that were not settled in time.

import assert from "node:assert/strict";
import {
  ask,
  charge,
  extend,
  findHold,
  first,
  forEachAlgorithm,
  forEachHolder,
  forEachWindow,
  tokenBucket,
  hold,
  LEASE_MS,
  quota,
  REMEMBERED_MS,
  read,
  type StoreCase,
  settle,
  slots,
  usedOf,
  WINDOW_MS,
} from "./cases.ts";

export const expiryCases: readonly StoreCase[] = [
  ...forEachHolder("ends a hold at exactly the instant that was promised", async ({ store, advance }, limit) => {
    for (const onExpiry of ["charge", "refund"] as const) {
      await ask(store, "judge", hold(onExpiry, limit, "h1", 1, { onExpiry }));
    }
    await advance(LEASE_MS - 1);
    assert.equal(await findHold(store, "charge", limit, "h1"), "live");
    assert.equal(await findHold(store, "refund", limit, "h1"), "live");
    await advance(1);
    assert.equal(await findHold(store, "charge", limit, "h1"), "late");
    assert.equal(await findHold(store, "refund", limit, "h1"), "late");
  }),

  ...forEachHolder("gives back a hold that ended so, one ms before it not yet", async ({ store, advance }, limit) => {
    const { resetAfterMs } = first(await ask(store, "judge", hold("b", limit, "h1", 5, { onExpiry: "refund" })));
    assert.equal(resetAfterMs, LEASE_MS);
    await advance(LEASE_MS - 1);
    assert.ok((await usedOf(store, "b", limit)) > 0);
    assert.equal(first(await ask(store, "judge", hold("b", limit, "h2", 5))).retryAfterMs, 1);
    await advance(1);
    assert.equal(await usedOf(store, "b", limit), 0);
    assert.equal(first(await ask(store, "judge", hold("b", limit, "h2", 5))).used, 5);
  }),

  ...forEachAlgorithm("spends holds that ended so, each at the instant of its end", async (fixture, limit) => {
    const { store, advance } = fixture;
    const leases = { h1: LEASE_MS, h2: 3 * LEASE_MS };
    for (const [id, leaseMs] of Object.entries(leases)) {
      await ask(store, "judge", hold("b", limit, id, 2, { leaseMs }));
      // A token bucket spends what it holds at once.
      if (limit.algorithm === "token-bucket") await ask(store, "judge", charge("spent", limit, 2));
    }
    for (const waitMs of [leases.h1, leases.h2 - leases.h1]) {
      await advance(waitMs);
      if (limit.algorithm !== "token-bucket") await ask(store, "judge", charge("spent", limit, 2));
    }
    for (const waitMs of [0, 1, 2 * LEASE_MS, WINDOW_MS - 3 * LEASE_MS, LEASE_MS]) {
      await advance(waitMs);
      const [held, spent] = (await ask(store, "peek", charge("b", limit, 3), charge("spent", limit, 3))).steps;
      assert.deepEqual(held, spent);
    }
  }),

  ...forEachAlgorithm("promises to the ms when the units of a hold will be free", async ({ store, advance }, limit) => {
    for (const onExpiry of ["charge", "refund"] as const) {
      await ask(store, "judge", hold(onExpiry, limit, "h1", 5, { onExpiry }));
      const { retryAfterMs, resetAfterMs } = first(await ask(store, "judge", charge(onExpiry, limit, 4)));
      assert.ok(retryAfterMs !== null && retryAfterMs > 0 && retryAfterMs <= resetAfterMs);
      await advance(retryAfterMs - 1);
      assert.equal(first(await ask(store, "judge", charge(onExpiry, limit, 4))).retryAfterMs, 1);
      await advance(1);
      assert.equal((await ask(store, "peek", charge(onExpiry, limit, 4))).allowed, true);
      if (resetAfterMs > retryAfterMs) {
        await advance(resetAfterMs - retryAfterMs - 1);
        assert.ok((await usedOf(store, onExpiry, limit)) > 0);
        await advance(1);
      }
      assert.equal(await usedOf(store, onExpiry, limit), 0);
    }
  }),

  ...forEachAlgorithm("spends only the difference when what was charged is settled late", async (fixture, limit) => {
    const { store, advance } = fixture;
    for (const bucket of ["more", "less"]) await ask(store, "judge", hold(bucket, limit, "h1", 3));
    await advance(LEASE_MS);
    const more = first(await ask(store, "judge", settle("more", limit, "h1", 5)));
    assert.deepEqual([more.allowed, more.used, more.hold], [true, 5, "late"]);
    const less = first(await ask(store, "judge", settle("less", limit, "h1", 1)));
    assert.deepEqual([less.allowed, less.used, less.hold], [true, 3, "late"]);
    for (const bucket of ["more", "less"]) assert.equal(await findHold(store, bucket, limit, "h1"), "unknown");
  }),

  ...forEachAlgorithm("spends all that was needed when what was given back is settled late", async (fixture, limit) => {
    const { store, advance } = fixture;
    await ask(store, "judge", hold("b", limit, "h1", 2, { onExpiry: "refund" }));
    await advance(LEASE_MS);
    const { allowed, used, hold: found } = first(await ask(store, "judge", settle("b", limit, "h1", 6)));
    assert.deepEqual([allowed, used, found], [true, 6, "late"]);
    assert.equal(await findHold(store, "b", limit, "h1"), "unknown");
  }),

  ...forEachHolder("remembers a hold for ten minutes after its end, and not a ms longer", async (fixture, limit) => {
    const { store, advance } = fixture;
    for (const bucket of ["late", "unknown"]) {
      await ask(store, "judge", hold(bucket, limit, "h1", 2, { leaseMs: 1 }));
      await ask(store, "judge", extend(bucket, limit, "h1", LEASE_MS));
    }
    await advance(LEASE_MS);
    // Neither another hold of its bucket nor what cannot bring it back lets it be remembered longer.
    await ask(store, "judge", hold("unknown", limit, "h2", 1, { leaseMs: 2 * REMEMBERED_MS, onExpiry: "refund" }));
    await ask(store, "force", extend("unknown", limit, "h1", LEASE_MS));
    await advance(REMEMBERED_MS - 1);
    const late = first(await ask(store, "judge", settle("late", limit, "h1", 3)));
    await advance(1);
    const unknown = first(await ask(store, "judge", settle("unknown", limit, "h1", 3)));
    assert.deepEqual([late.hold, unknown.hold], ["late", "unknown"]);
    const { algorithm } = limit;
    // A token bucket has long been given back what the other hold took.
    const used = algorithm === "concurrency" ? [0, 1] : algorithm === "token-bucket" ? [1, 3] : [1, 4];
    assert.deepEqual([late.used, unknown.used], used);
  }),

  ...forEachHolder("lets a hold live longer when it is extended, and never shorter", async (fixture, limit) => {
    const { store, advance } = fixture;
    await ask(store, "judge", hold("b", limit, "h1", 5, { onExpiry: "refund" }));
    await advance(LEASE_MS - 1);
    const step = first(await ask(store, "judge", extend("b", limit, "h1", LEASE_MS)));
    assert.deepEqual([step.allowed, step.retryAfterMs, step.hold], [true, 0, "live"]);
    await ask(store, "judge", extend("b", limit, "h1", 1));
    await advance(LEASE_MS - 1);
    assert.equal(await findHold(store, "b", limit, "h1"), "live");
    assert.equal(first(await ask(store, "peek", hold("b", limit, "h2", 5))).retryAfterMs, 1);
    await advance(1);
    assert.equal(await findHold(store, "b", limit, "h1"), "late");
    assert.equal(first(await ask(store, "judge", hold("b", limit, "h2", 5))).used, 5);
  }),

  ...forEachHolder(
    "denies to extend a hold that has ended or never was, and changes nothing",
    async (fixture, limit) => {
      const { store, advance } = fixture;
      await ask(store, "judge", hold("b", limit, "h1", 2, { onExpiry: "refund" }));
      await advance(LEASE_MS);
      for (const [id, found] of Object.entries({ h1: "late", h2: "unknown" })) {
        for (const mode of ["judge", "force", "peek"] as const) {
          const step = first(await ask(store, mode, extend("b", limit, id, LEASE_MS)));
          assert.deepEqual(step, { allowed: false, used: 0, resetAfterMs: 0, retryAfterMs: null, hold: found });
        }
        assert.equal(await findHold(store, "b", limit, id), found);
      }
    },
  ),

  ...forEachHolder("forgets no bucket in which a hold lives", async ({ store, advance }, limit) => {
    const leaseMs = 6 * REMEMBERED_MS;
    await ask(store, "judge", hold("b", limit, "h1", 5, { leaseMs, onExpiry: "refund" }));
    for (let i = 0; i < 6; i++) {
      await advance(REMEMBERED_MS - 1);
      // Stores drop what has ended while others are booked.
      for (const name of ["c", "d", "e"]) await ask(store, "judge", charge(`${name}${i}`, quota(5)));
    }
    await advance(5);
    const { used } = first(await ask(store, "judge", read("b", limit)));
    assert.deepEqual(
      [used, await findHold(store, "b", limit, "h1")],
      [limit.algorithm === "token-bucket" ? 0 : 5, "live"],
    );
    await advance(1);
    assert.deepEqual([await usedOf(store, "b", limit), await findHold(store, "b", limit, "h1")], [0, "late"]);
  }),

  ...forEachWindow("keeps the units of a live hold across the end of a window", async (fixture, limit) => {
    const { store, advance } = fixture;
    await ask(store, "judge", charge("b", limit, 2));
    await ask(store, "judge", hold("b", limit, "h1", 3, { leaseMs: 10 * WINDOW_MS, onExpiry: "refund" }));
    await advance(5 * WINDOW_MS);
    assert.equal(await usedOf(store, "b", limit), 3);
    assert.equal((await ask(store, "judge", charge("b", limit, 2))).allowed, true);
    assert.equal((await ask(store, "judge", charge("b", limit, 1))).allowed, false);
    const all = first(await ask(store, "judge", charge("b", limit, 5)));
    assert.equal(all.retryAfterMs, 5 * WINDOW_MS);
  }),

  ...forEachWindow(
    "spends in the window in which a hold is settled, not in that of the hold",
    async (fixture, limit) => {
      const { store, advance } = fixture;
      const { resetAfterMs } = first(await ask(store, "judge", charge("b", limit, 2)));
      await ask(store, "judge", hold("b", limit, "h1", 3, { leaseMs: 10 * WINDOW_MS }));
      await advance(resetAfterMs);
      assert.equal(await usedOf(store, "b", limit), 3);
      await ask(store, "judge", settle("b", limit, "h1", 4), charge("spent", limit, 4));
      for (const waitMs of [0, WINDOW_MS / 2, WINDOW_MS / 2, WINDOW_MS / 10]) {
        await advance(waitMs);
        const [settled, spent] = (await ask(store, "peek", charge("b", limit, 2), charge("spent", limit, 2))).steps;
        assert.deepEqual(settled, spent);
      }
    },
  ),

  {
    name: "restarts a ttl when units are spent, not when they are held, extended or given back",
    async run({ store, advance }) {
      await ask(store, "judge", charge("b", quota(9), 1));
      await advance(WINDOW_MS - 2);
      for (const id of ["h1", "h2"]) await ask(store, "judge", hold("b", quota(9), id, 2));
      await ask(store, "judge", extend("b", quota(9), "h2", LEASE_MS));
      await ask(store, "judge", settle("b", quota(9), "h1", 0));
      await advance(1);
      assert.equal(await usedOf(store, "b", quota(9)), 3);
      await advance(1);
      assert.equal(await usedOf(store, "b", quota(9)), 2);
      const { used, resetAfterMs } = first(await ask(store, "judge", settle("b", quota(9), "h2", 1)));
      assert.deepEqual([used, resetAfterMs], [1, WINDOW_MS]);
    },
  },
  {
    name: "concurrency: slots come back as their leases end, to the ms",
    async run({ store, advance }) {
      await ask(store, "judge", hold("b", slots, "h1", 3, { leaseMs: 2 * LEASE_MS, onExpiry: "refund" }));
      await ask(store, "judge", hold("b", slots, "h2", 2, { leaseMs: LEASE_MS, onExpiry: "refund" }));
      const retries = [];
      for (const units of [1, 2, 3, 5]) {
        retries.push(first(await ask(store, "judge", hold("b", slots, "h3", units))).retryAfterMs);
      }
      assert.deepEqual(retries, [LEASE_MS, LEASE_MS, 2 * LEASE_MS, 2 * LEASE_MS]);
      await advance(LEASE_MS - 1);
      assert.equal((await ask(store, "judge", hold("b", slots, "h3", 2))).allowed, false);
      await advance(1);
      const { allowed, used, resetAfterMs } = first(await ask(store, "judge", hold("b", slots, "h3", 2)));
      assert.deepEqual([allowed, used, resetAfterMs], [true, 5, LEASE_MS]);
      await advance(LEASE_MS);
      assert.equal(await usedOf(store, "b", slots), 0);
    },
  },
  {
    name: "token-bucket: gives back at the end of a hold no more than has not flowed back by itself",
    async run({ store, advance }) {
      await ask(store, "judge", hold("b", tokenBucket, "h1", 3, { leaseMs: 400, onExpiry: "refund" }));
      await advance(300);
      assert.equal(first(await ask(store, "judge", charge("b", tokenBucket, 3))).used, 5);
      await advance(99);
      assert.equal(first(await ask(store, "peek", read("b", tokenBucket))).used, 5);
      await advance(1);
      const { used, resetAfterMs } = first(await ask(store, "peek", read("b", tokenBucket)));
      assert.deepEqual([used, resetAfterMs], [3, 600]);
    },
  },
];
