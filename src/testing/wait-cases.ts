// What a store must do where a call waits for its turn.

import assert from "node:assert/strict";
import type { StoreReply } from "../kernel/request.ts";
import { ask, charge, first, hold, read, type StoreCase, settle, tokenBucket, usedOf } from "./cases.ts";
import { full, UNIT_MS, wait } from "./wait-parts.ts";

export const waitCases: readonly StoreCase[] = [
  {
    name: "token-bucket: serves calls that wait in their order, at the rate of the limit",
    async run(fixture) {
      const store = await full(fixture);
      const replies: StoreReply[] = [];
      for (const id of ["w1", "w2", "w3"]) replies.push(await wait(store, id, 10_000, charge("b", tokenBucket)));
      assert.deepEqual(
        replies.map(({ allowed, waitMs }) => [allowed, waitMs]),
        [UNIT_MS, 2 * UNIT_MS, 3 * UNIT_MS].map((ms) => [true, ms]),
      );
      assert.deepEqual(
        replies.map((reply) => [first(reply).allowed, first(reply).used, first(reply).retryAfterMs]),
        [6, 7, 8].map((used) => [true, used, 0]),
      );
    },
  },

  {
    name: "token-bucket: spends a place's units at its turn",
    async run(fixture) {
      const store = await full(fixture);
      await wait(store, "w1", 10_000, charge("b", tokenBucket, 2));
      await fixture.advance(2 * UNIT_MS - 1);
      const early = first(await ask(store, "peek", settle("b", tokenBucket, "w1", 0)));
      assert.deepEqual([early.hold, first(await ask(store, "peek", read("b", tokenBucket))).used], ["live", 6]);
      await fixture.advance(1);
      assert.equal(first(await ask(store, "peek", settle("b", tokenBucket, "w1", 0))).hold, "unknown");
      assert.equal(await usedOf(store, "b", tokenBucket), 5);
      await fixture.advance(UNIT_MS);
      assert.equal(await usedOf(store, "b", tokenBucket), 4);
    },
  },

  {
    name: "token-bucket: denies a call whose turn would come too late, and takes no place for it",
    async run(fixture) {
      const store = await full(fixture);
      const denied = await wait(store, "w1", UNIT_MS - 1, charge("b", tokenBucket));
      assert.deepEqual([denied.allowed, denied.waitMs, first(denied).retryAfterMs], [false, undefined, UNIT_MS]);
      const never = await wait(store, "w1", 1_000_000, charge("b", tokenBucket, 6));
      assert.deepEqual([never.allowed, first(never).retryAfterMs], [false, null]);
      assert.equal((await wait(store, "w2", UNIT_MS, charge("b", tokenBucket))).waitMs, UNIT_MS);
    },
  },

  {
    name: "token-bucket: lets no call overtake that does not wait",
    async run(fixture) {
      const store = await full(fixture);
      await wait(store, "w1", 10_000, charge("b", tokenBucket));
      await fixture.advance(UNIT_MS - 1);
      const denied = first(await ask(store, "judge", charge("b", tokenBucket)));
      assert.deepEqual([denied.allowed, denied.retryAfterMs], [false, UNIT_MS + 1]);
    },
  },

  {
    name: "token-bucket: lets a call pass at once when it need not wait",
    async run({ store }) {
      const reply = await wait(store, "w1", 10_000, charge("b", tokenBucket));
      assert.deepEqual([reply.allowed, reply.waitMs, first(reply).used], [true, undefined, 1]);
      assert.equal(first(await ask(store, "peek", settle("b", tokenBucket, "w1", 0))).hold, "unknown");
    },
  },

  {
    name: "token-bucket: gives the last place of a row to the next call when it was given up",
    async run(fixture) {
      const store = await full(fixture);
      await wait(store, "w1", 10_000, charge("b", tokenBucket));
      await wait(store, "w2", 10_000, charge("b", tokenBucket));
      assert.equal(first(await ask(store, "force", settle("b", tokenBucket, "w2", 0))).hold, "live");
      assert.equal((await wait(store, "w3", 10_000, charge("b", tokenBucket))).waitMs, 2 * UNIT_MS);
    },
  },

  {
    name: "token-bucket: gives no other place of a row to anybody when it was given up",
    async run({ store }) {
      const single = { ...tokenBucket, burst: 1 };
      await ask(store, "judge", charge("b", single));
      for (const id of ["w1", "w2", "w3"]) await wait(store, id, 10_000, charge("b", single));
      await ask(store, "force", settle("b", single, "w2", 0));
      const next = await wait(store, "w4", 10_000, charge("b", single));
      assert.equal(next.waitMs, 4 * UNIT_MS);
    },
  },

  {
    name: "token-bucket: counts on nothing that a hold may give back",
    async run({ store }) {
      await ask(store, "judge", hold("b", tokenBucket, "h1", 5, { leaseMs: 50, onExpiry: "refund" }));
      assert.equal(first(await ask(store, "peek", charge("b", tokenBucket))).retryAfterMs, 50);
      assert.equal((await wait(store, "w1", 10_000, charge("b", tokenBucket))).waitMs, UNIT_MS);
    },
  },
];
