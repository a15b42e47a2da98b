// What instances do with each algorithm while the store is unreachable: the state of a bucket that was seen, and when its
// bookings were made.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { budget } from "./budget.ts";
import { type FixedWindowLimit, fixedWindow } from "./fixed-window.ts";
import { algorithmOf, inUseLimit, type LimitSpec } from "./registry.ts";
import { slidingWindow } from "./sliding-window.ts";
import { tokenBucket } from "./token-bucket.ts";

const NOW_MS = Date.UTC(2030, 0, 1);
const DAY_MS = 86_400_000;
const epoch: FixedWindowLimit = { algorithm: "fixed-window", quota: 9, windowMs: 60_000, align: "epoch" };
const firstUse: FixedWindowLimit = { ...epoch, align: "first-use" };
const calendar: FixedWindowLimit = {
  algorithm: "fixed-window",
  quota: 9,
  align: "calendar",
  boundaries: [NOW_MS - DAY_MS, NOW_MS, NOW_MS + DAY_MS],
};
const sliding: LimitSpec = { algorithm: "sliding-window", quota: 9, windowMs: 100 };
const LIMITS: Readonly<Record<string, LimitSpec>> = {
  budget: { algorithm: "budget", quota: 9, ttlMs: 60_000, ttlFrom: "first" },
  "fixed-window epoch": epoch,
  "fixed-window first-use": firstUse,
  "fixed-window calendar": calendar,
  "sliding-window": sliding,
  "token-bucket": { algorithm: "token-bucket", burst: 9, levelPerUnit: 100, levelPerMs: 1 },
  cooldown: { algorithm: "cooldown", quota: 9, pauseMs: 60_000 },
};

describe("a bucket that was seen before an outage", () => {
  for (const [name, limit] of Object.entries(LIMITS)) {
    it(`has the use that was seen, until it ends: ${name}`, () => {
      const { book, used, freeAfterMs, outage } = algorithmOf(limit);
      const state = book(limit, undefined, 1, NOW_MS);
      const endsAtMs = NOW_MS + freeAfterMs(limit, state, algorithmOf(limit).capacity(limit), NOW_MS);
      const seen = outage.stateOf(limit, { used: used(limit, state, NOW_MS), seenAtMs: NOW_MS, endsAtMs }, limit);
      assert.equal(used(limit, seen, NOW_MS), 1);
      assert.equal(used(limit, seen, endsAtMs - 1), 1);
      assert.ok(used(limit, seen.expiresAtMs <= endsAtMs ? undefined : seen, endsAtMs) === 0);
    });

    it(`was booked at an instant from which it would end as it does: ${name}`, () => {
      const { book, outage } = algorithmOf(limit);
      const booked = book(limit, undefined, 1, NOW_MS);
      const atMs = outage.bookedAtMs(limit, NOW_MS, booked.expiresAtMs);
      assert.equal(book(limit, undefined, 1, atMs).expiresAtMs, booked.expiresAtMs);
      assert.ok(outage.lifeMs(limit) >= booked.expiresAtMs - NOW_MS || outage.hasRate);
    });
  }

  it("of a window of another length ends no earlier than the limit may count it", () => {
    const longer = { ...sliding, windowMs: 1_000 };
    const use = { used: 3, seenAtMs: NOW_MS, endsAtMs: NOW_MS + 50 };
    const state = slidingWindow.outage.stateOf(sliding, use, longer);
    assert.equal(slidingWindow.used(longer, state, NOW_MS), 3);
    assert.equal(state.expiresAtMs, NOW_MS + 2_000);
  });
});

describe("a part of what is used", () => {
  const limit = { algorithm: "token-bucket", burst: 9, levelPerUnit: 100, levelPerMs: 3 } as const;
  const { book, used, outage } = tokenBucket;

  it("flows back last from a token bucket, never too early", () => {
    const all = book(limit, undefined, 5, NOW_MS);
    const part = outage.flowingLast(limit, book(limit, undefined, 2, NOW_MS), all.expiresAtMs);
    assert.equal(part.expiresAtMs, all.expiresAtMs + 1);
    for (let ms = 0; ms <= 167; ms++) {
      const left = used(limit, all, NOW_MS + ms);
      assert.ok(used(limit, part, NOW_MS + ms) >= Math.min(2, left), `after ${ms} ms`);
    }
  });

  it("flows back at once where nothing else is there", () => {
    const alone = book(limit, undefined, 2, NOW_MS);
    assert.equal(outage.flowingLast(limit, alone, alone.expiresAtMs - 1), alone);
    const unit = fixedWindow.book(epoch, undefined, 1, NOW_MS);
    assert.equal(fixedWindow.outage.flowingLast(epoch, unit, NOW_MS + DAY_MS), unit);
  });
});

describe("bookings of one window", () => {
  const sliceAt = (limit: FixedWindowLimit, atMs: number) => fixedWindow.outage.sliceOf(limit, atMs);

  it("are added up, but not with those of the next window", () => {
    assert.equal(sliceAt(epoch, NOW_MS), sliceAt(epoch, NOW_MS + 59_999));
    assert.notEqual(sliceAt(epoch, NOW_MS), sliceAt(epoch, NOW_MS + 60_000));
    assert.equal(sliceAt(firstUse, NOW_MS), sliceAt(firstUse, NOW_MS + 60_000));
    assert.equal(sliceAt(calendar, NOW_MS), sliceAt(calendar, NOW_MS + DAY_MS - 1));
    assert.notEqual(sliceAt(calendar, NOW_MS), sliceAt(calendar, NOW_MS - 1));
  });
});

describe("a state that a store keeps in memory", () => {
  it("is replaced in place by a later state of its kind, where it can be the same object", () => {
    for (const limit of [LIMITS.budget, LIMITS["token-bucket"]]) {
      assert.ok(limit !== undefined);
      const { book, overwrite } = algorithmOf(limit);
      const [kept, next] = [book(limit, undefined, 1, NOW_MS), book(limit, undefined, 3, NOW_MS + 1)];
      assert.ok(overwrite?.(kept, next));
      assert.deepEqual(kept, next);
    }
    const counted = { kind: "counter", spent: 1, expiresAtMs: NOW_MS, seen: "00000000000000aa" } as const;
    assert.equal(budget.overwrite?.({ ...counted }, { kind: "counter", spent: 2, expiresAtMs: NOW_MS }), false);
    const bucket = { kind: "token-bucket", baseMs: 1, level: 1, levelPerUnit: 100, expiresAtMs: 2 } as const;
    assert.equal(tokenBucket.overwrite?.({ ...bucket }, { ...bucket, levelPerUnit: 200 }), false);
    assert.equal(algorithmOf(sliding).overwrite, undefined);
  });
});

describe("the numbers of a limit", () => {
  it("have the kind of window, and the numbers that Redis needs", () => {
    const numbersOf = (limit: FixedWindowLimit) => fixedWindow.wire.numbersOf(limit).slice(1);
    assert.deepEqual(numbersOf(epoch), [9, 60_000, 0]);
    assert.deepEqual(numbersOf(firstUse), [9, 60_000, 1]);
    assert.deepEqual(numbersOf(calendar), [9, NOW_MS - DAY_MS, NOW_MS, NOW_MS + DAY_MS]);
    assert.deepEqual(inUseLimit(7), { algorithm: "concurrency", quota: 7 });
  });
});

describe("a plain counter", () => {
  it("is of one window, and lives for one more", () => {
    assert.deepEqual(fixedWindow.asCounter(epoch, NOW_MS + 10), {
      quota: 9,
      windowStartMs: NOW_MS,
      ttlMs: 120_000,
      leftMs: 59_990,
    });
    assert.deepEqual(fixedWindow.asCounter(calendar, NOW_MS + 10), {
      quota: 9,
      windowStartMs: NOW_MS,
      ttlMs: 2 * DAY_MS,
      leftMs: DAY_MS - 10,
    });
    assert.equal(fixedWindow.asCounter(firstUse, NOW_MS), null);
  });
});

describe("a sum", () => {
  it("lives for the window or the ttl, and a calendar has none", () => {
    assert.deepEqual(fixedWindow.asSum(epoch), { lifeMs: 60_000, endsAfter: "multiple" });
    assert.deepEqual(fixedWindow.asSum(firstUse), { lifeMs: 60_000, endsAfter: "first" });
    assert.equal(fixedWindow.asSum(calendar), null);
    for (const ttlFrom of ["first", "last"] as const) {
      const limit = { algorithm: "budget", quota: 9, ttlMs: 500, ttlFrom } as const;
      assert.deepEqual(budget.asSum(limit), { lifeMs: 500, endsAfter: ttlFrom });
    }
  });
});
