// What a shared store must do with batches on terms: it books each batch once, or undoes it, whatever its sender has heard.

import assert from "node:assert/strict";
import type { StoreReply, StoreRequest } from "../kernel/request.ts";
import { StoreError, type StoreErrorCode } from "../store/error.ts";
import {
  type ReceiptTerms,
  type SharedStore,
  type Terms,
  TermsError,
  type TermsRefusal,
} from "../store/shared-store.ts";
import {
  answered,
  ask,
  charge,
  findHold,
  first,
  hold,
  quota,
  reset,
  type StoreCase,
  usedOf,
  WINDOW_MS,
} from "./cases.ts";
import { booking, epoch, large, member, nowOf, onShared, toWindow } from "./shared-cases.ts";

const receipt = (number: number, more: Partial<ReceiptTerms> = {}) => {
  return { receipt: { instance: "i1", number, from: 1, ...more } };
};
const undo = (request: StoreRequest): StoreRequest => ({ ...request, mode: "undo" });
const closed = (number: number, more: Partial<ReceiptTerms> = {}) => receipt(number, { closes: true, ...more });

async function send(store: SharedStore, terms: Terms, ...requests: StoreRequest[]): Promise<StoreReply[]> {
  return (await store.book(requests, terms)).map(answered);
}

async function refuses(promise: Promise<unknown>, code: StoreErrorCode | TermsRefusal): Promise<void> {
  await assert.rejects(
    promise,
    (error) => StoreError.isInstance(error) && (TermsError.refusalOf(error) ?? error.code) === code,
  );
}

export const receiptCases: readonly StoreCase[] = [
  onShared("books until the deadline and nothing a millisecond later", async ({ store, advance }) => {
    const notAfterMs = (await nowOf(store)) + 10;
    await advance(10);
    await send(store, { notAfterMs, ...receipt(1) }, booking("b"));
    await advance(1);
    await refuses(store.book([booking("b")], { notAfterMs }), "too-late");
    await refuses(store.book([booking("b")], { notAfterMs, ...receipt(2) }), "too-late");
    await refuses(store.book([{ ...booking("b"), mode: "peek" }], { notAfterMs }), "too-late");
    assert.equal(await usedOf(store, "b", large), 1);
    // A refusal decides nothing: with another deadline the batch counts as new.
    await send(store, { notAfterMs: notAfterMs + 1, ...receipt(2) }, booking("b"));
    assert.equal(await usedOf(store, "b", large), 2);
  }),

  onShared("books in the incarnation that the sender knows and nothing in another one", async ({ store }) => {
    await refuses(store.book([booking("b")], { incarnation: "before-the-first" }), "other-incarnation");
    const { incarnation } = await store.beat(member("i1"));
    await refuses(store.book([booking("b")], { incarnation: `${incarnation}0` }), "other-incarnation");
    await refuses(store.book([booking("b")], { incarnation: `${incarnation}0`, ...receipt(1) }), "other-incarnation");
    await refuses(
      store.book([{ ...booking("b"), mode: "peek" }], { incarnation: `${incarnation}0` }),
      "other-incarnation",
    );
    assert.equal(await usedOf(store, "b", large), 0);
    await send(store, { incarnation, ...receipt(1) }, booking("b"));
    assert.equal(await usedOf(store, "b", large), 1);
  }),

  onShared("books each request of a batch once, however often it is sent under its number", async ({ store }) => {
    const requests: StoreRequest[] = [
      booking("b", 2),
      booking("b", 3),
      { mode: "judge", steps: [hold("b", large, "h1", 4), charge("c", large)] },
      { mode: "force", steps: [charge("d", large, 100)] },
      { mode: "judge", steps: [reset("e", large)] },
      { ...booking("f"), once: { key: "k", request: "r" } },
    ];
    await ask(store, "judge", charge("e", large));
    for (let sent = 0; sent < 3; sent++) await send(store, receipt(1), ...requests);
    const used = await Promise.all(["b", "c", "d", "e", "f"].map((bucket) => usedOf(store, bucket, large)));
    assert.deepEqual(used, [9, 1, 100, 0, 1]);
    // Another sender has booked since: a repeated reset must not remove that.
    await ask(store, "judge", charge("e", large));
    await send(store, receipt(1), ...requests);
    assert.equal(await usedOf(store, "e", large), 1);
  }),

  onShared("allows a batch that was booked before and returns how its buckets stand", async ({ store }) => {
    const requests = [booking("b", 3, quota(3)), booking("c")];
    await send(store, receipt(1), ...requests);
    await ask(store, "judge", charge("c", large, 4));
    const replies = await send(store, receipt(1), ...requests);
    assert.deepEqual(
      replies.map((reply) => [reply.allowed, first(reply).used]),
      [
        [true, 3],
        [true, 5],
      ],
    );
  }),

  onShared("refuses a repeated batch of which a request was denied", async ({ store, advance }) => {
    const limit = quota(3);
    const requests = [booking("b", 2), booking("full", 4, limit)];
    const [, denied] = await send(store, receipt(1), ...requests);
    assert.equal(denied?.allowed, false);
    await advance(1);
    await refuses(store.book(requests, receipt(1)), "too-late");
    assert.deepEqual([await usedOf(store, "b", large), await usedOf(store, "full", limit)], [2, 0]);
  }),

  onShared("books what was not booked yet when a batch closes its number, and nothing twice", async ({ store }) => {
    const limit = quota(3);
    const requests = [booking("b", 2), booking("full", 4, limit)];
    await send(store, receipt(1), ...requests);
    const forced = requests.map((request): StoreRequest => ({ ...request, mode: "force" }));
    for (let sent = 0; sent < 3; sent++) await send(store, closed(1), ...forced);
    assert.deepEqual([await usedOf(store, "b", large), await usedOf(store, "full", limit)], [2, 4]);
  }),

  onShared("keeps the receipts of instances and of numbers apart", async ({ store }) => {
    for (const instance of ["i1", "i2", "i1:2"]) {
      for (const number of [1, 2, 12]) await send(store, receipt(number, { instance }), booking("b"));
    }
    assert.equal(await usedOf(store, "b", large), 9);
  }),

  onShared("undoes what was booked when a batch closes its number, and nothing else", async ({ store }) => {
    const limit = quota(3);
    await ask(store, "judge", charge("b", large, 5), charge("full", limit, 2));
    const requests = [booking("b", 2), booking("full", 2, limit), booking("c", 3)];
    const replies = await send(store, receipt(1), ...requests);
    assert.deepEqual(
      replies.map(({ allowed }) => allowed),
      [true, false, true],
    );
    await send(store, receipt(2), booking("b", 1));
    await send(store, closed(1), ...requests.map(undo));
    const used = [await usedOf(store, "b", large), await usedOf(store, "full", limit), await usedOf(store, "c", large)];
    assert.deepEqual(used, [6, 2, 0]);
  }),

  onShared("undoes a booking once, however often the undo is sent", async ({ store }) => {
    await ask(store, "judge", charge("b", large, 5));
    await send(store, receipt(1), booking("b", 2));
    for (let sent = 0; sent < 3; sent++) await send(store, closed(1), undo(booking("b", 2)));
    assert.equal(await usedOf(store, "b", large), 5);
  }),

  onShared("undoes nothing of a batch that never arrived, and refuses it afterwards", async ({ store }) => {
    await ask(store, "judge", charge("b", large, 5));
    await send(store, closed(1), undo(booking("b", 2)));
    assert.equal(await usedOf(store, "b", large), 5);
    await refuses(store.book([booking("b", 2)], receipt(1)), "too-late");
    assert.equal(await usedOf(store, "b", large), 5);
  }),

  onShared("undoes a hold and forgets the kept answer", async ({ store }) => {
    const held: StoreRequest = { mode: "judge", steps: [hold("h", large, "h1", 4)] };
    const kept: StoreRequest = { ...booking("k", 2), once: { key: "once", request: "r1" } };
    await send(store, receipt(1), held, kept);
    await send(store, closed(1), undo(held), undo(kept));
    assert.deepEqual([await usedOf(store, "h", large), await usedOf(store, "k", large)], [0, 0]);
    assert.equal(await findHold(store, "h", large, "h1"), "unknown");
    const again = answered((await store.apply([kept]))[0]);
    assert.deepEqual([again.replay, await usedOf(store, "k", large)], [undefined, 2]);
  }),

  onShared("keeps a booking whose answer was given again, because another caller may rely on it", async ({ store }) => {
    const kept: StoreRequest = { ...booking("k", 2), once: { key: "once", request: "r1" } };
    await send(store, receipt(1), booking("other", 3), kept);
    assert.equal(answered((await store.apply([kept]))[0]).replay?.request, "r1");
    await send(store, closed(1), undo(booking("other", 3)), undo(kept));
    assert.deepEqual([await usedOf(store, "k", large), await usedOf(store, "other", large)], [2, 0]);
    assert.equal(answered((await store.apply([kept]))[0]).replay?.request, "r1");
  }),

  onShared("undoes nothing of a window that has ended", async (shared) => {
    const { store, advance } = shared;
    await toWindow(shared);
    const requests = [booking("b", 2, epoch)];
    await send(store, receipt(1), ...requests);
    await advance(WINDOW_MS);
    await ask(store, "judge", charge("b", epoch, 3));
    await send(store, closed(1), ...requests.map(undo));
    assert.equal(await usedOf(store, "b", epoch), 3);
  }),

  onShared("closes a number with an empty batch, and books nothing more with it", async ({ store }) => {
    await send(store, closed(1));
    await refuses(store.book([booking("b")], receipt(1)), "too-late");
    await send(store, receipt(2), booking("b"));
    await send(store, closed(2));
    await refuses(store.book([booking("b")], receipt(2)), "too-late");
    assert.equal(await usedOf(store, "b", large), 1);
  }),

  onShared("refuses a number below those that its instance has settled", async ({ store }) => {
    await send(store, receipt(5, { from: 5 }), booking("b"));
    await refuses(store.book([booking("b")], receipt(4)), "too-late");
    await refuses(store.book([booking("b")], closed(4)), "too-late");
    await refuses(store.book([booking("b")], receipt(6, { from: 7 })), "too-late");
    await send(store, receipt(4, { instance: "i2" }), booking("b"));
    assert.equal(await usedOf(store, "b", large), 2);
  }),

  onShared("remembers 16 open batches of an instance, and books nothing of one more", async ({ store }) => {
    for (let number = 1; number <= 16; number++) await send(store, receipt(number), booking("b"));
    await refuses(store.book([booking("b")], receipt(17)), "overloaded");
    await send(store, receipt(16), booking("b"));
    assert.equal(await usedOf(store, "b", large), 16);
    await send(store, receipt(17, { from: 2 }), booking("b"));
    assert.equal(await usedOf(store, "b", large), 17);
  }),
];
