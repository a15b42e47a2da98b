// What a store must do with requests that are to be booked once, however often they are sent.

import assert from "node:assert/strict";
import type { LimitSpec } from "../kernel/algorithms/registry.ts";
import type { Step, StoreReply, StoreRequest } from "../kernel/request.ts";
import type { Store } from "../store/store.ts";
import {
  answered,
  ask,
  charge,
  extend,
  findHold,
  first,
  tokenBucket,
  hold,
  LEASE_MS,
  quota,
  REMEMBERED_MS,
  read,
  reset,
  type StoreCase,
  settle,
  slots,
  usedOf,
} from "./cases.ts";

const large = quota(99);

/** Sends one request that is to be booked once. */
async function askOnce(store: Store, ...steps: Step[]): Promise<StoreReply> {
  return answered((await store.apply([once(steps)]))[0]);
}

function once(steps: readonly Step[], mode: StoreRequest["mode"] = "judge", request = "r1"): StoreRequest {
  return { mode, steps, once: { key: "once", request } };
}

/** Whether a reply is the first one, given again. */
function assertGivenAgain(again: StoreReply | undefined, reply: StoreReply | undefined, replay: StoreReply["replay"]) {
  assert.deepEqual(again, { ...reply, replay });
}

export const onceCases: readonly StoreCase[] = [
  {
    name: "gives a request that is sent again the first answer, and books it once",
    async run({ store, advance }) {
      const reply = await askOnce(store, charge("b", large, 2), charge("c", large, 3));
      assert.equal(reply.replay, undefined);
      await advance(1);
      await ask(store, "judge", charge("b", large, 1), reset("c", large));
      const again = await askOnce(store, charge("b", large, 2), charge("c", large, 3));
      assertGivenAgain(again, reply, { request: "r1", hold: null, units: [2, 3] });
      assert.deepEqual(
        again.steps.map(({ used }) => used),
        [2, 3],
      );
      assert.deepEqual([await usedOf(store, "b", large), await usedOf(store, "c", large)], [3, 0]);
    },
  },
  {
    name: "gives the first answer again also within one batch",
    async run({ store }) {
      const request = once([charge("b", large, 2)]);
      const [reply, other, again] = await store.apply([
        request,
        { mode: "judge", steps: [charge("b", large, 1)] },
        request,
      ]);
      assertGivenAgain(answered(again), answered(reply), { request: "r1", hold: null, units: [2] });
      assert.deepEqual([first(answered(other)).used, await usedOf(store, "b", large)], [3, 3]);
    },
  },
  {
    name: "gives the first answer again to another store on the same data, with the hold of the first",
    async run({ store, advance, another }) {
      const other = another?.() ?? store;
      const reply = await askOnce(store, charge("a", large, 1), hold("b", large, "h1", 2), hold("c", slots, "h1", 3));
      await advance(1);
      const again = await askOnce(other, charge("a", large, 1), hold("b", large, "h2", 2), hold("c", slots, "h2", 3));
      assertGivenAgain(again, reply, { request: "r1", hold: "h1", units: [1, 2, 3] });
      assert.equal(await usedOf(other, "b", large), 2);
      assert.equal(await findHold(other, "b", large, "h2"), "unknown");
      assert.equal(await findHold(other, "b", large, "h1"), "live");
      await other.close();
    },
  },
  {
    name: "gives the first answer, and says whose it is, to whatever is asked under its key",
    async run({ store }) {
      const reply = answered((await store.apply([once([charge("b", large, 2)], "judge", "R-1_a")]))[0]);
      const replay = { request: "R-1_a", hold: null, units: [2] };
      const others = [once([charge("c", quota(0)), read("b", large)], "judge", "r2"), once([], "force", "r3")];
      for (const request of others) assertGivenAgain(answered((await store.apply([request]))[0]), reply, replay);
      assert.deepEqual([await usedOf(store, "b", large), await usedOf(store, "c", large)], [2, 0]);
    },
  },
  {
    name: "keeps answers apart whatever their keys are",
    async run({ store }) {
      const keys = ["__proto__", "once", "ONCE", "once:", "é", "e\u0301", "漢"];
      for (const _ of [1, 2]) {
        const requests = keys.map((key, i) => ({ ...once([charge("b", large, i)]), once: { key, request: "r1" } }));
        await store.apply(requests);
      }
      assert.equal(await usedOf(store, "b", large), 0 + 1 + 2 + 3 + 4 + 5 + 6);
    },
  },
  {
    name: "judges a denied request afresh when it is sent again",
    async run({ store, advance }) {
      await ask(store, "judge", hold("b", quota(5), "h1", 5, { onExpiry: "refund" }));
      const step = charge("b", quota(5), 2);
      assert.equal((await askOnce(store, step)).allowed, false);
      await advance(LEASE_MS - 1);
      assert.equal(first(await askOnce(store, step)).retryAfterMs, 1);
      await advance(1);
      const reply = await askOnce(store, step);
      assert.deepEqual([reply.allowed, first(reply).used, reply.replay], [true, 2, undefined]);
      assertGivenAgain(await askOnce(store, step), reply, { request: "r1", hold: null, units: [2] });
    },
  },
  {
    name: "keeps an answer for ten minutes from the first request, however often it is given, then books again",
    async run({ store, advance }) {
      const lasting: LimitSpec = { algorithm: "budget", quota: 99, ttlMs: 2 * REMEMBERED_MS, ttlFrom: "first" };
      const step = charge("b", lasting, 2);
      const reply = await askOnce(store, step);
      for (const waitMs of [REMEMBERED_MS / 2, REMEMBERED_MS / 2 - 1]) {
        await advance(waitMs);
        assertGivenAgain(await askOnce(store, step), reply, { request: "r1", hold: null, units: [2] });
      }
      await advance(1);
      const afresh = await askOnce(store, step);
      assert.deepEqual([afresh.nowMs - reply.nowMs, first(afresh).used], [REMEMBERED_MS, 4]);
      assert.equal(afresh.replay, undefined);
      await advance(1);
      assertGivenAgain(await askOnce(store, step), afresh, { request: "r1", hold: null, units: [2] });
    },
  },
  {
    name: "keeps the answer of a forced request, also where it was not allowed",
    async run({ store }) {
      const request = once([charge("b", quota(5), 6), hold("c", tokenBucket, "-", 6), charge("d", large)], "force");
      const reply = answered((await store.apply([request]))[0]);
      assert.deepEqual([reply.allowed, first(reply).retryAfterMs], [false, null]);
      const again = answered((await store.apply([request]))[0]);
      assertGivenAgain(again, reply, { request: "r1", hold: "-", units: [6, 6, 1] });
      assert.deepEqual([await usedOf(store, "b", quota(5)), await usedOf(store, "c", tokenBucket)], [6, 6]);
    },
  },
  {
    name: "neither looks for an answer nor keeps one when it only peeks",
    async run({ store }) {
      const peek = once([charge("b", large, 2)], "peek");
      const before = answered((await store.apply([peek]))[0]);
      const reply = await askOnce(store, charge("b", large, 2));
      const after = answered((await store.apply([peek]))[0]);
      assert.deepEqual(
        [before, reply, after].map((each) => [first(each).used, each.replay]),
        [
          [2, undefined],
          [2, undefined],
          [4, undefined],
        ],
      );
    },
  },
  {
    name: "gives the answer of each kind of step again, whole",
    async run({ store, advance }) {
      const most = Number.MAX_SAFE_INTEGER;
      const event = { type: "charge", cost: most } as const;
      await ask(store, "judge", hold("settled", large, "h1", 3), hold("extended", large, "h1", 3));
      await ask(store, "judge", hold("late", large, "h1", 3, { leaseMs: 1 }), charge("emptied", large, 3));
      await advance(1);
      const steps = [
        { bucket: "most", limit: quota(most), event },
        hold("held", slots, "h2", 2),
        settle("settled", large, "h1", 5),
        settle("late", large, "h1", 4),
        settle("unknown", large, "h1", 1),
        extend("extended", large, "h1", 1_000),
        read("read", large),
        reset("emptied", large),
      ];
      const reply = await askOnce(store, ...steps);
      assert.deepEqual(
        reply.steps.map(({ used, hold: found }) => [used, found]),
        [
          [most, undefined],
          [2, undefined],
          [5, "live"],
          [4, "late"],
          [1, "unknown"],
          [3, "live"],
          [0, undefined],
          [3, undefined],
        ],
      );
      await ask(store, "judge", charge("emptied", large, 1));
      const again = await askOnce(store, ...steps);
      assertGivenAgain(again, reply, { request: "r1", hold: "h2", units: [most, 2, 5, 4, 1, 0, 0, 0] });
      const used = [];
      for (const { bucket, limit } of steps) used.push(await usedOf(store, bucket, limit));
      assert.deepEqual(used, [most, 2, 5, 4, 1, 3, 0, 1]);
    },
  },
  {
    name: "keeps the answer of a request without steps",
    async run({ store, advance }) {
      const reply = await askOnce(store);
      await advance(1);
      assertGivenAgain(await askOnce(store, charge("b", large)), reply, { request: "r1", hold: null, units: [] });
    },
  },
];
