import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { LimitSpec, Step } from "../../store.ts";
import { shared, shareOf } from "./shares.ts";
import type { View } from "./views.ts";

const NOW_MS = Date.UTC(2030, 0, 1);
const quota: LimitSpec = { algorithm: "quota", quota: 100, ttlMs: 60_000, ttlFrom: "last" };
const gcra = { algorithm: "gcra", burst: 10, levelPerUnit: 100, levelPerMs: 1 } as const;

const stepOn = (limit: LimitSpec, more: Partial<Step> = {}): Step => ({
  bucket: "b",
  limit,
  event: { type: "charge", cost: 1 },
  ...more,
});
const viewOf = (limit: LimitSpec, used: number, endsAtMs = NOW_MS + 30_000, granted = 0): View => ({
  limit,
  used,
  granted,
  grantEndsAtMs: null,
  seenAtMs: NOW_MS,
  endsAtMs,
  isCount: false,
});

describe("shareOf", () => {
  it("gives all of what is left away, and nothing else, when all take theirs", () => {
    const anyLeft = fc.integer({ min: 0, max: 1_000_000 });
    fc.assert(
      fc.property(anyLeft, fc.integer({ min: 1, max: 100 }), (left, instances) => {
        const shares = Array.from({ length: instances }, (_, rank) => shareOf(left, { instances, rank }));
        assert.equal(
          shares.reduce((sum, share) => sum + share, 0),
          left,
        );
        assert.ok(Math.max(...shares) - Math.min(...shares) <= 1);
        assert.equal(shareOf(left, { instances, rank: null }), Math.min(...shares));
      }),
    );
  });
});

describe("the share of a limit", () => {
  const four = { instances: 4, rank: 0 };

  it("is one of what was left", () => {
    const view = viewOf(quota, 90);
    const { limit, worstCaseOver } = shared(stepOn(quota), view, four, NOW_MS);
    assert.deepEqual(limit, { ...quota, quota: 3 });
    assert.equal(worstCaseOver, 3 + 3 * 25);
    assert.deepEqual(shared(stepOn(quota), view, four, NOW_MS + 29_999).limit, { ...quota, quota: 3 });
    assert.deepEqual(shared(stepOn(quota), view, four, NOW_MS + 30_000).limit, { ...quota, quota: 25 });
  });

  it("is one of everything where nothing was seen, or that has ended", () => {
    const [never, ended] = [undefined, viewOf(quota, 90, NOW_MS)];
    for (const view of [never, ended]) {
      assert.deepEqual(shared(stepOn(quota), view, four, NOW_MS).limit, { ...quota, quota: 25 });
    }
  });

  it("counts what was granted, and nothing where more was used than there is", () => {
    assert.deepEqual(shared(stepOn(quota), viewOf(quota, 110, NOW_MS + 1, 30), four, NOW_MS).limit, {
      ...quota,
      quota: 5,
    });
    assert.deepEqual(shared(stepOn(quota), viewOf(quota, 130), four, NOW_MS).limit, { ...quota, quota: 0 });
  });

  it("is nothing where nobody knows of how many", () => {
    const { limit, worstCaseOver } = shared(stepOn(quota), viewOf(quota, 0), null, NOW_MS);
    assert.equal("quota" in limit && limit.quota, 0);
    assert.equal(worstCaseOver, null);
  });

  it("is all that was left where the limit is local, or cannot be shared", () => {
    const elapsed: LimitSpec = { algorithm: "elapsed", quota: 100, ttlMs: 60_000 };
    const seen = { event: { type: "charge", cost: 1, seen: "0123456789abcdef" } } as const;
    for (const step of [stepOn(quota, { onStoreError: "local" }), stepOn(quota, seen), stepOn(elapsed)]) {
      const { limit, worstCaseOver } = shared(step, viewOf(step.limit, 90), four, NOW_MS);
      assert.equal("quota" in limit && limit.quota, 10);
      assert.equal(worstCaseOver, 10 + 3 * 100);
    }
    assert.equal(shared(stepOn(quota, { onStoreError: "local" }), undefined, null, NOW_MS).worstCaseOver, null);
  });

  it("of a token bucket is one of its rate, its burst and what is free in it", () => {
    const { limit, spent } = shared(stepOn(gcra), viewOf(gcra, 6, NOW_MS + 600), { instances: 2, rank: 1 }, NOW_MS);
    assert.deepEqual(limit, { ...gcra, burst: 5, levelPerUnit: 200 });
    // Four are free, two of them for this one, which has room for five.
    assert.deepEqual(spent, { kind: "gcra", baseMs: NOW_MS, level: 600, levelPerUnit: 200, expiresAtMs: NOW_MS + 600 });
  });
});
