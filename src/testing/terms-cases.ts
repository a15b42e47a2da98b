// What a store must do that keeps delivery terms: deadlines, incarnations and receipts.

import assert from "node:assert/strict";
import type { Store, StoreReply, StoreRequest, Terms } from "../store/store.ts";
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
import { book, epoch, large, member, nowOf, onTerms, receipt, refuses, toWindow } from "./terms-parts.ts";

const undo = (request: StoreRequest): StoreRequest => ({ ...request, mode: "undo" });

const closed = (number: number, more: Partial<NonNullable<Terms["receipt"]>> = {}) => {
  return receipt(number, { closes: true, ...more });
};

async function send(store: Store, terms: Terms, ...requests: StoreRequest[]): Promise<StoreReply[]> {
  return (await store.apply(requests, terms)).map(answered);
}

export const termsCases: readonly StoreCase[] = [
  onTerms("books until the deadline, and nothing a ms after it", async ({ store, advance }) => {
    const notAfterMs = (await nowOf(store)) + 10;
    await advance(10);
    await send(store, { notAfterMs, ...receipt(1) }, book("b"));
    await advance(1);
    await refuses(store.apply([book("b")], { notAfterMs }), "too-late");
    await refuses(store.apply([book("b")], { notAfterMs, ...receipt(2) }), "too-late");
    await refuses(store.apply([{ ...book("b"), mode: "peek" }], { notAfterMs }), "too-late");
    assert.equal(await usedOf(store, "b", large), 1);
    // A refusal is no decision on the batch: under another deadline it is as if it had not been sent.
    await send(store, { notAfterMs: notAfterMs + 1, ...receipt(2) }, book("b"));
    assert.equal(await usedOf(store, "b", large), 2);
  }),

  onTerms("books in the incarnation that the sender knows, and nothing in another", async ({ store }) => {
    await refuses(store.apply([book("b")], { incarnation: "before-the-first" }), "other-incarnation");
    const { incarnation } = await store.beat(member("i1"));
    await refuses(store.apply([book("b")], { incarnation: `${incarnation}0` }), "other-incarnation");
    await refuses(store.apply([book("b")], { incarnation: `${incarnation}0`, ...receipt(1) }), "other-incarnation");
    await refuses(
      store.apply([{ ...book("b"), mode: "peek" }], { incarnation: `${incarnation}0` }),
      "other-incarnation",
    );
    assert.equal(await usedOf(store, "b", large), 0);
    await send(store, { incarnation, ...receipt(1) }, book("b"));
    assert.equal(await usedOf(store, "b", large), 1);
  }),

  onTerms("books each request of a batch once, however often it is sent under its number", async ({ store }) => {
    const requests: StoreRequest[] = [
      book("b", 2),
      book("b", 3),
      { mode: "judge", steps: [hold("b", large, "h1", 4), charge("c", large)] },
      { mode: "force", steps: [charge("d", large, 100)] },
      { mode: "judge", steps: [reset("e", large)] },
      { ...book("f"), once: { key: "k", request: "r" } },
    ];
    await ask(store, "judge", charge("e", large));
    for (let sent = 0; sent < 3; sent++) await send(store, receipt(1), ...requests);
    const used = await Promise.all(["b", "c", "d", "e", "f"].map((bucket) => usedOf(store, bucket, large)));
    assert.deepEqual(used, [9, 1, 100, 0, 1]);
    // Booked by somebody else since: a reset that is sent again must not take it.
    await ask(store, "judge", charge("e", large));
    await send(store, receipt(1), ...requests);
    assert.equal(await usedOf(store, "e", large), 1);
  }),

  onTerms("says of a batch that was booked before that it is allowed, and how its buckets stand", async ({ store }) => {
    const requests = [book("b", 3, quota(3)), book("c")];
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

  onTerms("refuses a batch of which some was denied when it is sent again", async ({ store, advance }) => {
    const limit = quota(3);
    const requests = [book("b", 2), book("full", 4, limit)];
    const [, denied] = await send(store, receipt(1), ...requests);
    assert.equal(denied?.allowed, false);
    await advance(1);
    await refuses(store.apply(requests, receipt(1)), "too-late");
    assert.deepEqual([await usedOf(store, "b", large), await usedOf(store, "full", limit)], [2, 0]);
  }),

  onTerms("books under a closing number what was not booked yet, and nothing twice", async ({ store }) => {
    const limit = quota(3);
    const requests = [book("b", 2), book("full", 4, limit)];
    await send(store, receipt(1), ...requests);
    const forced = requests.map((request): StoreRequest => ({ ...request, mode: "force" }));
    for (let sent = 0; sent < 3; sent++) await send(store, closed(1), ...forced);
    assert.deepEqual([await usedOf(store, "b", large), await usedOf(store, "full", limit)], [2, 4]);
  }),

  onTerms("keeps the receipts of instances and of numbers apart", async ({ store }) => {
    for (const instance of ["i1", "i2", "i1:2"]) {
      for (const number of [1, 2, 12]) await send(store, receipt(number, { instance }), book("b"));
    }
    assert.equal(await usedOf(store, "b", large), 9);
  }),

  onTerms("takes back under a closing number what was booked, and only that", async ({ store }) => {
    const limit = quota(3);
    await ask(store, "judge", charge("b", large, 5), charge("full", limit, 2));
    const requests = [book("b", 2), book("full", 2, limit), book("c", 3)];
    const replies = await send(store, receipt(1), ...requests);
    assert.deepEqual(
      replies.map(({ allowed }) => allowed),
      [true, false, true],
    );
    await send(store, receipt(2), book("b", 1));
    await send(store, closed(1), ...requests.map(undo));
    const used = [await usedOf(store, "b", large), await usedOf(store, "full", limit), await usedOf(store, "c", large)];
    assert.deepEqual(used, [6, 2, 0]);
  }),

  onTerms("takes it back once, however often that is sent", async ({ store }) => {
    await ask(store, "judge", charge("b", large, 5));
    await send(store, receipt(1), book("b", 2));
    for (let sent = 0; sent < 3; sent++) await send(store, closed(1), undo(book("b", 2)));
    assert.equal(await usedOf(store, "b", large), 5);
  }),

  onTerms("takes back nothing of a batch that never came, and lets it book nothing after", async ({ store }) => {
    await ask(store, "judge", charge("b", large, 5));
    await send(store, closed(1), undo(book("b", 2)));
    assert.equal(await usedOf(store, "b", large), 5);
    await refuses(store.apply([book("b", 2)], receipt(1)), "too-late");
    assert.equal(await usedOf(store, "b", large), 5);
  }),

  onTerms("takes back a hold, and the answer that is kept", async ({ store }) => {
    const held: StoreRequest = { mode: "judge", steps: [hold("h", large, "h1", 4)] };
    const kept: StoreRequest = { ...book("k", 2), once: { key: "once", request: "r1" } };
    await send(store, receipt(1), held, kept);
    await send(store, closed(1), undo(held), undo(kept));
    assert.deepEqual([await usedOf(store, "h", large), await usedOf(store, "k", large)], [0, 0]);
    assert.equal(await findHold(store, "h", large, "h1"), "unknown");
    const again = answered((await store.apply([kept]))[0]);
    assert.deepEqual([again.replay, await usedOf(store, "k", large)], [undefined, 2]);
  }),

  onTerms("leaves a booking whose answer was given again: somebody else may go on by it", async ({ store }) => {
    const kept: StoreRequest = { ...book("k", 2), once: { key: "once", request: "r1" } };
    await send(store, receipt(1), book("other", 3), kept);
    assert.equal(answered((await store.apply([kept]))[0]).replay?.request, "r1");
    await send(store, closed(1), undo(book("other", 3)), undo(kept));
    assert.deepEqual([await usedOf(store, "k", large), await usedOf(store, "other", large)], [2, 0]);
    assert.equal(answered((await store.apply([kept]))[0]).replay?.request, "r1");
  }),

  onTerms("takes back nothing that belongs to a window that is over", async (shared) => {
    const { store, advance } = shared;
    await toWindow(shared);
    const requests = [book("b", 2, epoch)];
    await send(store, receipt(1), ...requests);
    await advance(WINDOW_MS);
    await ask(store, "judge", charge("b", epoch, 3));
    await send(store, closed(1), ...requests.map(undo));
    assert.equal(await usedOf(store, "b", epoch), 3);
  }),

  onTerms("closes a number also with a batch of nothing, and books no more under it", async ({ store }) => {
    await send(store, closed(1));
    await refuses(store.apply([book("b")], receipt(1)), "too-late");
    await send(store, receipt(2), book("b"));
    await send(store, closed(2));
    await refuses(store.apply([book("b")], receipt(2)), "too-late");
    assert.equal(await usedOf(store, "b", large), 1);
  }),

  onTerms("refuses a number below what its instance has settled", async ({ store }) => {
    await send(store, receipt(5, { from: 5 }), book("b"));
    await refuses(store.apply([book("b")], receipt(4)), "too-late");
    await refuses(store.apply([book("b")], closed(4)), "too-late");
    await refuses(store.apply([book("b")], receipt(6, { from: 7 })), "too-late");
    await send(store, receipt(4, { instance: "i2" }), book("b"));
    assert.equal(await usedOf(store, "b", large), 2);
  }),

  onTerms("remembers 16 open batches of an instance, and books nothing of another", async ({ store }) => {
    for (let number = 1; number <= 16; number++) await send(store, receipt(number), book("b"));
    await refuses(store.apply([book("b")], receipt(17)), "overloaded");
    await send(store, receipt(16), book("b"));
    assert.equal(await usedOf(store, "b", large), 16);
    await send(store, receipt(17, { from: 2 }), book("b"));
    assert.equal(await usedOf(store, "b", large), 17);
  }),
];
