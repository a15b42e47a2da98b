// What a store must do with holds that live: made, settled, given back, dropped.

import assert from "node:assert/strict";
import type { LimitSpec } from "../kernel/algorithms/registry.ts";
import type { StoreRequest } from "../kernel/request.ts";
import { StoreError } from "../store/error.ts";
import {
  answered,
  ask,
  charge,
  extend,
  findHold,
  first,
  forEachAlgorithm,
  forEachHolder,
  tokenBucket,
  hold,
  LEASE_MS,
  quota,
  read,
  reset,
  type StoreCase,
  settle,
  slots,
  usedOf,
} from "./cases.ts";

/** Most holds in one bucket. */
const MAX_HOLDS = 1_000;

export const holdCases: readonly StoreCase[] = [
  ...forEachHolder("takes a hold's units from what is free", async ({ store }, limit) => {
    const held = first(await ask(store, "judge", hold("b", limit, "h1", 3)));
    assert.deepEqual([held.allowed, held.used, held.retryAfterMs], [true, 3, 0]);
    assert.ok(held.resetAfterMs > 0);
    const denied = first(await ask(store, "judge", hold("b", limit, "h2", 3)));
    assert.deepEqual([denied.allowed, denied.used], [false, 3]);
    assert.ok(denied.retryAfterMs !== null && denied.retryAfterMs > 0);
    assert.equal(await findHold(store, "b", limit, "h2"), "unknown");
    assert.equal(first(await ask(store, "judge", hold("b", limit, "h3", 2))).used, 5);
    assert.equal((await ask(store, "judge", charge("b", limit, 1))).allowed, false);
  }),

  ...forEachHolder("never holds more than its capacity", async ({ store }, limit) => {
    const step = first(await ask(store, "judge", hold("b", limit, "h1", 6)));
    assert.deepEqual(step, { allowed: false, used: 0, resetAfterMs: 0, retryAfterMs: null });
  }),

  ...forEachHolder(
    "holds nothing for an unknown cost, and denies it when nothing is left",
    async ({ store }, limit) => {
      assert.equal((await ask(store, "judge", hold("b", limit, "h1", 0))).allowed, true);
      assert.deepEqual([await usedOf(store, "b", limit), await findHold(store, "b", limit, "h1")], [0, "unknown"]);
      await ask(store, "judge", hold("b", limit, "h2", 5));
      assert.equal((await ask(store, "judge", hold("b", limit, "h3", 0))).allowed, false);
    },
  ),

  ...forEachHolder("holds exactly the quota for many concurrent calls", async ({ store }, limit) => {
    const asked = Array.from({ length: 50 }, (_, i) => ask(store, "judge", hold("b", limit, `h${i}`, 1)));
    const replies = await Promise.all(asked);
    assert.equal(replies.filter(({ allowed }) => allowed).length, 5);
  }),

  ...forEachHolder("answers a peek of a hold as if it were held, and holds nothing", async ({ store }, limit) => {
    const { allowed, used } = first(await ask(store, "peek", hold("b", limit, "h1", 2)));
    assert.deepEqual([allowed, used], [true, 2]);
    assert.deepEqual([await usedOf(store, "b", limit), await findHold(store, "b", limit, "h1")], [0, "unknown"]);
  }),

  ...forEachHolder("holds past what is free when it is forced, and says what was free", async ({ store }, limit) => {
    await ask(store, "judge", hold("b", limit, "h1", 4));
    const { allowed, used } = first(await ask(store, "force", hold("b", limit, "h2", 4)));
    assert.deepEqual([allowed, used], [false, 8]);
    assert.equal(first(await ask(store, "judge", settle("b", limit, "h1", 0))).used, 4);
    assert.equal(await findHold(store, "b", limit, "h2"), "live");
  }),

  ...forEachHolder("gives everything back when nothing was needed", async ({ store }, limit) => {
    await ask(store, "judge", hold("b", limit, "h1", 3));
    const step = first(await ask(store, "judge", settle("b", limit, "h1", 0)));
    assert.deepEqual(step, { allowed: true, used: 0, resetAfterMs: 0, retryAfterMs: 0, hold: "live" });
    assert.equal(first(await ask(store, "judge", hold("b", limit, "h2", 5))).used, 5);
  }),

  ...forEachAlgorithm("spends what was needed when a hold is settled, and frees the rest", async ({ store }, limit) => {
    await ask(store, "judge", hold("b", limit, "h1", 4));
    const { allowed, used, hold: found } = first(await ask(store, "judge", settle("b", limit, "h1", 1)));
    assert.deepEqual([allowed, used, found], [true, 1, "live"]);
    assert.equal(await findHold(store, "b", limit, "h1"), "unknown");
    assert.equal(first(await ask(store, "judge", charge("b", limit, 4))).used, 5);
    assert.equal((await ask(store, "judge", charge("b", limit, 1))).allowed, false);
  }),

  ...forEachAlgorithm("spends all that was needed, as debt where it is past the quota", async (fixture, limit) => {
    const { store, advance } = fixture;
    // A unit a ms, so that the debt of a token bucket is paid off within seconds.
    const large: LimitSpec =
      limit.algorithm === "token-bucket" ? { ...limit, burst: 1_100, levelPerUnit: 1 } : { ...limit, quota: 1_100 };
    assert.equal(first(await ask(store, "judge", hold("b", large, "h1", 100))).used, 100);
    const settled = first(await ask(store, "judge", settle("b", large, "h1", 5_000)));
    assert.deepEqual([settled.allowed, settled.used, settled.retryAfterMs, settled.hold], [true, 5_000, 0, "live"]);
    const { allowed, retryAfterMs } = first(await ask(store, "judge", charge("b", large)));
    assert.ok(!allowed && retryAfterMs !== null && retryAfterMs > 0);
    if (large.algorithm === "token-bucket") assert.equal(retryAfterMs, 5_000 - 1_100 + 1);
    await advance(retryAfterMs - 1);
    assert.equal(first(await ask(store, "judge", charge("b", large))).retryAfterMs, 1);
    await advance(1);
    assert.equal((await ask(store, "judge", charge("b", large))).allowed, true);
  }),

  ...forEachAlgorithm(
    "spends what was needed also for a hold that never was, and says so",
    async ({ store }, limit) => {
      await ask(store, "judge", hold("b", limit, "h1", 1));
      const { allowed, used, hold: found } = first(await ask(store, "judge", settle("b", limit, "h2", 3)));
      assert.deepEqual([allowed, used, found], [true, 4, "unknown"]);
      assert.equal(await findHold(store, "b", limit, "h1"), "live");
      const full = first(await ask(store, "judge", settle("b", limit, "h3", 3)));
      assert.deepEqual([full.allowed, full.used, full.hold], [true, 7, "unknown"]);
    },
  ),

  ...forEachHolder("knows a hold no more once it was settled", async ({ store }, limit) => {
    await ask(store, "judge", hold("b", limit, "h1", 2));
    await ask(store, "judge", settle("b", limit, "h1", 2));
    assert.equal(first(await ask(store, "judge", settle("b", limit, "h1", 0))).hold, "unknown");
    assert.equal(first(await ask(store, "judge", extend("b", limit, "h1", LEASE_MS))).hold, "unknown");
  }),

  ...forEachHolder("keeps the holds of a bucket apart, whatever their ids are", async ({ store }, limit) => {
    const ids = ["a", "A", "-", "_".repeat(64), "7"];
    for (const id of ids) await ask(store, "judge", hold("b", limit, id, 1));
    await ask(store, "judge", hold("other", limit, "a", 1));
    await ask(store, "judge", settle("b", limit, "A", 0), settle("other", limit, "A", 0));
    const found = await Promise.all(ids.map((id) => findHold(store, "b", limit, id)));
    assert.deepEqual(found, ["live", "unknown", "live", "live", "live"]);
    assert.deepEqual([await usedOf(store, "b", limit), await usedOf(store, "other", limit)], [4, 1]);
  }),

  ...forEachHolder("drops holds as well when a bucket is emptied", async ({ store }, limit) => {
    await ask(store, "judge", hold("b", limit, "h1", 3));
    assert.equal(first(await ask(store, "judge", reset("b", limit))).used, 3);
    assert.equal(await usedOf(store, "b", limit), 0);
    const { used, hold: found } = first(await ask(store, "judge", settle("b", limit, "h1", 2)));
    assert.deepEqual([used, found], [limit.algorithm === "concurrency" ? 0 : 2, "unknown"]);
  }),

  ...forEachHolder(
    "holds, settles and extends nothing in any bucket when one step is denied",
    async (fixture, limit) => {
      const { store, advance } = fixture;
      await ask(store, "judge", hold("b", limit, "old", 1), hold("c", limit, "old", 1));
      await ask(store, "judge", hold("full", limit, "all", 5, { leaseMs: 2 * LEASE_MS }));
      for (const step of [hold("full", limit, "new", 1), charge("full", limit), extend("full", limit, "new", 1)]) {
        const steps = [hold("a", limit, "new", 1), settle("b", limit, "old", 3), extend("c", limit, "old", 1_000)];
        const reply = await ask(store, "judge", ...steps, step);
        assert.deepEqual(
          reply.steps.map(({ allowed, used }) => [allowed, used]),
          [
            [true, 0],
            [true, 1],
            [true, 1],
            [false, 5],
          ],
        );
      }
      assert.equal(await findHold(store, "a", limit, "new"), "unknown");
      assert.equal(await findHold(store, "b", limit, "old"), "live");
      await advance(LEASE_MS);
      assert.equal(await findHold(store, "c", limit, "old"), "late");
    },
  ),

  ...forEachHolder("decides a batch of holds in order, as if one by one", async ({ store }, limit) => {
    const requests: StoreRequest[] = [
      { mode: "judge", steps: [hold("b", limit, "h1", 3)] },
      { mode: "peek", steps: [hold("b", limit, "h2", 2)] },
      { mode: "judge", steps: [hold("b", limit, "h3", 3)] },
      { mode: "judge", steps: [extend("b", limit, "h1", LEASE_MS)] },
      { mode: "judge", steps: [settle("b", limit, "h1", 0)] },
      { mode: "judge", steps: [hold("b", limit, "h4", 4), hold("other", limit, "h4", 1)] },
      { mode: "force", steps: [hold("b", limit, "h5", 2)] },
      { mode: "judge", steps: [reset("b", limit)] },
      { mode: "judge", steps: [settle("b", limit, "h5", 0)] },
    ];
    const replies = (await store.apply(requests)).map(answered);
    assert.deepEqual(
      replies.map((reply) => [reply.allowed, first(reply).used, first(reply).hold]),
      [
        [true, 3, undefined],
        [true, 5, undefined],
        [false, 3, undefined],
        [true, 3, "live"],
        [true, 0, "live"],
        [true, 4, undefined],
        [false, 6, undefined],
        [true, 6, undefined],
        [true, 0, "unknown"],
      ],
    );
    assert.equal(new Set(replies.map(({ nowMs }) => nowMs)).size, 1);
  }),

  {
    name: "judges holds, charges and settles of one request each in its own bucket",
    async run({ store }) {
      await ask(store, "judge", hold("tokens", quota(100), "h0", 60), hold("slots", slots, "h0", 1));
      const steps = [hold("slots", slots, "h1", 1), charge("calls", quota(5)), settle("tokens", quota(100), "h0", 70)];
      const reply = await ask(store, "judge", ...steps, extend("gone", tokenBucket, "h0", 1));
      assert.deepEqual(
        reply.steps.map(({ allowed, used, hold: found }) => [allowed, used, found]),
        [
          [true, 1, undefined],
          [true, 0, undefined],
          [true, 60, "live"],
          [false, 0, "unknown"],
        ],
      );
      const booked = await ask(store, "judge", ...steps);
      assert.deepEqual(
        booked.steps.map(({ used }) => used),
        [2, 1, 70],
      );
    },
  },
  {
    name: "concurrency: frees slots whatever a settle says was needed, and spends nothing",
    async run({ store }) {
      for (const id of ["h1", "h2", "h3"]) await ask(store, "judge", hold("b", slots, id, 1));
      for (const [id, used] of Object.entries({ h1: 2, h2: 1, never: 1, h3: 0 })) {
        assert.equal(first(await ask(store, "judge", settle("b", slots, id, 1))).used, used);
      }
      await ask(store, "judge", hold("b", slots, "h4", 1));
      assert.equal(first(await ask(store, "judge", charge("b", slots, 4))).used, 1);
      assert.equal(await usedOf(store, "b", slots), 1);
    },
  },
  {
    name: "token-bucket: gives back no more of a hold than has not flowed back by itself",
    async run({ store, advance }) {
      await ask(store, "judge", hold("b", tokenBucket, "h1", 3, { leaseMs: 1_000 }));
      await advance(400);
      assert.equal(first(await ask(store, "judge", charge("b", tokenBucket, 4))).used, 5);
      assert.equal(first(await ask(store, "judge", settle("b", tokenBucket, "h1", 0))).used, 4);
      assert.equal(first(await ask(store, "judge", charge("b", tokenBucket, 1))).used, 5);
      assert.equal(first(await ask(store, "judge", charge("b", tokenBucket, 1))).retryAfterMs, 200);
    },
  },
  {
    name: "token-bucket: gives back what is left of a hold also where one below it was given back before",
    async run({ store, advance }) {
      for (const id of ["h1", "h2"]) await ask(store, "judge", hold("b", tokenBucket, id, 2, { leaseMs: 1_000 }));
      await ask(store, "judge", settle("b", tokenBucket, "h1", 0));
      await ask(store, "judge", charge("b", tokenBucket, 2));
      await advance(300);
      assert.equal(await usedOf(store, "b", tokenBucket), 3);
      assert.equal(first(await ask(store, "judge", settle("b", tokenBucket, "h2", 0))).used, 2);
    },
  },
  {
    name: "takes holds of another algorithm for none, and leaves them where nothing is booked",
    async run({ store }) {
      for (const [limit, other] of [
        [tokenBucket, quota(5)],
        [slots, tokenBucket],
        [quota(5), slots],
      ] as const) {
        const bucket = limit.algorithm;
        await ask(store, "judge", hold(bucket, limit, "h1", 2));
        assert.equal(await usedOf(store, bucket, other), 0);
        assert.equal(first(await ask(store, "judge", settle(bucket, other, "h1", 0))).hold, "unknown");
        assert.equal(await findHold(store, bucket, limit, "h1"), "live");
        await ask(store, "judge", hold(bucket, other, "h2", 1));
        assert.equal(await findHold(store, bucket, limit, "h1"), "unknown");
      }
    },
  },
  {
    name: "lets another store on the same data settle a hold",
    async run({ store, another }) {
      const other = another?.() ?? store;
      await ask(store, "judge", hold("b", quota(5), "h1", 3));
      const { used, hold: found } = first(await ask(other, "judge", settle("b", quota(5), "h1", 1)));
      assert.deepEqual([used, found], [1, "live"]);
      assert.equal(await findHold(store, "b", quota(5), "h1"), "unknown");
      await other.close();
    },
  },
  {
    name: "fails a request alone that would hold more than a thousand times in one bucket",
    async run({ store }) {
      const large = quota(2 * MAX_HOLDS);
      await fill(store, large);
      for (const mode of ["judge", "force", "peek"] as const) {
        const [failed, fits] = await store.apply([
          { mode, steps: [charge("other", large), hold("b", large, "more", 1)], once: { key: "once", request: "r1" } },
          { mode: "judge", steps: [charge("b", large), read("other", large)] },
        ]);
        assert.ok(StoreError.isInstance(failed) && failed.code === "too-many-holds" && failed.transient, mode);
        assert.equal(answered(fits).steps[1]?.used, 0);
      }
      assert.equal(await usedOf(store, "b", large), MAX_HOLDS + 3);
      await ask(store, "judge", settle("b", large, "h0", 0));
      assert.equal((await ask(store, "judge", hold("b", large, "more", 1))).allowed, true);
      assert.equal((await ask(store, "judge", hold("b", large, "never", MAX_HOLDS))).allowed, false);
    },
  },
  {
    name: "forgets the earliest holds that have ended where they are in the way of new ones",
    async run({ store, advance }) {
      const large = quota(2 * MAX_HOLDS);
      await fill(store, large);
      await advance(LEASE_MS);
      await ask(store, "judge", hold("b", large, "more", 1));
      const found = await Promise.all(["h0", "h1", "more"].map((id) => findHold(store, "b", large, id)));
      assert.deepEqual(found, ["unknown", "late", "live"]);
    },
  },
];

/** Puts as many holds of a unit into a bucket as it may have. */
async function fill(store: { apply(requests: readonly StoreRequest[]): Promise<unknown> }, limit: LimitSpec) {
  const ids = Array.from({ length: MAX_HOLDS }, (_, i) => `h${i}`);
  await store.apply(ids.map((id) => ({ mode: "judge", steps: [hold("b", limit, id, 1)] })));
}
