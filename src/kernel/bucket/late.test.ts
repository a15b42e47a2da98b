import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { LimitSpec } from "../algorithms/registry.ts";
import { decide } from "../decide.ts";
import type { StepEvent, StoreRequest } from "../request.ts";
import type { StoredState } from "../state.ts";

const NOW_MS = 1_000_000;
const WINDOW_MS = 1_000;
const quota: LimitSpec = { algorithm: "budget", quota: 10, ttlMs: WINDOW_MS, ttlFrom: "last" };
const first: LimitSpec = { ...quota, ttlFrom: "first" };
const epoch: LimitSpec = { algorithm: "fixed-window", quota: 10, windowMs: WINDOW_MS, align: "epoch" };
const calendar: LimitSpec = {
  algorithm: "fixed-window",
  quota: 10,
  align: "calendar",
  boundaries: [NOW_MS, NOW_MS + WINDOW_MS, NOW_MS + 2 * WINDOW_MS],
};
const sliding: LimitSpec = { algorithm: "sliding-window", quota: 10, windowMs: WINDOW_MS };
const tokenBucket: LimitSpec = { algorithm: "token-bucket", burst: 10, levelPerUnit: 100, levelPerMs: 1 };
const slots: LimitSpec = { algorithm: "concurrency", quota: 10 };
const elapsed: LimitSpec = { algorithm: "elapsed", quota: 10, ttlMs: WINDOW_MS };

/** One bucket, and how it stands after each event. */
function bucketOf(limit: LimitSpec) {
  let state: StoredState | undefined;
  return {
    get state() {
      return state;
    },
    ask(event: StepEvent, nowMs: number, more: Partial<StoreRequest> = {}): number {
      const request = { mode: "force", steps: [{ bucket: "b", limit, event }], ...more } as const;
      const { reply, next } = decide(request, [state], nowMs);
      if (next !== null) state = next[0];
      return reply?.steps[0]?.used ?? Number.NaN;
    },
  };
}

const charge = (cost: number): StepEvent => ({ type: "charge", cost });
const raise = (units: number, atMs: number, lost: "all" | "some" = "all", id = "i1"): StepEvent => ({
  type: "raise",
  id,
  units,
  atMs,
  keptMs: WINDOW_MS,
  lost,
});

describe("units that are booked late", () => {
  it("count from the instant of their step, where that has one, and from now where that lies ahead", () => {
    const step = { bucket: "b", limit: tokenBucket, event: charge(3) };
    for (const [ownAtMs, used] of [
      [NOW_MS - 100, 2],
      [NOW_MS + 100, 3],
    ] as const) {
      const request: StoreRequest = { mode: "force", steps: [{ ...step, atMs: ownAtMs }], atMs: NOW_MS - 900 };
      assert.equal(decide(request, [undefined], NOW_MS).reply?.steps[0]?.used, used);
      const { atMs: _, ...atOnce } = request;
      assert.equal(decide(atOnce, [undefined], NOW_MS).reply?.steps[0]?.used, 3);
    }
  });

  for (const limit of [quota, first, epoch, calendar, sliding]) {
    it(`count in the window of their instant, and are dropped once that is over: ${limit.algorithm}`, () => {
      const bucket = bucketOf(limit);
      assert.equal(bucket.ask(charge(3), NOW_MS + 900, { atMs: NOW_MS + 100 }), 3);
      assert.equal(bucket.ask(charge(2), NOW_MS + 900, { atMs: NOW_MS + 200 }), 5);
      const [next] = [bucketOf(limit)];
      assert.equal(next.ask(charge(3), NOW_MS + 1_300, { atMs: NOW_MS + 100 }), 0);
      assert.equal(next.state, undefined);
    });
  }

  it("are dropped where a later window has begun", () => {
    for (const limit of [first, epoch, { ...epoch, align: "first-use" } as const]) {
      const bucket = bucketOf(limit);
      bucket.ask(charge(1), NOW_MS + 1_050);
      assert.equal(bucket.ask(charge(3), NOW_MS + 1_060, { atMs: NOW_MS + 40 }), 1);
    }
    const day = bucketOf(calendar);
    day.ask(charge(1), NOW_MS + 1_005);
    assert.equal(day.ask(charge(3), NOW_MS + 1_006, { atMs: NOW_MS + 999 }), 1);
  });

  it("have flowed back since from a token bucket", () => {
    const bucket = bucketOf(tokenBucket);
    assert.equal(bucket.ask(charge(5), NOW_MS + 200, { atMs: NOW_MS }), 3);
    assert.equal(bucket.ask(charge(5), NOW_MS + 400, { atMs: NOW_MS + 200 }), 6);
  });

  it("count a value in the window of their instant, but not in a later one", () => {
    const seen = { type: "charge", cost: 1, seen: "0123456789abcdef" } as const;
    const bucket = bucketOf(epoch);
    assert.equal(bucket.ask(seen, NOW_MS + 900, { atMs: NOW_MS + 1 }), 1);
    assert.equal(bucket.ask(seen, NOW_MS + 901, { atMs: NOW_MS + 2 }), 1);
    const later = bucketOf(epoch);
    later.ask(charge(1), NOW_MS + 1_050);
    assert.equal(later.ask(seen, NOW_MS + 1_060, { atMs: NOW_MS + 40 }), 1);
    assert.equal(later.ask(seen, NOW_MS + 1_070), 2);
  });

  it("of a settled hold count in the window of their instant, too", () => {
    const bucket = bucketOf(epoch);
    const settle = { type: "settle", id: "h", units: 4 } as const;
    assert.equal(bucket.ask(settle, NOW_MS + 900, { atMs: NOW_MS + 100 }), 4);
    assert.equal(bucketOf(epoch).ask(settle, NOW_MS + 1_100, { atMs: NOW_MS + 100 }), 0);
  });
});

describe("undo", () => {
  for (const limit of [quota, first, epoch, calendar, sliding, tokenBucket]) {
    it(`takes back what was booked at an instant: ${limit.algorithm}`, () => {
      const bucket = bucketOf(limit);
      bucket.ask(charge(5), NOW_MS + 10);
      bucket.ask(charge(3), NOW_MS + 10);
      assert.equal(bucket.ask(charge(3), NOW_MS + 10, { mode: "undo", atMs: NOW_MS + 10 }), 5);
    });

    it(`takes nothing from a later life: ${limit.algorithm}`, () => {
      const bucket = bucketOf(limit);
      bucket.ask(charge(4), NOW_MS + 1_500);
      assert.equal(bucket.ask(charge(3), NOW_MS + 1_500, { mode: "undo", atMs: NOW_MS + 10 }), 4);
      assert.equal(bucketOf(limit).ask(charge(3), NOW_MS, { mode: "undo", atMs: NOW_MS }), 0);
    });
  }

  it("takes nothing from a window that began at this instant", () => {
    for (const limit of [first, { ...epoch, align: "first-use" } as const]) {
      const bucket = bucketOf(limit);
      bucket.ask(charge(1), NOW_MS);
      bucket.ask(charge(3), NOW_MS + 10);
      const nextMs = NOW_MS + WINDOW_MS;
      bucket.ask(charge(4), nextMs);
      assert.equal(bucket.ask(charge(3), nextMs, { mode: "undo", atMs: NOW_MS + 10 }), 4);
    }
  });

  it("takes nothing back at the instant at which it would have ended alone", () => {
    const bucket = bucketOf(quota);
    bucket.ask(charge(3), NOW_MS);
    bucket.ask(charge(1), NOW_MS + 10);
    assert.equal(bucket.ask(charge(3), NOW_MS + WINDOW_MS, { mode: "undo", atMs: NOW_MS }), 4);
    assert.equal(bucket.ask(charge(3), NOW_MS + WINDOW_MS - 1, { mode: "undo", atMs: NOW_MS }), 1);
  });

  it("leaves nothing of a cooldown that the call began", () => {
    const limit: LimitSpec = { algorithm: "cooldown", quota: 1, pauseMs: WINDOW_MS };
    const { next } = decide({ mode: "judge", steps: [{ bucket: "b", limit, event: charge(1) }] }, [undefined], NOW_MS);
    const undo = { mode: "undo", atMs: NOW_MS, steps: [{ bucket: "b", limit, event: charge(1) }] } as const;
    const outcome = decide(undo, next ?? [], NOW_MS + 1);
    assert.deepEqual(outcome.reply?.steps, [{ allowed: true, used: 0, resetAfterMs: 0, retryAfterMs: 0 }]);
    assert.deepEqual(outcome.next, [undefined]);
  });

  it("gives back to a token bucket no more than what cannot have flowed back", () => {
    const bucket = bucketOf(tokenBucket);
    bucket.ask(charge(9), NOW_MS);
    assert.equal(bucket.ask(charge(3), NOW_MS + 100, { mode: "undo", atMs: NOW_MS }), 6);
  });

  it("leaves another sub-window, and one of another length, as it is", () => {
    const bucket = bucketOf(sliding);
    bucket.ask(charge(4), NOW_MS + 250);
    assert.equal(bucket.ask(charge(3), NOW_MS + 250, { mode: "undo", atMs: NOW_MS + 50 }), 4);
    const longer = { ...sliding, windowMs: 2 * WINDOW_MS };
    const request = {
      mode: "undo",
      atMs: NOW_MS + 250,
      steps: [{ bucket: "b", limit: longer, event: charge(3) }],
    } as const;
    assert.equal(decide(request, [bucket.state], NOW_MS + 250).next, null);
  });

  it("frees a hold and a queued call, and leaves values and what was only read", () => {
    const held = bucketOf(slots);
    held.ask({ type: "hold", id: "h", units: 2, leaseMs: 500, onExpiry: "refund" }, NOW_MS);
    const hold = { type: "hold", id: "h", units: 2, leaseMs: 500, onExpiry: "refund" } as const;
    assert.equal(held.ask(hold, NOW_MS + 1, { mode: "undo", atMs: NOW_MS }), 0);
    const row = bucketOf(tokenBucket);
    row.ask(charge(10), NOW_MS);
    row.ask(charge(2), NOW_MS, { mode: "judge", wait: { id: "p", maxMs: 1_000 } });
    assert.equal(row.ask(charge(2), NOW_MS, { mode: "undo", atMs: NOW_MS, wait: { id: "p", maxMs: 1_000 } }), 10);
    const counted = bucketOf(epoch);
    const seen = { type: "charge", cost: 1, seen: "0123456789abcdef" } as const;
    counted.ask(seen, NOW_MS + 1);
    assert.equal(counted.ask(seen, NOW_MS + 2, { mode: "undo", atMs: NOW_MS + 1 }), 1);
    assert.equal(counted.ask({ type: "read" }, NOW_MS + 2, { mode: "undo", atMs: NOW_MS + 1 }), 1);
  });

  it("leaves states that count no units as they are", () => {
    const since = bucketOf(elapsed);
    since.ask(charge(1), NOW_MS);
    const before = since.state;
    since.ask(charge(1), NOW_MS + 5, { mode: "undo", atMs: NOW_MS });
    assert.equal(since.state, before);
  });

  it("forgets the answer that was kept with the booking, and no other", () => {
    const once = { key: "o", request: "r" };
    const request = { mode: "judge", steps: [{ bucket: "b", limit: quota, event: charge(1) }], once } as const;
    const { next } = decide(request, [undefined, undefined], NOW_MS);
    const states = next ?? [];
    const undo = { ...request, mode: "undo", atMs: NOW_MS } as const;
    assert.equal(decide(undo, states, NOW_MS + 1).next?.[1], undefined);
    for (const other of [
      { ...undo, atMs: NOW_MS - 1 },
      { ...undo, once: { key: "o", request: "other" } },
    ]) {
      assert.equal(decide(other, states, NOW_MS + 1).next?.[1], states[1]);
    }
  });

  it("does not undo a booking whose answer another caller got", () => {
    const once = { key: "o", request: "r" };
    const request = { mode: "judge", steps: [{ bucket: "b", limit: quota, event: charge(3) }], once } as const;
    const booked = decide(request, [undefined, undefined], NOW_MS).next ?? [];
    const told = decide(request, booked, NOW_MS + 1);
    assert.equal(told.reply?.replay?.request, "r");
    const again = decide(request, told.next ?? [], NOW_MS + 2);
    assert.deepEqual([again.reply, again.next], [told.reply, null]);
    const undone = decide({ ...request, mode: "undo", atMs: NOW_MS }, told.next ?? [], NOW_MS + 3);
    assert.deepEqual([undone.reply?.steps[0]?.used, undone.next], [3, null]);
  });
});

describe("use that was lost", () => {
  it("is given back once, up to the highest view, on top of later use", () => {
    for (const limit of [quota, epoch, sliding]) {
      const bucket = bucketOf(limit);
      bucket.ask(charge(1), NOW_MS + 500);
      assert.equal(bucket.ask(raise(5, NOW_MS + 100), NOW_MS + 500), 6);
      assert.equal(bucket.ask(raise(5, NOW_MS + 100), NOW_MS + 501), 6);
      assert.equal(bucket.ask(raise(3, NOW_MS + 100), NOW_MS + 502), 6);
      assert.equal(bucket.ask(raise(7, NOW_MS + 100), NOW_MS + 503), 8);
      assert.equal(bucket.ask(charge(1), NOW_MS + 504), 9);
    }
  });

  it("is the higher of the present and the seen use, where a part was kept", () => {
    const bucket = bucketOf(quota);
    bucket.ask(charge(4), NOW_MS);
    assert.equal(bucket.ask(raise(3, NOW_MS, "some"), NOW_MS + 1), 4);
    assert.equal(bucket.ask(raise(4, NOW_MS, "some"), NOW_MS + 1), 4);
    assert.equal(bucket.ask(raise(6, NOW_MS, "some"), NOW_MS + 1), 6);
    assert.equal(bucket.ask(raise(9, NOW_MS, "some", "i2"), NOW_MS + 1), 9);
  });

  it("is dropped once it has ended, and where there was none", () => {
    const bucket = bucketOf(epoch);
    assert.equal(bucket.ask(raise(5, NOW_MS + 100), NOW_MS + 1_000), 0);
    assert.equal(bucket.ask(raise(0, NOW_MS + 1_000), NOW_MS + 1_000), 0);
    assert.equal(bucket.state, undefined);
  });

  it("is remembered for as long as it was to be, by a clock that was set back, too", () => {
    const bucket = bucketOf(quota);
    bucket.ask(raise(5, NOW_MS), NOW_MS);
    bucket.ask({ type: "read" }, NOW_MS - 400);
    const entries = bucket.state?.kind === "held" ? bucket.state.entries : [];
    assert.deepEqual(entries, [
      { kind: "late", id: "i1", units: 5, expiresAtMs: NOW_MS - 400 + WINDOW_MS, leaseMs: WINDOW_MS },
    ]);
  });

  it("is not given back where no units are counted", () => {
    for (const limit of [slots, elapsed, { algorithm: "streak", quota: 3, ttlMs: WINDOW_MS }] as const) {
      const bucket = bucketOf(limit);
      bucket.ask(raise(2, NOW_MS), NOW_MS);
      assert.equal(bucket.state, undefined);
    }
  });
});
