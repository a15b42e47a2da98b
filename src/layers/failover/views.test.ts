import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Step, StepReply, StoreReply } from "../../kernel/request.ts";
import { type Trip, Views, ViewsRoom } from "./views.ts";

const NOW_MS = Date.UTC(2030, 0, 1);
const limit = { algorithm: "budget", quota: 9, ttlMs: 60_000, ttlFrom: "last" } as const;

function seen(views: Views, bucket: string, used: number): void {
  const step: Step = { bucket, limit, event: { type: "read" } };
  const reply = { allowed: true, used, resetAfterMs: 60_000, retryAfterMs: 0 };
  views.learn({ mode: "peek", steps: [step] }, { allowed: true, nowMs: NOW_MS, steps: [reply] } as StoreReply);
}

function see(views: Views, step: Step, found: Partial<StepReply>, nowMs: number, trip?: Trip): void {
  const reply = { allowed: true, used: 1, resetAfterMs: 60_000, retryAfterMs: 0, ...found };
  views.learn({ mode: "judge", steps: [step] }, { allowed: true, nowMs, steps: [reply] }, trip);
}

describe("the buckets that were seen", () => {
  it("are kept once each, in their last form, also across a generation", () => {
    const views = new Views();
    for (const bucket of ["used", "reset"]) seen(views, bucket, 5);
    for (let i = 0; i < 25_000; i++) seen(views, `b${i}`, 1);
    seen(views, "used", 6);
    seen(views, "reset", 0);
    const live = [...views.live(NOW_MS)].filter(([bucket]) => bucket === "used" || bucket === "reset");
    assert.deepEqual(
      live.map(([bucket, { used }]) => [bucket, used]),
      [["used", 6]],
    );
  });

  it("of several stores together are as many as those of one", () => {
    const room = new ViewsRoom();
    const all = [new Views(room), new Views(room)] as const;
    for (const [n, views] of all.entries()) for (let i = 0; i < 20_000; i++) seen(views, `b${n}-${i}`, 1);
    seen(all[0], "b0-0", 2);
    for (let i = 0; i < 20_000; i++) seen(all[1], `c-${i}`, 1);
    // The second generation, and what was seen in the third.
    assert.equal(all.flatMap((views) => [...views.live(NOW_MS)]).length, 25_000 + 10_001);
    assert.equal(all[0].get("b0-0")?.used, 2);
    assert.equal(all[0].get("b0-1"), undefined);
  });

  it("keep the higher use of two answers of one millisecond that were under way together", () => {
    const first = { sentMs: 0, heardMs: 20 };
    const together = { sentMs: 10, heardMs: 30 };
    const later = { sentMs: 20, heardMs: 40 };
    const cases: readonly [trip: Trip | undefined, afterMs: number, used: number][] = [
      [together, 0, 3],
      [together, -5, 3],
      [together, 1, 2],
      [first, 0, 2],
      [later, 0, 2],
      [undefined, 0, 2],
    ];
    for (const [trip, afterMs, used] of cases) {
      const views = new Views();
      const step: Step = { bucket: "b", limit, event: { type: "charge", cost: 1 } };
      see(views, step, { used: 3 }, NOW_MS, first);
      see(views, step, { used: 2 }, NOW_MS + afterMs, trip);
      assert.equal(views.get("b")?.used, used);
    }
  });

  it("keep use that a grant of another process covers, and as much of the grant", () => {
    const cases: readonly [found: Partial<StepReply>, granted: number, endsAfterMs: number][] = [
      [{ used: 3, granted: 5, resetAfterMs: 0 }, 3, limit.ttlMs],
      [{ used: 5, granted: 5, resetAfterMs: 0 }, 5, limit.ttlMs],
      [{ used: 6, granted: 5, resetAfterMs: 20_000 }, 5, 20_000],
    ];
    for (const [found, granted, endsAfterMs] of cases) {
      const views = new Views();
      see(views, { bucket: "b", limit, event: { type: "charge", cost: 1 } }, found, NOW_MS);
      const view = views.get("b");
      assert.deepEqual([view?.used, view?.granted, view?.endsAtMs], [found.used, granted, NOW_MS + endsAfterMs]);
      assert.equal([...views.live(NOW_MS)].length, 1);
    }
  });

  it("keep what was granted while a quota of 0 hides it, until the grant ends or is revoked", () => {
    const stopped = { ...limit, quota: 0 };
    const grants = [{ id: "g1", units: 4, endsInMs: 100 }];
    const given = { granted: 4, grants };
    const charge = { type: "charge", cost: 1 } as const;
    const revoke = { type: "revoke", id: "g2" } as const;
    const cases: readonly [step: Omit<Step, "bucket">, found: Partial<StepReply>, afterMs: number, granted: number][] =
      [
        [{ limit: stopped, event: charge }, {}, 99, 4],
        [{ limit: stopped, event: charge }, {}, 100, 0],
        [{ limit: stopped, event: revoke }, { grants: [{ id: "g3", units: 2, endsInMs: 9 }] }, 10, 2],
        [{ limit: stopped, event: revoke }, {}, 10, 0],
        [{ limit, event: charge }, {}, 10, 0],
      ];
    for (const [step, found, afterMs, granted] of cases) {
      const views = new Views();
      const grant = { bucket: "b", limit, event: { type: "grant", id: "g1", units: 4, leaseMs: 100 } } as const;
      see(views, grant, given, NOW_MS);
      see(views, { bucket: "b", ...step }, found, NOW_MS + afterMs);
      const view = views.get("b");
      assert.deepEqual([view?.granted, view?.grantEndsAtMs !== null], [granted, granted > 0]);
    }
  });
});
