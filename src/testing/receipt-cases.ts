// What a shared store must do with batches on terms: it books each batch once, or undoes it, whichever replies the sender got.

import assert from "node:assert/strict";
import type { StoreReply, StoreRequest } from "../kernel/request.ts";
import type { ReceiptTerms } from "../store/shared-store.ts";
import { large, MAX_RECEIPTS, quota, WINDOW_MS } from "./limits.ts";
import { booking, epoch, onShared, toWindow } from "./shared-cases.ts";
import { charge, extend, grant, hold, LEASE_MS, reset, settle, step } from "./steps.ts";
import { each, first, type StoreCase } from "./trial.ts";

const receipt = (number: number, more: Partial<ReceiptTerms> = {}) => ({
  receipt: { instance: "i1", number, from: 1, ...more },
});
const undo = (request: StoreRequest): StoreRequest => ({ ...request, mode: "undo" });
const closed = (number: number, more: Partial<ReceiptTerms> = {}) => receipt(number, { closes: true, ...more });

export const receiptCases: readonly StoreCase[] = [
  onShared("books until the deadline and nothing a millisecond later", async (t) => {
    const notAfterMs = (await t.nowMs()) + 10;
    await t.advance(10);
    await t.book({ notAfterMs, ...receipt(1) }, booking("b"));
    await t.advance(1);
    await t.refuses("too-late", { notAfterMs }, booking("b"));
    await t.refuses("too-late", { notAfterMs, ...receipt(2) }, booking("b"));
    await t.refuses("too-late", { notAfterMs }, { ...booking("b"), mode: "peek" });
    assert.equal(await t.usedOf("b", large), 1);
    // A refusal decides nothing: with another deadline the batch counts as new.
    await t.book({ notAfterMs: notAfterMs + 1, ...receipt(2) }, booking("b"));
    assert.equal(await t.usedOf("b", large), 2);
  }),
  onShared("books in the incarnation that the sender knows and nothing in another one", async (t) => {
    await t.refuses("other-incarnation", { incarnation: "before-the-first" }, booking("b"));
    const { incarnation } = await t.beat("i1");
    await t.refuses("other-incarnation", { incarnation: `${incarnation}0` }, booking("b"));
    await t.refuses("other-incarnation", { incarnation: `${incarnation}0`, ...receipt(1) }, booking("b"));
    await t.refuses("other-incarnation", { incarnation: `${incarnation}0` }, { ...booking("b"), mode: "peek" });
    assert.equal(await t.usedOf("b", large), 0);
    await t.book({ incarnation, ...receipt(1) }, booking("b"));
    assert.equal(await t.usedOf("b", large), 1);
  }),
  onShared("books each request of a batch once, however often it is sent under its number", async (t) => {
    const requests: StoreRequest[] = [
      booking("b", 2),
      booking("b", 3),
      { mode: "judge", steps: [hold("b", large, "h1", 4), charge("c", large)] },
      { mode: "force", steps: [charge("d", large, 100)] },
      { mode: "judge", steps: [reset("e", large)] },
      { ...booking("f"), once: { key: "k", request: "r" } },
    ];
    await t.judge(charge("e", large));
    for (let sent = 0; sent < 3; sent++) await t.book(receipt(1), ...requests);
    const used = await Promise.all(["b", "c", "d", "e", "f"].map((bucket) => t.usedOf(bucket, large)));
    assert.deepEqual(used, [9, 1, 100, 0, 1]);
    // Another sender has booked since: a repeated reset must not remove that.
    await t.judge(charge("e", large));
    await t.book(receipt(1), ...requests);
    assert.equal(await t.usedOf("e", large), 1);
  }),
  onShared("allows a batch that was booked before and returns how its buckets stand", async (t) => {
    const requests = [booking("b", 3, quota(3)), booking("c")];
    await t.book(receipt(1), ...requests);
    await t.judge(charge("c", large, 4));
    const replies = await t.book(receipt(1), ...requests);
    assert.deepEqual(each(replies, "allowed"), [true, true]);
    assert.deepEqual(each(replies.map(first), "used"), [3, 5]);
  }),
  onShared("says of a batch that was booked before how it found holds and grants then", async (t) => {
    await t.judge(hold("b", large, "h1", 2), hold("late", large, "h1", 1, { leaseMs: 10 }));
    await t.judge(grant("b", large, "g1", 5));
    await t.advance(20);
    const requests: StoreRequest[] = [
      { mode: "force", steps: [settle("b", large, "h1", 3), charge("c", large), settle("late", large, "h1", 0)] },
      booking("d"),
      { mode: "force", steps: [extend("b", large, "none", LEASE_MS)] },
      { mode: "judge", steps: [step("b", large, { type: "revoke", id: "g1" })] },
    ];
    const first = await t.book(receipt(1), ...requests);
    const found = (replies: readonly StoreReply[]) => replies.map(({ steps }) => steps.map((step) => step.found));
    assert.deepEqual(found(first), [["live", undefined, "late"], [undefined], ["unknown"], ["live"]]);
    for (let sent = 0; sent < 2; sent++) assert.deepEqual(found(await t.book(receipt(1), ...requests)), found(first));
  }),
  onShared("refuses a repeated batch of which a request was denied", async (t) => {
    const limit = quota(3);
    const requests = [booking("b", 2), booking("full", 4, limit)];
    const [, denied] = await t.book(receipt(1), ...requests);
    assert.equal(denied?.allowed, false);
    await t.advance(1);
    await t.refuses("settled", receipt(1), ...requests);
    assert.deepEqual([await t.usedOf("b", large), await t.usedOf("full", limit)], [2, 0]);
  }),
  onShared("books what was not booked yet when a batch closes its number, and nothing twice", async (t) => {
    const limit = quota(3);
    const requests = [booking("b", 2), booking("full", 4, limit)];
    await t.book(receipt(1), ...requests);
    const forced = requests.map((request): StoreRequest => ({ ...request, mode: "force" }));
    for (let sent = 0; sent < 3; sent++) await t.book(closed(1), ...forced);
    assert.deepEqual([await t.usedOf("b", large), await t.usedOf("full", limit)], [2, 4]);
  }),
  onShared("keeps the receipts of instances and of numbers apart", async (t) => {
    for (const instance of ["i1", "i2", "i1:2"]) {
      for (const number of [1, 2, 12]) await t.book(receipt(number, { instance }), booking("b"));
    }
    assert.equal(await t.usedOf("b", large), 9);
  }),
  onShared("undoes what was booked when a batch closes its number, and nothing else", async (t) => {
    const limit = quota(3);
    await t.judge(charge("b", large, 5), charge("full", limit, 2));
    const requests = [booking("b", 2), booking("full", 2, limit), booking("c", 3)];
    const replies = await t.book(receipt(1), ...requests);
    assert.deepEqual(each(replies, "allowed"), [true, false, true]);
    await t.book(receipt(2), booking("b", 1));
    await t.book(closed(1), ...requests.map(undo));
    const used = [await t.usedOf("b", large), await t.usedOf("full", limit), await t.usedOf("c", large)];
    assert.deepEqual(used, [6, 2, 0]);
  }),
  onShared("undoes a booking once, however often the undo is sent", async (t) => {
    await t.judge(charge("b", large, 5));
    await t.book(receipt(1), booking("b", 2));
    for (let sent = 0; sent < 3; sent++) await t.book(closed(1), undo(booking("b", 2)));
    assert.equal(await t.usedOf("b", large), 5);
  }),
  onShared("undoes nothing of a batch that never arrived, and refuses it afterwards", async (t) => {
    await t.judge(charge("b", large, 5));
    await t.book(closed(1), undo(booking("b", 2)));
    assert.equal(await t.usedOf("b", large), 5);
    await t.refuses("settled", receipt(1), booking("b", 2));
    assert.equal(await t.usedOf("b", large), 5);
  }),
  onShared("undoes a hold and forgets the kept answer", async (t) => {
    const held: StoreRequest = { mode: "judge", steps: [hold("h", large, "h1", 4)] };
    const kept: StoreRequest = { ...booking("k", 2), once: { key: "once", request: "r1" } };
    await t.book(receipt(1), held, kept);
    await t.book(closed(1), undo(held), undo(kept));
    assert.deepEqual([await t.usedOf("h", large), await t.usedOf("k", large)], [0, 0]);
    assert.equal(await t.findHold("h", large, "h1"), "unknown");
    const again = await t.send(kept);
    assert.deepEqual([again.replay, await t.usedOf("k", large)], [undefined, 2]);
  }),
  onShared("keeps a booking whose answer was given again, because another caller may rely on it", async (t) => {
    const kept: StoreRequest = { ...booking("k", 2), once: { key: "once", request: "r1" } };
    await t.book(receipt(1), booking("other", 3), kept);
    assert.equal((await t.send(kept)).replay?.request, "r1");
    await t.book(closed(1), undo(booking("other", 3)), undo(kept));
    assert.deepEqual([await t.usedOf("k", large), await t.usedOf("other", large)], [2, 0]);
    assert.equal((await t.send(kept)).replay?.request, "r1");
  }),
  onShared("undoes nothing of a window that has ended", async (t) => {
    await toWindow(t);
    const requests = [booking("b", 2, epoch)];
    await t.book(receipt(1), ...requests);
    await t.advance(WINDOW_MS);
    await t.judge(charge("b", epoch, 3));
    await t.book(closed(1), ...requests.map(undo));
    assert.equal(await t.usedOf("b", epoch), 3);
  }),
  onShared("closes a number with an empty batch, and books nothing more with it", async (t) => {
    await t.book(closed(1));
    await t.refuses("settled", receipt(1), booking("b"));
    await t.book(receipt(2), booking("b"));
    await t.book(closed(2));
    await t.refuses("settled", receipt(2), booking("b"));
    assert.equal(await t.usedOf("b", large), 1);
  }),
  onShared("refuses a number below those that its instance has closed", async (t) => {
    await t.book(receipt(5, { from: 5 }), booking("b"));
    await t.refuses("settled", receipt(4), booking("b"));
    await t.refuses("settled", closed(4), booking("b"));
    await t.refuses("settled", receipt(6, { from: 7 }), booking("b"));
    await t.book(receipt(4, { instance: "i2" }), booking("b"));
    assert.equal(await t.usedOf("b", large), 2);
  }),
  onShared(`remembers ${MAX_RECEIPTS} open batches of an instance, and books nothing of one more`, async (t) => {
    for (let number = 1; number <= MAX_RECEIPTS; number++) await t.book(receipt(number), booking("b"));
    await t.refuses("too-many-open", receipt(MAX_RECEIPTS + 1), booking("b"));
    await t.book(receipt(MAX_RECEIPTS), booking("b"));
    assert.equal(await t.usedOf("b", large), MAX_RECEIPTS);
    await t.book(receipt(MAX_RECEIPTS + 1, { from: 2 }), booking("b"));
    assert.equal(await t.usedOf("b", large), MAX_RECEIPTS + 1);
  }),
  onShared(`closes a number also while ${MAX_RECEIPTS} other batches of its instance are open`, async (t) => {
    for (let number = 2; number <= MAX_RECEIPTS + 1; number++) await t.book(receipt(number), booking("b"));
    await t.book(closed(1), { ...booking("b"), mode: "force" });
    assert.equal(await t.usedOf("b", large), MAX_RECEIPTS + 1);
    await t.refuses("too-many-open", receipt(MAX_RECEIPTS + 2), booking("b"));
    await t.book(receipt(MAX_RECEIPTS + 2, { from: 4 }), booking("b"));
    assert.equal(await t.usedOf("b", large), MAX_RECEIPTS + 2);
  }),
];
