// What a store must do where a call waits for its turn: for a charge, or for units that it then holds.

import assert from "node:assert/strict";
import type { StoreReply } from "../kernel/request.ts";
import { MAX_QUEUED, quota, slots, tokenBucket, UNIT_MS } from "./limits.ts";
import { charge, extend, hold, LEASE_MS, read, settle } from "./steps.ts";
import { each, first, has, storeCase, type StoreCase, type Trial } from "./trial.ts";

/** Takes all units of a token bucket. */
async function full(t: Trial): Promise<void> {
  await t.judge(charge("b", tokenBucket, 5));
}

export const waitCases: readonly StoreCase[] = [
  storeCase("token-bucket: serves calls that wait in their order, at the rate of the limit", async (t) => {
    await full(t);
    const replies: StoreReply[] = [];
    for (const id of ["w1", "w2", "w3"]) replies.push(await t.wait(id, 10_000, charge("b", tokenBucket)));
    assert.deepEqual(each(replies, "allowed"), [true, true, true]);
    assert.deepEqual(each(replies, "waitMs"), [UNIT_MS, 2 * UNIT_MS, 3 * UNIT_MS]);
    const steps = replies.map(first);
    assert.deepEqual(each(steps, "allowed"), [true, true, true]);
    assert.deepEqual(each(steps, "used"), [6, 7, 8]);
    assert.deepEqual(each(steps, "retryAfterMs"), [0, 0, 0]);
  }),
  storeCase("token-bucket: spends a queued call's units at its turn", async (t) => {
    await full(t);
    await t.wait("w1", 10_000, charge("b", tokenBucket, 2));
    await t.advance(2 * UNIT_MS - 1);
    assert.equal(await t.findHold("b", tokenBucket, "w1"), "live");
    assert.equal(await t.usedOf("b", tokenBucket), 6);
    await t.advance(1);
    assert.equal(await t.findHold("b", tokenBucket, "w1"), "unknown");
    assert.equal(await t.usedOf("b", tokenBucket), 5);
    await t.advance(UNIT_MS);
    assert.equal(await t.usedOf("b", tokenBucket), 4);
  }),
  storeCase("token-bucket: denies a call whose turn would come too late, and does not queue it", async (t) => {
    await full(t);
    const denied = await t.wait("w1", UNIT_MS - 1, charge("b", tokenBucket));
    assert.deepEqual([denied.allowed, denied.waitMs, first(denied).retryAfterMs], [false, undefined, UNIT_MS]);
    const never = await t.wait("w1", 1_000_000, charge("b", tokenBucket, 6));
    assert.deepEqual([never.allowed, first(never).retryAfterMs], [false, null]);
    assert.equal((await t.wait("w2", UNIT_MS, charge("b", tokenBucket))).waitMs, UNIT_MS);
  }),
  storeCase("token-bucket: lets no call overtake that does not wait", async (t) => {
    await full(t);
    await t.wait("w1", 10_000, charge("b", tokenBucket));
    await t.advance(UNIT_MS - 1);
    has(await t.judge(charge("b", tokenBucket)), { allowed: false, retryAfterMs: UNIT_MS + 1 });
  }),
  storeCase("token-bucket: lets a call pass at once when it need not wait", async (t) => {
    const reply = await t.wait("w1", 10_000, charge("b", tokenBucket));
    assert.deepEqual([reply.allowed, reply.waitMs, first(reply).used], [true, undefined, 1]);
    assert.equal(await t.findHold("b", tokenBucket, "w1"), "unknown");
  }),
  storeCase("token-bucket: gives the last turn of a queue to the next call when it was given up", async (t) => {
    await full(t);
    await t.wait("w1", 10_000, charge("b", tokenBucket));
    await t.wait("w2", 10_000, charge("b", tokenBucket));
    assert.equal((await t.force(settle("b", tokenBucket, "w2", 0))).found, "live");
    assert.equal((await t.wait("w3", 10_000, charge("b", tokenBucket))).waitMs, 2 * UNIT_MS);
  }),
  storeCase("token-bucket: gives no other turn of a queue to a later call when it was given up", async (t) => {
    const single = { ...tokenBucket, burst: 1 };
    await t.judge(charge("b", single));
    for (const id of ["w1", "w2", "w3"]) await t.wait(id, 10_000, charge("b", single));
    await t.force(settle("b", single, "w2", 0));
    assert.equal((await t.wait("w4", 10_000, charge("b", single))).waitMs, 4 * UNIT_MS);
  }),
  storeCase("token-bucket: counts on nothing that a hold may give back", async (t) => {
    await t.judge(hold("b", tokenBucket, "h1", 5, { leaseMs: 50, onExpiry: "refund" }));
    assert.equal((await t.peek(charge("b", tokenBucket))).retryAfterMs, 50);
    assert.equal((await t.wait("w1", 10_000, charge("b", tokenBucket))).waitMs, UNIT_MS);
  }),
  storeCase("token-bucket: makes a hold at the turn of a call that waits for it", async (t) => {
    await full(t);
    const reply = await t.wait("w1", 10_000, hold("b", tokenBucket, "h1", 2, { leaseMs: 1_000 }));
    assert.deepEqual([reply.allowed, reply.waitMs, first(reply).used], [true, 2 * UNIT_MS, 7]);
    // The next call waits behind it, and cannot overtake it.
    assert.equal((await t.wait("w2", 10_000, charge("b", tokenBucket))).waitMs, 3 * UNIT_MS);
    await t.advance(2 * UNIT_MS - 1);
    assert.equal((await t.judge(charge("b", tokenBucket))).allowed, false);
    assert.equal(await t.findHold("b", tokenBucket, "h1"), "live");
    await t.advance(UNIT_MS + 1);
    assert.equal((await t.force(extend("b", tokenBucket, "h1", 1_000))).found, "live");
    await t.advance(999);
    assert.equal(await t.findHold("b", tokenBucket, "h1"), "live");
    await t.advance(1);
    assert.equal(await t.findHold("b", tokenBucket, "h1"), "late");
  }),
  storeCase(
    "token-bucket: gives back of a hold that waited no more than has not flowed back since its turn",
    async (t) => {
      const single = { ...tokenBucket, burst: 1 };
      await t.judge(charge("b", single));
      await t.wait("w1", 10_000, hold("b", single, "h1", 1, { leaseMs: 10_000 }));
      await t.wait("w2", 10_000, hold("b", single, "h2", 1, { leaseMs: 10_000 }));
      await t.advance(UNIT_MS + UNIT_MS / 2);
      // Half of its unit has flowed back, and the next place is still taken.
      assert.equal((await t.force(settle("b", single, "h1", 0))).found, "live");
      assert.equal((await t.judge(charge("b", single))).allowed, false);
      await t.advance(UNIT_MS / 2);
      has(await t.force(settle("b", single, "h2", 0)), { found: "live", used: 0 });
      assert.equal((await t.judge(charge("b", single))).allowed, true);
      assert.equal((await t.judge(charge("b", single))).allowed, false);
    },
  ),
  storeCase("token-bucket: gives the last turn of a queue to the next call when its hold was given up", async (t) => {
    await full(t);
    await t.wait("w1", 10_000, hold("b", tokenBucket, "h1", 1));
    await t.wait("w2", 10_000, hold("b", tokenBucket, "h2", 1));
    assert.equal((await t.force(settle("b", tokenBucket, "h2", 0))).found, "live");
    assert.equal((await t.wait("w3", 10_000, hold("b", tokenBucket, "h3", 1))).waitMs, 2 * UNIT_MS);
  }),
  storeCase("token-bucket: charges or refunds a hold that waited a lease after its turn", async (t) => {
    const slow = { ...tokenBucket, burst: 1, levelPerUnit: 1_000 };
    for (const onExpiry of ["charge", "refund"] as const) {
      await t.judge(charge(onExpiry, slow));
      const reply = await t.wait("w1", 10_000, hold(onExpiry, slow, "h1", 1, { leaseMs: 400, onExpiry }));
      assert.equal(reply.waitMs, 1_000);
      await t.advance(1_399);
      assert.equal(await t.usedOf(onExpiry, slow), 1);
      await t.advance(1);
      assert.equal(await t.usedOf(onExpiry, slow), onExpiry === "charge" ? 1 : 0);
    }
  }),
  storeCase("holds in other buckets from the start, for a lease that begins at the turn", async (t) => {
    await full(t);
    const steps = [hold("b", tokenBucket, "h1", 1), hold("s", slots, "h1", 5), hold("a", quota(5), "h1", 5)];
    assert.equal((await t.wait("w1", 10_000, ...steps)).waitMs, UNIT_MS);
    assert.deepEqual([await t.usedOf("s", slots), await t.usedOf("a", quota(5))], [5, 5]);
    await t.advance(UNIT_MS + LEASE_MS - 1);
    assert.equal(await t.usedOf("s", slots), 5);
    for (const { bucket, limit } of steps) assert.equal(await t.findHold(bucket, limit, "h1"), "live");
    await t.advance(1);
    assert.equal(await t.usedOf("s", slots), 0);
  }),
  storeCase("token-bucket: undoes a queued hold that a request booked", async (t) => {
    await full(t);
    const steps = [hold("b", tokenBucket, "h1", 1), charge("a", quota(5))];
    const once = { key: "k", request: "r" };
    const place = { id: "w1", maxMs: 10_000 };
    const { nowMs } = await t.send({ mode: "judge", steps, once, wait: place });
    assert.deepEqual([await t.usedOf("b", tokenBucket), await t.usedOf("a", quota(5))], [6, 1]);
    const undone = await t.send({ mode: "undo", atMs: nowMs, steps, once, wait: place });
    assert.equal(undone.allowed, true);
    assert.deepEqual([await t.usedOf("b", tokenBucket), await t.usedOf("a", quota(5))], [5, 0]);
  }),
  storeCase("does not undo what a request booked whose answer was given again", async (t) => {
    const steps = [charge("a", quota(5))];
    const once = { key: "k", request: "r" };
    const { nowMs } = await t.send({ mode: "judge", steps, once });
    await t.send({ mode: "judge", steps, once });
    const undone = await t.send({ mode: "undo", atMs: nowMs, steps, once });
    assert.deepEqual([undone.allowed, await t.usedOf("a", quota(5))], [false, 1]);
  }),
  storeCase("holds a waiting call's units in all its buckets until its turn", async (t) => {
    await full(t);
    const other = { ...tokenBucket, levelPerUnit: 300 };
    await t.judge(charge("c", other, 5));
    const steps = [charge("a", quota(5), 2), charge("b", tokenBucket), charge("c", other)];
    const reply = await t.wait("w1", 10_000, ...steps);
    assert.deepEqual([reply.waitMs, ...each(reply.steps, "used")], [300, 2, 6, 6]);
    await t.advance(299);
    assert.equal((await t.peek(settle("a", quota(5), "w1", 0))).found, "live");
    await t.advance(1);
    const after = await Promise.all([t.usedOf("a", quota(5)), t.usedOf("b", tokenBucket), t.usedOf("c", other)]);
    // The second bucket has had 300 ms, of which a unit takes 200.
    assert.deepEqual(after, [2, 5, 5]);
    assert.equal((await t.peek(read("a", quota(5)))).resetAfterMs, 1_000);
  }),
  storeCase("does not wait where another limit denies, nor for a step in shadow", async (t) => {
    await full(t);
    const denied = await t.wait("w1", 10_000, charge("b", tokenBucket), charge("a", quota(0)));
    assert.deepEqual([denied.allowed, denied.waitMs], [false, undefined]);
    assert.deepEqual(each(denied.steps, "allowed"), [false, false]);
    assert.deepEqual(each(denied.steps, "retryAfterMs"), [UNIT_MS, null]);
    const shadow = await t.wait("w2", 10_000, { ...charge("b", tokenBucket), shadow: true });
    assert.deepEqual([shadow.allowed, shadow.waitMs, first(shadow).allowed], [true, undefined, false]);
  }),
  storeCase("gives a waiting call's answer again, with its wait", async (t) => {
    await full(t);
    const once = { key: "k", request: "r" };
    const request = { mode: "judge", steps: [charge("b", tokenBucket)], once } as const;
    const waits = ["w1", "w2"].map((id) => ({ ...request, wait: { id, maxMs: 10_000 } }));
    const [one, again] = await t.sendAll(waits);
    assert.deepEqual([one?.waitMs, again?.waitMs, again?.replay?.request], [UNIT_MS, UNIT_MS, "r"]);
    assert.equal(await t.usedOf("b", tokenBucket), 6);
  }),
  storeCase(`token-bucket: lets ${MAX_QUEUED} wait and no more`, async (t) => {
    await full(t);
    const requests = Array.from({ length: MAX_QUEUED + 1 }, (_, i) => ({
      mode: "judge" as const,
      steps: [charge("b", tokenBucket)],
      wait: { id: `w${i}`, maxMs: 1_000_000 },
    }));
    const replies = await t.sendAll(requests);
    const denied = replies.pop();
    assert.deepEqual([denied?.allowed, denied?.waitMs], [false, undefined]);
    assert.deepEqual(
      each(replies, "waitMs"),
      replies.map((_, i) => (i + 1) * UNIT_MS),
    );
  }),
];
