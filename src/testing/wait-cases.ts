// What a store must do where a call waits for its turn.

import assert from "node:assert/strict";
import type { StoreReply } from "../kernel/request.ts";
import { charge, each, first, full, hold, settle, storeCase, type StoreCase, tokenBucket, UNIT_MS } from "./cases.ts";

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
  storeCase("token-bucket: spends a place's units at its turn", async (t) => {
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
  storeCase("token-bucket: denies a call whose turn would come too late, and takes no place for it", async (t) => {
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
    const denied = await t.judge(charge("b", tokenBucket));
    assert.deepEqual([denied.allowed, denied.retryAfterMs], [false, UNIT_MS + 1]);
  }),
  storeCase("token-bucket: lets a call pass at once when it need not wait", async (t) => {
    const reply = await t.wait("w1", 10_000, charge("b", tokenBucket));
    assert.deepEqual([reply.allowed, reply.waitMs, first(reply).used], [true, undefined, 1]);
    assert.equal(await t.findHold("b", tokenBucket, "w1"), "unknown");
  }),
  storeCase("token-bucket: gives the last place of a row to the next call when it was given up", async (t) => {
    await full(t);
    await t.wait("w1", 10_000, charge("b", tokenBucket));
    await t.wait("w2", 10_000, charge("b", tokenBucket));
    assert.equal((await t.force(settle("b", tokenBucket, "w2", 0))).hold, "live");
    assert.equal((await t.wait("w3", 10_000, charge("b", tokenBucket))).waitMs, 2 * UNIT_MS);
  }),
  storeCase("token-bucket: gives no other place of a row to anybody when it was given up", async (t) => {
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
];
