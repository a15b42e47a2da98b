// What a store must do where a call waits for its turn, and then holds units.

import assert from "node:assert/strict";
import {
  answered,
  ask,
  charge,
  extend,
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
import { full, UNIT_MS, wait } from "./wait-parts.ts";

/** Most places in one bucket. */
const MAX_PLACES = 256;

export const waitingHoldCases: readonly StoreCase[] = [
  {
    name: "token-bucket: makes a hold at the turn of a call that waits for it",
    async run(fixture) {
      const store = await full(fixture);
      const reply = await wait(store, "w1", 10_000, hold("b", tokenBucket, "h1", 2, { leaseMs: 1_000 }));
      assert.deepEqual([reply.allowed, reply.waitMs, first(reply).used], [true, 2 * UNIT_MS, 7]);
      // The next call waits behind it, and cannot overtake it.
      assert.equal((await wait(store, "w2", 10_000, charge("b", tokenBucket))).waitMs, 3 * UNIT_MS);
      await fixture.advance(2 * UNIT_MS - 1);
      assert.equal(first(await ask(store, "judge", charge("b", tokenBucket))).allowed, false);
      assert.equal(await findHold(store, "b", tokenBucket, "h1"), "live");
      await fixture.advance(UNIT_MS + 1);
      assert.equal(first(await ask(store, "force", extend("b", tokenBucket, "h1", 1_000))).hold, "live");
      await fixture.advance(999);
      assert.equal(await findHold(store, "b", tokenBucket, "h1"), "live");
      await fixture.advance(1);
      assert.equal(await findHold(store, "b", tokenBucket, "h1"), "late");
    },
  },

  {
    name: "token-bucket: gives back what a hold that waited did not take, and no more than has not flowed back since its turn",
    async run(fixture) {
      const single = { ...tokenBucket, burst: 1 };
      await ask(fixture.store, "judge", charge("b", single));
      await wait(fixture.store, "w1", 10_000, hold("b", single, "h1", 1, { leaseMs: 10_000 }));
      await wait(fixture.store, "w2", 10_000, hold("b", single, "h2", 1, { leaseMs: 10_000 }));
      await fixture.advance(UNIT_MS + UNIT_MS / 2);
      // Half of its unit has flowed back, and the next place is still taken.
      assert.equal(first(await ask(fixture.store, "force", settle("b", single, "h1", 0))).hold, "live");
      assert.equal(first(await ask(fixture.store, "judge", charge("b", single))).allowed, false);
      await fixture.advance(UNIT_MS / 2);
      const freed = first(await ask(fixture.store, "force", settle("b", single, "h2", 0)));
      assert.deepEqual([freed.hold, freed.used], ["live", 0]);
      const replies = [await ask(fixture.store, "judge", charge("b", single))];
      replies.push(await ask(fixture.store, "judge", charge("b", single)));
      assert.deepEqual(
        replies.map(({ allowed }) => allowed),
        [true, false],
      );
    },
  },

  {
    name: "token-bucket: gives the last place of a row to the next call when its hold was given up",
    async run(fixture) {
      const store = await full(fixture);
      await wait(store, "w1", 10_000, hold("b", tokenBucket, "h1", 1));
      await wait(store, "w2", 10_000, hold("b", tokenBucket, "h2", 1));
      assert.equal(first(await ask(store, "force", settle("b", tokenBucket, "h2", 0))).hold, "live");
      assert.equal((await wait(store, "w3", 10_000, hold("b", tokenBucket, "h3", 1))).waitMs, 2 * UNIT_MS);
    },
  },

  {
    name: "token-bucket: charges or refunds a hold that waited a lease after its turn",
    async run({ store, advance }) {
      for (const [bucket, onExpiry, used] of [
        ["b", "charge", 1],
        ["c", "refund", 0],
      ] as const) {
        const slow = { ...tokenBucket, burst: 1, levelPerUnit: 1_000 };
        await ask(store, "judge", charge(bucket, slow));
        const reply = await wait(store, "w1", 10_000, hold(bucket, slow, "h1", 1, { leaseMs: 400, onExpiry }));
        assert.equal(reply.waitMs, 1_000);
        await advance(1_399);
        assert.equal(await usedOf(store, bucket, slow), 1);
        await advance(1);
        assert.equal(await usedOf(store, bucket, slow), used);
      }
    },
  },

  {
    name: "holds in other buckets from the start, for a lease that begins at the turn",
    async run(fixture) {
      const store = await full(fixture);
      const steps = [hold("b", tokenBucket, "h1", 1), hold("s", slots, "h1", 5), hold("a", quota(5), "h1", 5)];
      assert.equal((await wait(store, "w1", 10_000, ...steps)).waitMs, UNIT_MS);
      assert.deepEqual([await usedOf(store, "s", slots), await usedOf(store, "a", quota(5))], [5, 5]);
      await fixture.advance(UNIT_MS + LEASE_MS - 1);
      assert.equal(await usedOf(store, "s", slots), 5);
      for (const [bucket, limit] of [
        ["b", tokenBucket],
        ["s", slots],
        ["a", quota(5)],
      ] as const) {
        assert.equal(await findHold(store, bucket, limit, "h1"), "live");
      }
      await fixture.advance(1);
      assert.equal(await usedOf(store, "s", slots), 0);
    },
  },

  {
    name: "token-bucket: takes back the place of a hold that a request booked",
    async run(fixture) {
      const store = await full(fixture);
      const steps = [hold("b", tokenBucket, "h1", 1), charge("a", quota(5))];
      const once = { key: "k", request: "r" };
      const place = { id: "w1", maxMs: 10_000 };
      const [made] = await store.apply([{ mode: "judge", steps, once, wait: place }]);
      const { nowMs } = answered(made);
      assert.deepEqual([await usedOf(store, "b", tokenBucket), await usedOf(store, "a", quota(5))], [6, 1]);
      await store.apply([{ mode: "undo", atMs: nowMs, steps, once, wait: place }]);
      assert.deepEqual([await usedOf(store, "b", tokenBucket), await usedOf(store, "a", quota(5))], [5, 0]);
    },
  },

  {
    name: "holds a waiting call's units in all its buckets until its turn",
    async run(fixture) {
      const store = await full(fixture);
      const other = { ...tokenBucket, levelPerUnit: 300 };
      await ask(store, "judge", charge("c", other, 5));
      const steps = [charge("a", quota(5), 2), charge("b", tokenBucket), charge("c", other)];
      const reply = await wait(store, "w1", 10_000, ...steps);
      assert.deepEqual([reply.waitMs, reply.steps.map(({ used }) => used)], [300, [2, 6, 6]]);
      await fixture.advance(299);
      assert.equal(first(await ask(store, "peek", settle("a", quota(5), "w1", 0))).hold, "live");
      await fixture.advance(1);
      const after = await Promise.all([
        usedOf(store, "a", quota(5)),
        usedOf(store, "b", tokenBucket),
        usedOf(store, "c", other),
      ]);
      // The second bucket has had 300 ms, of which a unit takes 200.
      assert.deepEqual(after, [2, 5, 5]);
      assert.equal(first(await ask(store, "peek", read("a", quota(5)))).resetAfterMs, 1_000);
    },
  },

  {
    name: "does not wait where another limit denies, nor for a step in shadow",
    async run(fixture) {
      const store = await full(fixture);
      const denied = await wait(store, "w1", 10_000, charge("b", tokenBucket), charge("a", quota(0)));
      assert.deepEqual([denied.allowed, denied.waitMs], [false, undefined]);
      assert.deepEqual(
        denied.steps.map(({ allowed, retryAfterMs }) => [allowed, retryAfterMs]),
        [
          [false, UNIT_MS],
          [false, null],
        ],
      );
      const shadow = await wait(store, "w2", 10_000, { ...charge("b", tokenBucket), shadow: true });
      assert.deepEqual([shadow.allowed, shadow.waitMs, first(shadow).allowed], [true, undefined, false]);
    },
  },

  {
    name: "gives a waiting call's answer again, with its wait",
    async run(fixture) {
      const store = await full(fixture);
      const once = { key: "k", request: "r" };
      const request = { mode: "judge", steps: [charge("b", tokenBucket)], once } as const;
      const replies = await store.apply([
        { ...request, wait: { id: "w1", maxMs: 10_000 } },
        { ...request, wait: { id: "w2", maxMs: 10_000 } },
      ]);
      const [one, again] = replies.map(answered);
      assert.deepEqual([one?.waitMs, again?.waitMs, again?.replay?.request], [UNIT_MS, UNIT_MS, "r"]);
      assert.equal(await usedOf(store, "b", tokenBucket), 6);
    },
  },

  {
    name: `token-bucket: lets ${MAX_PLACES} wait and no more`,
    async run(fixture) {
      const store = await full(fixture);
      const requests = Array.from({ length: MAX_PLACES + 1 }, (_, i) => ({
        mode: "judge" as const,
        steps: [charge("b", tokenBucket)],
        wait: { id: `w${i}`, maxMs: 1_000_000 },
      }));
      const replies = (await store.apply(requests)).map(answered);
      assert.deepEqual(
        replies.map(({ waitMs }) => waitMs),
        [...Array.from({ length: MAX_PLACES }, (_, i) => (i + 1) * UNIT_MS), undefined],
      );
      assert.equal(replies.at(-1)?.allowed, false);
    },
  },
];
