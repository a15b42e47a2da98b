// What a store with `beat` must do for senders that may lose its answers: on what terms it books, what it takes back and
// books afterwards, and how it knows who shares it. A store without must refuse the terms, in each of these cases.

import assert from "node:assert/strict";
import {
  type LimitSpec,
  type Member,
  type Store,
  StoreError,
  type StoreErrorCode,
  type StoreReply,
  type StoreRequest,
  type Terms,
  TermsError,
  type TermsRefusal,
} from "../store/store.ts";
import {
  answered,
  ask,
  charge,
  findHold,
  first,
  forEachAlgorithm,
  hold,
  quota,
  reset,
  type StoreCase,
  type StoreFixture,
  tokenBucket,
  usedOf,
  WINDOW_MS,
} from "./cases.ts";

/** A store that is shared, its time, and the incarnation of the instance that it has heard of. */
interface Shared {
  readonly store: Store & Required<Pick<Store, "beat">>;
  advance(ms: number): Promise<void> | void;
}

function onTerms(name: string, run: (shared: Shared) => Promise<void>): StoreCase {
  return { name: `terms: ${name}`, run: (fixture) => runOnTerms(fixture, run) };
}

async function runOnTerms(fixture: StoreFixture, run: (shared: Shared) => Promise<void>): Promise<void> {
  const { store } = fixture;
  if (isShared(store)) return run({ store, advance: (ms) => fixture.advance(ms) });
  const terms: Required<Terms> = { notAfterMs: 0, incarnation: "a", ...receipt(1) };
  for (const [term, value] of Object.entries(terms)) {
    await refuses(store.apply([book("b")], { [term]: value }), "unsupported-request");
  }
  assert.equal(await usedOf(store, "b", large), 0);
}

function isShared(store: Store): store is Shared["store"] {
  return store.beat !== undefined;
}

const large = quota(99);
const epoch = { algorithm: "fixed-window", quota: 99, windowMs: WINDOW_MS, align: "epoch" } as const;
const sliding = { algorithm: "sliding-window", quota: 99, windowMs: WINDOW_MS } as const;

const member = (instance: string, more: Partial<Member> = {}): Member => {
  return { group: "g", instance, livesMs: 1_000, seen: [], ...more };
};
const receipt = (number: number, more: Partial<NonNullable<Terms["receipt"]>> = {}) => {
  return { receipt: { instance: "i1", number, from: 1, ...more } };
};
const book = (bucket: string, cost = 1, limit: LimitSpec = large): StoreRequest => {
  return { mode: "judge", steps: [charge(bucket, limit, cost)] };
};
const undo = (request: StoreRequest): StoreRequest => ({ ...request, mode: "undo" });
const closed = (number: number, more: Partial<NonNullable<Terms["receipt"]>> = {}) => {
  return receipt(number, { closes: true, ...more });
};

async function send(store: Store, terms: Terms, ...requests: StoreRequest[]): Promise<StoreReply[]> {
  return (await store.apply(requests, terms)).map(answered);
}

/** Books units that were admitted at an earlier instant. */
async function bookAfterwards(store: Store, bucket: string, limit: LimitSpec, cost: number, atMs: number) {
  await store.apply([{ mode: "force", steps: [charge(bucket, limit, cost)], atMs }]);
}

/** Gives back use that was lost. */
async function raise(
  store: Store,
  bucket: string,
  units: number,
  { id = "m1", atMs, lost = "all", limit = large }: RaiseOf,
): Promise<void> {
  const event = { type: "raise", id, units, atMs, keptMs: WINDOW_MS, lost } as const;
  await ask(store, "force", { bucket, limit, event });
}

interface RaiseOf {
  readonly id?: string;
  readonly atMs: number;
  readonly lost?: "all" | "some";
  readonly limit?: LimitSpec;
}

async function refuses(promise: Promise<unknown>, code: StoreErrorCode | TermsRefusal): Promise<void> {
  await assert.rejects(
    promise,
    (error) => StoreError.isInstance(error) && (TermsError.refusalOf(error) ?? error.code) === code,
  );
}

async function nowOf(store: Store): Promise<number> {
  return (await ask(store, "peek")).nowMs;
}

/** Lets time pass until a window of the epoch begins, and returns that instant. */
async function toWindow({ store, advance }: Shared): Promise<number> {
  const waitMs = WINDOW_MS - ((await nowOf(store)) % WINDOW_MS);
  await advance(waitMs);
  return nowOf(store);
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

  ...forEachAlgorithm("books afterwards what a charge would have booked then, to the ms", (fixture, limit) =>
    runOnTerms(fixture, async (shared) => {
      const { store, advance } = shared;
      await toWindow(shared);
      await advance(10);
      const { nowMs: atMs, steps } = await ask(store, "judge", charge("then", limit, 3));
      const endMs = steps[0]?.resetAfterMs ?? 0;
      for (const laterMs of [1, 300, endMs - 1, endMs]) {
        await advance(atMs + laterMs - (await nowOf(store)));
        await bookAfterwards(store, `after-${laterMs}`, limit, 3, atMs);
        const { steps } = await ask(store, "peek", charge("then", limit), charge(`after-${laterMs}`, limit));
        assert.deepEqual(steps[1], steps[0], `${laterMs} ms after it`);
      }
    }),
  ),

  onTerms("books afterwards into the window of then also beside what was booked since", async (shared) => {
    const { store, advance } = shared;
    const atMs = (await toWindow(shared)) + WINDOW_MS - 1;
    await advance(WINDOW_MS);
    for (const limit of [epoch, sliding]) {
      const bucket = limit.algorithm;
      await ask(store, "judge", charge(bucket, limit, 2));
      await bookAfterwards(store, bucket, limit, 3, atMs);
    }
    assert.deepEqual(
      [await usedOf(store, epoch.algorithm, epoch), await usedOf(store, sliding.algorithm, sliding)],
      [2, 5],
    );
    await advance(WINDOW_MS - 1);
    const left = await usedOf(store, sliding.algorithm, sliding);
    await bookAfterwards(store, sliding.algorithm, sliding, 3, atMs);
    assert.equal(await usedOf(store, sliding.algorithm, sliding), left);
  }),

  onTerms("gives back the highest view of one incarnation, once", async ({ store }) => {
    const atMs = await nowOf(store);
    const used: number[] = [];
    for (const units of [3, 3, 2, 5, 4]) {
      await raise(store, "b", units, { atMs });
      used.push(await usedOf(store, "b", large));
    }
    assert.deepEqual(used, [3, 3, 3, 5, 5]);
  }),

  onTerms("gives back use on top of what was spent since, where all was lost", async ({ store }) => {
    const { nowMs: atMs } = await ask(store, "judge", charge("b", large, 2));
    await raise(store, "b", 3, { atMs });
    assert.equal(await usedOf(store, "b", large), 5);
    await ask(store, "judge", charge("b", large, 1));
    await raise(store, "b", 4, { atMs });
    assert.equal(await usedOf(store, "b", large), 7);
  }),

  onTerms("leaves the higher of what it has and what was seen, where some may be left", async ({ store }) => {
    const { nowMs: atMs } = await ask(store, "judge", charge("less", large, 2), charge("more", large, 4));
    for (const bucket of ["less", "more"]) await raise(store, bucket, 3, { atMs, lost: "some" });
    assert.deepEqual([await usedOf(store, "less", large), await usedOf(store, "more", large)], [3, 4]);
    for (const bucket of ["less", "more"]) await raise(store, bucket, 5, { atMs, lost: "some" });
    assert.deepEqual([await usedOf(store, "less", large), await usedOf(store, "more", large)], [5, 5]);
  }),

  onTerms("drops lost use that is older than its window", async (shared) => {
    const { store, advance } = shared;
    const atMs = await toWindow(shared);
    await advance(WINDOW_MS);
    await ask(store, "judge", charge("used", epoch, 2));
    for (const bucket of ["used", "unused"]) await raise(store, bucket, 3, { atMs, limit: epoch });
    await raise(store, "rate", 1, { atMs, limit: tokenBucket });
    assert.deepEqual(
      [
        await usedOf(store, "used", epoch),
        await usedOf(store, "unused", epoch),
        await usedOf(store, "rate", tokenBucket),
      ],
      [2, 0, 0],
    );
  }),

  onTerms("ranks the instances that live by their names", async ({ store }) => {
    const place = async (instance: string) => {
      const { instances, rank } = await store.beat(member(instance));
      return [instances, rank];
    };
    assert.deepEqual(await place("b"), [1, 0]);
    assert.deepEqual(await place("a"), [2, 0]);
    assert.deepEqual(await place("B.1"), [3, 0]);
    assert.deepEqual(await place("b"), [3, 2]);
    assert.deepEqual(await place("a"), [3, 1]);
  }),

  onTerms("counts no instance that has left, or has not been heard of for its time", async ({ store, advance }) => {
    for (const instance of ["a", "b", "c"]) await store.beat(member(instance));
    const left = await store.beat(member("a", { livesMs: 0 }));
    assert.equal(left.instances, 2);
    await advance(999);
    const both = await store.beat(member("c"));
    assert.deepEqual([both.instances, both.rank], [2, 1]);
    await advance(1);
    const alone = await store.beat(member("c"));
    assert.deepEqual([alone.instances, alone.rank], [1, 0]);
  }),

  onTerms("counts each group by itself, whatever it is called", async ({ store }) => {
    const groups = ["a", "a:b", "a_b", "axb", "a.b", "A", "a-b", "a0"];
    for (const group of groups) {
      for (const instance of ["b:c", "c", "b"]) await store.beat(member(instance, { group }));
    }
    for (const group of groups) {
      const { instances, rank } = await store.beat(member("c", { group }));
      assert.deepEqual([instances, rank], [3, 2], group);
    }
  }),

  onTerms("tells all instances one incarnation, also those that come first together", async ({ store, advance }) => {
    const beats = await Promise.all(["a", "b", "c", "d"].map((instance) => store.beat(member(instance))));
    await advance(100 * 86_400_000);
    beats.push(await store.beat(member("a", { group: "another" })));
    assert.equal(new Set(beats.map(({ incarnation }) => incarnation)).size, 1);
    assert.match(beats[0]?.incarnation ?? "", /^[\w-]{1,64}$/);
    assert.equal(beats.at(-1)?.nowMs, await nowOf(store));
  }),

  onTerms("has lost all for sure where nothing is left of what was seen", async ({ store }) => {
    const { lost } = await store.beat(member("a", { seen: ["b", "c"] }));
    assert.equal(lost, "all");
    await ask(store, "judge", charge("c", large));
    assert.equal((await store.beat(member("b", { seen: ["c"] }))).lost, "all");
  }),

  onTerms("may have lost some where something is left of what was seen", async ({ store }) => {
    await ask(store, "judge", charge("c", large));
    assert.equal((await store.beat(member("a", { seen: ["b", "c"] }))).lost, "some");
    assert.equal((await store.beat(member("b", { seen: ["b"] }))).lost, "some");
  }),
];
