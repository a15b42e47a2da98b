// What a store must do with holds of particular algorithms, and at their bounds.

import assert from "node:assert/strict";
import type { LimitSpec } from "../kernel/algorithms/registry.ts";
import type { StoreRequest } from "../kernel/request.ts";
import { StoreError } from "../store/error.ts";
import {
  answered,
  ask,
  charge,
  findHold,
  first,
  hold,
  LEASE_MS,
  quota,
  read,
  type StoreCase,
  settle,
  slots,
  tokenBucket,
  usedOf,
} from "./cases.ts";

/** Most holds in one bucket. */
const MAX_HOLDS = 1_000;

export const holdEdgeCases: readonly StoreCase[] = [
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
