// What a store must do with requests that are to be booked once, however often they are sent.

import assert from "node:assert/strict";
import type { LimitSpec } from "../kernel/algorithms/registry.ts";
import type { Step, StoreReply, StoreRequest } from "../kernel/request.ts";
import { large, quota, REMEMBERED_MS, slots, tokenBucket } from "./limits.ts";
import { charge, extend, hold, LEASE_MS, read, reset, settle } from "./steps.ts";
import { each, first, storeCase, type StoreCase, type Trial } from "./trial.ts";

function askOnce(t: Trial, ...steps: Step[]): Promise<StoreReply> {
  return t.send(once(steps));
}

function once(steps: readonly Step[], mode: StoreRequest["mode"] = "judge", request = "r1"): StoreRequest {
  return { mode, steps, once: { key: "once", request } };
}

/** Whether a reply is the first one, given again. */
function assertGivenAgain(again: StoreReply | undefined, reply: StoreReply | undefined, replay: StoreReply["replay"]) {
  assert.deepEqual(again, { ...reply, replay });
}

export const onceCases: readonly StoreCase[] = [
  storeCase("gives a retried request the first answer, and books it once", async (t) => {
    const reply = await askOnce(t, charge("b", large, 2), charge("c", large, 3));
    assert.equal(reply.replay, undefined);
    await t.advance(1);
    await t.judge(charge("b", large, 1), reset("c", large));
    const again = await askOnce(t, charge("b", large, 2), charge("c", large, 3));
    assertGivenAgain(again, reply, { request: "r1", hold: null, units: [2, 3] });
    assert.deepEqual(each(again.steps, "used"), [2, 3]);
    assert.deepEqual([await t.usedOf("b", large), await t.usedOf("c", large)], [3, 0]);
  }),
  storeCase("gives the first answer again also within one batch", async (t) => {
    const request = once([charge("b", large, 2)]);
    const between: StoreRequest = { mode: "judge", steps: [charge("b", large, 1)] };
    const replies = await t.sendAll([request, between, request]);
    assertGivenAgain(replies[2], replies[0], { request: "r1", hold: null, units: [2] });
    assert.deepEqual(each(replies.map(first), "used"), [2, 3, 2]);
    assert.equal(await t.usedOf("b", large), 3);
  }),
  storeCase("gives the first answer again to another store on the same data, with the hold of the first", async (t) => {
    const other = t.another();
    const reply = await askOnce(t, charge("a", large, 1), hold("b", large, "h1", 2), hold("c", slots, "h1", 3));
    await t.advance(1);
    const again = await askOnce(other, charge("a", large, 1), hold("b", large, "h2", 2), hold("c", slots, "h2", 3));
    assertGivenAgain(again, reply, { request: "r1", hold: "h1", units: [1, 2, 3] });
    assert.equal(await other.usedOf("b", large), 2);
    assert.equal(await other.findHold("b", large, "h2"), "unknown");
    assert.equal(await other.findHold("b", large, "h1"), "live");
  }),
  storeCase("gives the first answer, and what its request was alike in, to any request under its key", async (t) => {
    const reply = await t.send(once([charge("b", large, 2)], "judge", "R-1_a"));
    const replay = { request: "R-1_a", hold: null, units: [2] };
    const others = [once([charge("c", quota(0)), read("b", large)], "judge", "r2"), once([], "force", "r3")];
    for (const request of others) assertGivenAgain(await t.send(request), reply, replay);
    assert.deepEqual([await t.usedOf("b", large), await t.usedOf("c", large)], [2, 0]);
  }),
  storeCase("keeps answers with any keys apart", async (t) => {
    const keys = ["__proto__", "once", "ONCE", "once:", "é", "e\u0301", "漢"];
    for (const _ of [1, 2]) {
      await t.sendAll(keys.map((key, i) => ({ ...once([charge("b", large, i)]), once: { key, request: "r1" } })));
    }
    assert.equal(await t.usedOf("b", large), 0 + 1 + 2 + 3 + 4 + 5 + 6);
  }),
  storeCase("judges a denied request again when it is retried", async (t) => {
    await t.judge(hold("b", quota(5), "h1", 5, { onExpiry: "refund" }));
    const step = charge("b", quota(5), 2);
    assert.equal((await askOnce(t, step)).allowed, false);
    await t.advance(LEASE_MS - 1);
    assert.equal(first(await askOnce(t, step)).retryAfterMs, 1);
    await t.advance(1);
    const reply = await askOnce(t, step);
    assert.deepEqual([reply.allowed, first(reply).used, reply.replay], [true, 2, undefined]);
    assertGivenAgain(await askOnce(t, step), reply, { request: "r1", hold: null, units: [2] });
  }),
  storeCase("keeps an answer for ten minutes from the first request, however often it is given", async (t) => {
    const lasting: LimitSpec = { algorithm: "budget", quota: 99, ttlMs: 2 * REMEMBERED_MS, ttlFrom: "first" };
    const step = charge("b", lasting, 2);
    const reply = await askOnce(t, step);
    for (const waitMs of [REMEMBERED_MS / 2, REMEMBERED_MS / 2 - 1]) {
      await t.advance(waitMs);
      assertGivenAgain(await askOnce(t, step), reply, { request: "r1", hold: null, units: [2] });
    }
    await t.advance(1);
    const afresh = await askOnce(t, step);
    assert.deepEqual([afresh.nowMs - reply.nowMs, first(afresh).used], [REMEMBERED_MS, 4]);
    assert.equal(afresh.replay, undefined);
    await t.advance(1);
    assertGivenAgain(await askOnce(t, step), afresh, { request: "r1", hold: null, units: [2] });
  }),
  storeCase("keeps the answer of a forced request, also where it was not allowed", async (t) => {
    const request = once([charge("b", quota(5), 6), hold("c", tokenBucket, "-", 6), charge("d", large)], "force");
    const reply = await t.send(request);
    assert.deepEqual([reply.allowed, first(reply).retryAfterMs], [false, null]);
    const again = await t.send(request);
    assertGivenAgain(again, reply, { request: "r1", hold: "-", units: [6, 6, 1] });
    assert.deepEqual([await t.usedOf("b", quota(5)), await t.usedOf("c", tokenBucket)], [6, 6]);
  }),
  storeCase("neither looks for an answer nor keeps one when it only peeks", async (t) => {
    const peek = once([charge("b", large, 2)], "peek");
    const before = await t.send(peek);
    const reply = await askOnce(t, charge("b", large, 2));
    const after = await t.send(peek);
    assert.deepEqual(each([before, reply, after].map(first), "used"), [2, 2, 4]);
    assert.deepEqual(each([before, reply, after], "replay"), [undefined, undefined, undefined]);
  }),
  storeCase("gives the answer of each kind of step again, whole", async (t) => {
    const most = Number.MAX_SAFE_INTEGER;
    await t.judge(hold("settled", large, "h1", 3), hold("extended", large, "h1", 3));
    await t.judge(hold("late", large, "h1", 3, { leaseMs: 1 }), charge("emptied", large, 3));
    await t.advance(1);
    const steps = [
      charge("most", quota(most), most),
      hold("held", slots, "h2", 2),
      settle("settled", large, "h1", 5),
      settle("late", large, "h1", 4),
      settle("unknown", large, "h1", 1),
      extend("extended", large, "h1", 1_000),
      read("read", large),
      reset("emptied", large),
    ];
    const reply = await askOnce(t, ...steps);
    assert.deepEqual(each(reply.steps, "used"), [most, 2, 5, 4, 1, 3, 0, 3]);
    assert.equal(each(reply.steps, "found").join(), ",,live,late,unknown,live,,");
    await t.judge(charge("emptied", large, 1));
    const again = await askOnce(t, ...steps);
    assertGivenAgain(again, reply, { request: "r1", hold: "h2", units: [most, 2, 5, 4, 1, 0, 0, 0] });
    const used = [];
    for (const { bucket, limit } of steps) used.push(await t.usedOf(bucket, limit));
    assert.deepEqual(used, [most, 2, 5, 4, 1, 3, 0, 1]);
  }),
  storeCase("keeps the answer of a request without steps", async (t) => {
    const reply = await askOnce(t);
    await t.advance(1);
    assertGivenAgain(await askOnce(t, charge("b", large)), reply, { request: "r1", hold: null, units: [] });
  }),
];
