import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { algorithmOf, type LimitSpec } from "../../kernel/algorithms/registry.ts";
import type { Step } from "../../kernel/request.ts";
import { type Place, shareIn, shareOf } from "./shares.ts";
import type { View } from "./views.ts";

const NOW_MS = Date.UTC(2030, 0, 1);
const quota: LimitSpec = { algorithm: "budget", quota: 100, ttlMs: 60_000, ttlFrom: "last" };
const tokenBucket = { algorithm: "token-bucket", burst: 10, levelPerUnit: 100, levelPerMs: 1 } as const;

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
  it("divides exactly what is left among all instances", () => {
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

/** A share, and how many units are free in the bucket that it begins with. */
function sharedBy(step: Step, view: View | undefined, place: Place | null, nowMs = NOW_MS) {
  const share = shareIn(step, { view, place, seeded: null }, nowMs);
  const { capacity, used } = algorithmOf(share.limit);
  return { ...share, free: capacity(share.limit) - used(share.limit, share.spent, nowMs) };
}

describe("the share of a limit", () => {
  const four = { instances: 4, rank: 0 };

  it("is a share of what was left", () => {
    const view = viewOf(quota, 90);
    const { free, maxOvershoot, spent } = sharedBy(stepOn(quota), view, four);
    assert.equal(free, 3);
    assert.equal(maxOvershoot, 3 + 3 * 25);
    assert.deepEqual(spent, { kind: "counter", spent: 90, expiresAtMs: NOW_MS + 30_000 });
    assert.equal(sharedBy(stepOn(quota), view, four, NOW_MS + 29_999).free, 3);
    assert.equal(sharedBy(stepOn(quota), view, four, NOW_MS + 30_000).free, 25);
  });

  it("is a share of the whole quota when the view is absent, ended, or of another algorithm", () => {
    for (const view of [undefined, viewOf(quota, 90, NOW_MS), viewOf(tokenBucket, 9)]) {
      assert.equal(sharedBy(stepOn(quota), view, four).free, 25);
    }
  });

  it("follows the limit of the step, and not the seen limit", () => {
    const view = viewOf(quota, 90);
    for (const [units, free] of [
      [90, 0],
      [130, 10],
    ] as const) {
      assert.equal(sharedBy(stepOn({ ...quota, quota: units }), view, four).free, free);
    }
    assert.equal(sharedBy(stepOn({ ...quota, quota: 0 }), view, four).free, -90);
    assert.equal(sharedBy(stepOn(quota, { hints: { onStoreError: "deny" } }), view, four).free, -90);
    assert.equal(sharedBy(stepOn(quota, { hints: { onStoreError: "local" } }), view, four).free, 10);
  });

  it("counts grants, and is 0 when more was used than allotted", () => {
    assert.equal(sharedBy(stepOn(quota), viewOf(quota, 110, NOW_MS + 1, 30), four).free, 5);
    assert.equal(sharedBy(stepOn(quota), viewOf(quota, 130), four).free, 0);
    const granted = { ...viewOf(quota, 90, NOW_MS + 30_000, 20), grantEndsAtMs: NOW_MS + 10 };
    assert.equal(sharedBy(stepOn(quota), granted, four, NOW_MS + 9).free, 8);
    assert.equal(sharedBy(stepOn(quota), granted, four, NOW_MS + 10).free, 3);
    const stopped = sharedBy(stepOn({ ...quota, quota: 0 }), viewOf(quota, 0, NOW_MS + 1, 30), four);
    assert.deepEqual([stopped.free, stopped.maxOvershoot], [0, 0]);
  });

  it("is 0 if the number of instances is unknown", () => {
    const { free, maxOvershoot } = sharedBy(stepOn(quota), viewOf(quota, 0), null);
    assert.equal(free, 0);
    assert.equal(maxOvershoot, null);
  });

  it("is all that was left where the limit is local, or cannot be shared", () => {
    const elapsed: LimitSpec = { algorithm: "elapsed", quota: 100, ttlMs: 60_000 };
    const seen = { event: { type: "charge", cost: 1, seen: "0123456789abcdef" } } as const;
    for (const step of [stepOn(quota, { hints: { onStoreError: "local" } }), stepOn(quota, seen), stepOn(elapsed)]) {
      const { free, maxOvershoot } = sharedBy(step, viewOf(step.limit, 90), four);
      assert.equal(free, 10);
      assert.equal(maxOvershoot, 10 + 3 * 100);
    }
    assert.equal(sharedBy(stepOn(quota, { hints: { onStoreError: "local" } }), undefined, null).maxOvershoot, null);
  });

  it("of a pause is one call for each pause, which is N times as long for N instances", () => {
    const pause = { algorithm: "cooldown", quota: 1, pauseMs: 2_000 } as const;
    for (const rank of [0, 3]) {
      const place = { instances: 4, rank };
      const { limit, free, maxOvershoot } = sharedBy(stepOn(pause), undefined, place);
      assert.deepEqual(limit, { ...pause, pauseMs: 8_000 });
      assert.equal(free, 1);
      assert.equal(maxOvershoot, 4);
      assert.equal(sharedBy(stepOn(pause), viewOf(pause, 1, NOW_MS + 500), place).free, 0);
    }
  });

  it("of a token bucket divides its rate, its burst and its free units", () => {
    const { limit, spent } = sharedBy(stepOn(tokenBucket), viewOf(tokenBucket, 6, NOW_MS + 600), {
      instances: 2,
      rank: 1,
    });
    assert.deepEqual(limit, { ...tokenBucket, burst: 5, levelPerUnit: 200 });
    // Four are free, two of them for this one, which has room for five.
    assert.deepEqual(spent, {
      kind: "token-bucket",
      baseMs: NOW_MS,
      level: 600,
      levelPerUnit: 200,
      expiresAtMs: NOW_MS + 600,
    });
  });
});
