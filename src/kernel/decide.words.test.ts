// What counts values, outcomes and time, windows of a calendar, grants, and steps in shadow.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type CounterState, MAX_SEEN } from "./algorithms/rules/counter.ts";
import type { LimitSpec } from "./algorithms/registry.ts";
import { decide } from "./decide.ts";
import { REMEMBERED_MS } from "./bucket/entries.ts";
import type { Step, StepEvent, StepReply, StoreReply, StoreRequest } from "./request.ts";
import type { StoredState } from "./state.ts";
import { decodeState, encodeState } from "./encoding/state.ts";

const QUOTA: LimitSpec = { algorithm: "budget", quota: 2, ttlMs: 1000, ttlFrom: "last" };
const FIXED: LimitSpec = { algorithm: "fixed-window", quota: 2, windowMs: 1000, align: "first-use" };
const SLIDING: LimitSpec = { algorithm: "sliding-window", quota: 2, windowMs: 1000 };
const TOKEN_BUCKET: LimitSpec = { algorithm: "token-bucket", burst: 5, levelPerUnit: 10, levelPerMs: 1 };
const SLOTS: LimitSpec = { algorithm: "concurrency", quota: 2 };
const ELAPSED: LimitSpec = { algorithm: "elapsed", quota: 50, ttlMs: 100 };
const STREAK: LimitSpec = { algorithm: "streak", quota: 2, ttlMs: 100 };
const CALENDAR: LimitSpec = { algorithm: "fixed-window", quota: 2, align: "calendar", boundaries: [1000, 1031, 1059] };

const A = "00000000000000aa";
const B = "00000000000000bb";
const C = "00000000000000cc";
const READ: StepEvent = { type: "read" };

function take(cost: number): StepEvent {
  return { type: "charge", cost };
}

function count(seen: string, cost = 1): StepEvent {
  return { type: "charge", cost, seen };
}

function report(outcome: string | null): StepEvent {
  return { type: "report", outcome };
}

function grant(id: string, units: number, leaseMs = 100): StepEvent {
  return { type: "grant", id, units, leaseMs };
}

function hold(id: string, units: number, leaseMs = 100): StepEvent {
  return { type: "hold", id, units, leaseMs, onExpiry: "charge" };
}

function counter(spent: number, seen: string, expiresAtMs = 2000): CounterState {
  return { kind: "counter", spent, expiresAtMs, seen };
}

/** A store of text, whose buckets are named in the order of the steps. */
function store(...limits: LimitSpec[]) {
  const texts = new Map<number, { text: string; expiresAtMs: number }>();
  const stateAt = (i: number): StoredState | undefined => {
    const kept = texts.get(i);
    return kept === undefined ? undefined : (decodeState(kept.text, kept.expiresAtMs) ?? assert.fail(kept.text));
  };
  const apply = (
    mode: StoreRequest["mode"],
    steps: readonly (StepEvent | Partial<Step>)[],
    nowMs: number,
  ): StoreReply => {
    const full = steps.map((step, i): Step => {
      const limit = limits[i] ?? assert.fail();
      return { bucket: String(i), limit, ...("type" in step ? { event: step } : { event: READ, ...step }) };
    });
    const states = full.map((_, i) => stateAt(i));
    const { reply, next } = decide({ mode, steps: full }, states, nowMs);
    for (const [i, state] of (next ?? []).entries()) {
      if (state === undefined) texts.delete(i);
      else texts.set(i, { text: encodeState(state), expiresAtMs: state.expiresAtMs });
      if (state !== undefined) assert.deepEqual(stateAt(i), state);
    }
    return reply ?? assert.fail("no room");
  };
  return {
    apply,
    /** Judges one event on the first bucket. */
    judge: (event: StepEvent, nowMs: number) => firstOf(apply("judge", [event], nowMs)),
    peek: (event: StepEvent, nowMs: number) => firstOf(apply("peek", [event], nowMs)),
    force: (event: StepEvent, nowMs: number) => firstOf(apply("force", [event], nowMs)),
    texts: () => [...texts.values()].map(({ text }) => text),
  };
}

function firstOf({ steps }: StoreReply): StepReply {
  return steps[0] ?? assert.fail();
}

function stands({ allowed, used, retryAfterMs }: StepReply) {
  return [allowed, used, retryAfterMs];
}

describe("counting values", () => {
  it("charges each value once, and allows a seen value also when nothing is left", () => {
    for (const limit of [QUOTA, FIXED]) {
      const { judge, texts } = store(limit);
      assert.deepEqual(stands(judge(count(A), 1000)), [true, 1, 0]);
      assert.deepEqual(stands(judge(count(A), 1000)), [true, 1, 0]);
      assert.deepEqual(stands(judge(count(B), 1000)), [true, 2, 0]);
      assert.deepEqual(stands(judge(count(C), 1000)), [false, 2, 1000]);
      assert.deepEqual(stands(judge(count(A), 1000)), [true, 2, 0]);
      assert.deepEqual(texts(), [`c1 2 ${A},${B}`]);
      assert.deepEqual(stands(judge(count(C), 1999)), [false, 2, 1]);
      assert.deepEqual(stands(judge(count(C), 2000)), [true, 1, 0]);
    }
  });

  it("does not change the bucket for a seen value, not even its end", () => {
    const { judge } = store(QUOTA);
    judge(count(A), 1000);
    assert.equal(judge(count(A), 1900).resetAfterMs, 100);
    assert.deepEqual(stands(judge(count(A), 2000)), [true, 1, 0]);
  });

  it("marks nothing when another step denies, nor in a peek, nor when it is denied itself", () => {
    const { apply, texts, peek } = store(QUOTA, { ...QUOTA, quota: 0 });
    assert.equal(apply("judge", [count(A), take(1)], 1000).allowed, false);
    assert.deepEqual(stands(peek(count(A), 1000)), [true, 1, 0]);
    assert.deepEqual(texts(), []);
    apply("judge", [count(A, 2)], 1000);
    apply("judge", [count(B)], 1000);
    assert.deepEqual(texts(), [`c1 2 ${A}`]);
  });

  it("marks nothing for a cost of 0 where nothing was counted before", () => {
    const { judge, texts } = store(QUOTA);
    assert.deepEqual(stands(judge(count(A, 0), 1000)), [true, 0, 0]);
    assert.deepEqual(texts(), []);
    judge(count(B), 1000);
    judge(count(A, 0), 1000);
    assert.deepEqual(texts(), [`c1 1 ${B},${A}`]);
  });

  it("counts a forced value past the quota, and one beyond those that it remembers again and again", () => {
    const { force } = store(QUOTA);
    for (const [i, mark] of [A, B, C].entries()) {
      assert.deepEqual(stands(force(count(mark), 1000)), [i < 2, i + 1, i < 2 ? 0 : 1000]);
    }
    assert.deepEqual(stands(force(count(C), 1000)), [true, 3, 0]);

    const marks = Array.from({ length: MAX_SEEN }, (_, i) => i.toString(16).padStart(16, "f"));
    const full = counter(MAX_SEEN, marks.join(","));
    const limit: LimitSpec = { ...QUOTA, quota: MAX_SEEN };
    const request: StoreRequest = { mode: "force", steps: [{ bucket: "b", limit, event: count(A) }] };
    const once = decide(request, [full], 1000);
    assert.deepEqual(once.next, [{ ...full, spent: MAX_SEEN + 1 }]);
    const twice = decide(request, once.next ?? [], 1000);
    assert.deepEqual([twice.reply?.steps[0]?.allowed, twice.reply?.steps[0]?.used], [false, MAX_SEEN + 2]);
  });

  it("is a charge like any other for an algorithm that counts no values", () => {
    for (const limit of [SLIDING, { ...TOKEN_BUCKET, burst: 2 }] satisfies LimitSpec[]) {
      const { judge } = store(limit);
      const passed = [1, 2, 3].map(() => judge(count(A), 1000).allowed);
      assert.deepEqual(passed, [true, true, false], limit.algorithm);
    }
  });

  it("remembers what it has seen beside holds and grants", () => {
    const { judge, texts } = store(QUOTA);
    judge(count(A), 1000);
    judge(hold("h", 1), 1000);
    assert.deepEqual(stands(judge(count(A), 1000)), [true, 2, 0]);
    // The hold will be charged at its end, and the bucket live on from then.
    assert.deepEqual(stands(judge(count(B), 1000)), [false, 2, 1100]);
    judge(grant("g", 1), 1000);
    assert.deepEqual(stands(judge(count(B), 1000)), [true, 3, 0]);
    assert.deepEqual(texts(), [`h1 c h,1,1100,c100;g,1,1100,g100 2000 c1 2 ${A},${B}`]);
  });
});

describe("reports", () => {
  it("deny calls after a number of equal outcomes in a row, until another or no outcome, or the ttl", () => {
    const cases: [string, outcomes: (string | null)[], allowed: boolean, used: number][] = [
      ["none", [], true, 0],
      ["one", ["error"], true, 1],
      ["two", ["error", "error"], false, 2],
      ["three", ["error", "error", "error"], false, 3],
      ["another one between them", ["error", "ok", "error"], true, 1],
      ["another one after them", ["error", "error", "ok"], true, 1],
      ["none between them", ["error", null, "error"], true, 1],
      ["none after them", ["error", "error", null], true, 0],
      ["none at all", [null, null], true, 0],
    ];
    for (const [name, outcomes, allowed, used] of cases) {
      const { judge } = store(STREAK);
      for (const outcome of outcomes) assert.equal(judge(report(outcome), 1000).allowed, true, name);
      assert.deepEqual(stands(judge(take(1), 1040)), [allowed, used, allowed ? 0 : 60], name);
      assert.equal(judge(take(1), 1099).allowed, allowed, name);
      assert.deepEqual(stands(judge(take(1), 1100)), [true, 0, 0], name);
    }
  });

  it("reply with the length of the streak, and forget it a ttl after the last outcome", () => {
    const { judge, texts } = store(STREAK);
    assert.deepEqual(judge(report("error"), 1000), { allowed: true, used: 1, resetAfterMs: 100, retryAfterMs: 0 });
    assert.deepEqual(texts(), ["k1 error 1"]);
    assert.deepEqual(judge(report("error"), 1099), { allowed: true, used: 2, resetAfterMs: 100, retryAfterMs: 0 });
    assert.equal(judge(take(1), 1198).allowed, false);
    assert.deepEqual(judge(report(null), 1198), { allowed: true, used: 0, resetAfterMs: 0, retryAfterMs: 0 });
    assert.deepEqual(texts(), []);
  });

  it("are not changed by calls, and change nothing in a peek", () => {
    const { judge, peek, texts } = store(STREAK);
    judge(take(1), 1000);
    assert.equal(peek(report("error"), 1000).used, 1);
    assert.deepEqual(texts(), []);
    judge(report("error"), 1000);
    judge(take(1), 1050);
    assert.deepEqual(texts(), ["k1 error 1"]);
    assert.equal(judge(READ, 1099).used, 1);
    assert.equal(judge(READ, 1100).used, 0);
  });

  it("have no effect on limits of other algorithms", () => {
    for (const limit of [QUOTA, FIXED, SLIDING, TOKEN_BUCKET, SLOTS, ELAPSED]) {
      const { judge, texts } = store(limit);
      judge(report("error"), 1000);
      assert.deepEqual(texts(), [], limit.algorithm);
      judge(take(1), 1000);
      const before = texts();
      for (const outcome of ["error", "error", null]) assert.equal(judge(report(outcome), 1000).allowed, true);
      assert.deepEqual(texts(), before, limit.algorithm);
    }
  });

  it("change only the bucket of a streak, whatever it had before", () => {
    const state: StoredState = { kind: "counter", spent: 2, expiresAtMs: 2000 };
    const request: StoreRequest = { mode: "judge", steps: [{ bucket: "b", limit: STREAK, event: report("error") }] };
    const { next } = decide(request, [state], 1000);
    assert.deepEqual(next, [{ kind: "streak", outcome: "error", count: 1, expiresAtMs: 1100 }]);
  });
});

describe("elapsed time", () => {
  it("begins with the first charge, also of nothing, and ends when the scope was idle", () => {
    const { judge, texts } = store(ELAPSED);
    assert.deepEqual(judge(take(0), 1000), { allowed: true, used: 0, resetAfterMs: 0, retryAfterMs: 0 });
    assert.deepEqual(texts(), ["e1 1000"]);
    assert.deepEqual(judge(take(0), 1049), { allowed: true, used: 49, resetAfterMs: 100, retryAfterMs: 0 });
    assert.deepEqual(judge(take(0), 1050), { allowed: false, used: 50, resetAfterMs: 99, retryAfterMs: null });
    assert.equal(judge(take(0), 1148).allowed, false);
    assert.deepEqual(stands(judge(take(0), 1149)), [true, 0, 0]);
    assert.deepEqual(texts(), ["e1 1149"]);
  });

  it("does not begin with a peek, a read, or a call that another limit denies", () => {
    const { apply, texts } = store(ELAPSED, { ...QUOTA, quota: 0 });
    apply("peek", [take(0)], 1000);
    apply("judge", [READ], 1000);
    apply("judge", [take(0), take(1)], 1000);
    assert.deepEqual(texts(), []);
  });

  it("never comes back by waiting for a cost that fits the quota", () => {
    const { judge } = store(ELAPSED);
    judge(take(0), 1000);
    assert.equal(judge(take(50), 1001).retryAfterMs, null);
    assert.equal(store({ ...ELAPSED, quota: 0 }).judge(take(0), 1000).retryAfterMs, null);
  });

  it("is extended by grants", () => {
    const { judge } = store(ELAPSED);
    judge(take(0), 1000);
    judge(grant("g", 20, 500), 1000);
    assert.deepEqual(stands(judge(take(0), 1069)), [true, 69, 0]);
    assert.deepEqual(stands(judge(take(0), 1070)), [false, 70, null]);
  });
});

describe("grants", () => {
  it("add to the capacity, once for an id, until they end", () => {
    for (const limit of [QUOTA, FIXED, SLIDING]) {
      const { judge } = store(limit);
      judge(take(2), 1000);
      const granted = judge(grant("g", 3), 1000);
      assert.deepEqual([granted.allowed, granted.used, granted.granted], [true, 2, 3], limit.algorithm);
      assert.equal(judge(grant("g", 3), 1001).granted, 3);
      assert.equal(judge(grant("g2", 1), 1001).granted, 4);
      const { allowed, used, granted: extra } = judge(take(4), 1001);
      assert.deepEqual([allowed, used, extra], [true, 6, 4]);
      assert.deepEqual([judge(take(1), 1099).allowed, judge(READ, 1099).granted], [false, 4]);
      assert.deepEqual([judge(READ, 1100).granted, judge(READ, 1101).granted], [1, undefined]);
      assert.equal(judge(take(1), 1101).allowed, false);
      assert.equal(judge(grant("g", 3), 1101).granted, undefined, "the id is known although it has ended");
    }
  });

  it("of no units are ignored", () => {
    const { judge, texts } = store(QUOTA);
    assert.equal(judge(grant("g", 0), 1000).granted, undefined);
    assert.deepEqual(texts(), []);
    assert.equal(judge(grant("g", 1), 1000).granted, 1);
  });

  it("reply whether their id is free, of the same grant, or taken", () => {
    for (const limit of [QUOTA, FIXED, SLIDING]) {
      const { judge } = store(limit);
      const found = (units: number, leaseMs: number, nowMs: number) => judge(grant("g", units, leaseMs), nowMs).found;
      assert.deepEqual([found(3, 5000, 1000), found(3, 5000, 1001)], ["unknown", "live"], limit.algorithm);
      assert.deepEqual([found(4, 5000, 1001), found(3, 5001, 1001)], ["late", "late"]);
      judge({ type: "revoke", id: "g" }, 1002);
      assert.equal(found(3, 5000, 1003), "late");
      judge(hold("h", 1), 1000);
      assert.equal(judge(grant("h", 1), 1001).found, "late");
    }
  });

  it("are remembered by id for ten minutes after their end", () => {
    const { judge } = store({ ...QUOTA, ttlMs: 5 * REMEMBERED_MS });
    judge(grant("g", 1), 1000);
    assert.equal(judge(grant("g", 1), 1099 + REMEMBERED_MS).granted, undefined);
    assert.equal(judge(grant("g", 1), 1100 + REMEMBERED_MS).granted, 1);
  });

  it("add no more than 2^53 - 1 units", () => {
    const { judge } = store(QUOTA);
    for (const id of ["a", "b"]) judge(grant(id, Number.MAX_SAFE_INTEGER), 1000);
    assert.equal(judge(READ, 1000).granted, Number.MAX_SAFE_INTEGER);
    assert.equal(judge(take(Number.MAX_SAFE_INTEGER), 1000).allowed, true);
  });

  it("end with the window, also with an unused one", () => {
    const epoch: LimitSpec = { ...FIXED, align: "epoch" };
    const cases: [string, LimitSpec, spent: number, endMs: number][] = [
      ["a window that began before", FIXED, 1, 1950],
      ["one that would begin now", FIXED, 0, 2000],
      ["the one of the epoch", epoch, 0, 2000],
      ["a calendar's", CALENDAR, 0, 1031],
      ["a quota's life", QUOTA, 1, 6000],
    ];
    for (const [name, limit, spent, endMs] of cases) {
      const { judge, texts } = store(limit);
      if (spent > 0) judge(take(spent), 950);
      judge(grant("g", 3, 5000), 1000);
      assert.ok(texts()[0]?.startsWith(`h1 c g,3,${endMs},g`), `${name}: ${texts()}`);
      assert.equal(judge(READ, endMs - 1).granted, 3, name);
      assert.equal(judge(READ, endMs).granted, undefined, name);
    }
  });

  it("fill a token bucket at once, at most to its burst", () => {
    const { judge } = store(TOKEN_BUCKET);
    judge(take(4), 1000);
    const granted = judge(grant("g", 3), 1000);
    assert.deepEqual(granted, { allowed: true, used: 1, resetAfterMs: 10, retryAfterMs: 0, found: "unknown" });
    const [again, other] = [judge(grant("g", 3), 1000), judge(grant("g", 2), 1000)];
    assert.deepEqual([again.used, again.found], [1, "live"], "once for an id");
    assert.deepEqual([other.used, other.found], [1, "late"]);
    assert.equal(judge(grant("g2", 3), 1000).used, 0);
    assert.deepEqual(stands(judge(take(6), 1000)), [false, 0, null]);
    assert.equal(judge(take(5), 1000).used, 5);
    assert.deepEqual(stands(judge(take(1), 1000)), [false, 5, 10]);
  });

  it("add nothing to a full token bucket, and are remembered", () => {
    const { judge } = store(TOKEN_BUCKET);
    assert.deepEqual(stands(judge(grant("g", 3), 1000)), [true, 0, 0]);
    judge(take(5), 1001);
    assert.equal(judge(grant("g", 3), 1002).used, 5);
  });

  it("lower everything that was held in a token bucket with it, so that nothing comes back twice", () => {
    const { judge, texts } = store(TOKEN_BUCKET);
    judge(hold("h", 2), 1000);
    judge(take(3), 1000);
    judge(grant("g", 4), 1000);
    assert.equal(texts()[0], "h1 g h,2,1100,c100,1000,0,10;g,4,1100,G100 1010 g1 1000 10 10");
    const settled = judge({ type: "settle", id: "h", units: 0 }, 1000);
    assert.deepEqual([settled.used, settled.found], [1, "live"]);
  });

  it("are added to an overshoot", () => {
    const { judge, force } = store(QUOTA);
    force(take(5), 1000);
    assert.deepEqual(stands(judge(take(1), 1000)), [false, 5, 1000]);
    const granted = judge(grant("g", 3), 1000);
    assert.deepEqual([granted.used, granted.granted], [5, 3]);
    assert.equal(judge(take(1), 1000).allowed, false);
    judge(grant("g2", 1), 1000);
    assert.equal(judge(take(1), 1000).allowed, true);
    assert.deepEqual(stands(judge(take(0), 1100)), [false, 6, 900]);
  });

  it("do not count for a promised instant after their end", () => {
    const fixed: LimitSpec = { ...FIXED, quota: 5 };
    const cases: [string, leaseMs: number, spent: number, cost: number, retryAfterMs: number | null][] = [
      ["as much as the quota, when the window ends", 50, 6, 5, 1000],
      ["more than the quota, where the grant ends before", 50, 3, 7, null],
      ["more than both together", 50, 3, 9, null],
      ["more than the quota, where both end at once", 1000, 3, 7, null],
    ];
    for (const [name, leaseMs, spent, cost, retryAfterMs] of cases) {
      const { judge, force, peek } = store(fixed);
      force(take(spent), 1000);
      judge(grant("g", 3, leaseMs), 1000);
      assert.deepEqual(stands(judge(take(cost), 1000)), [false, spent, retryAfterMs], name);
      for (const ms of [49, 50, 51, 999, 1000, 1001]) {
        assert.equal(
          peek(take(cost), 1000 + ms).allowed,
          retryAfterMs !== null && ms >= retryAfterMs,
          `${name}: ${ms}`,
        );
      }
    }
    // A life that ends while the grant goes on.
    const { judge, peek } = store({ ...QUOTA, quota: 5, ttlMs: 100 });
    judge(take(3), 1000);
    judge(grant("g", 3, 101), 1000);
    assert.deepEqual(stands(judge(take(7), 1000)), [false, 3, 100]);
    assert.deepEqual(
      [99, 100, 101].map((ms) => peek(take(7), 1000 + ms).allowed),
      [false, true, false],
    );
    // One that ends at the very instant.
    const other = store({ ...QUOTA, quota: 5, ttlMs: 100 });
    other.judge(take(3), 1000);
    other.judge(grant("g", 3, 100), 1000);
    assert.deepEqual(stands(other.judge(take(7), 1000)), [false, 3, null]);
    assert.equal(other.peek(take(7), 1100).allowed, false);
  });

  it("leave the whole quota free where they cover what is spent", () => {
    const { judge } = store(QUOTA);
    judge(take(2), 1000);
    assert.equal(judge(grant("g", 1), 1000).resetAfterMs, 1000);
    assert.equal(judge(grant("g2", 1), 1000).resetAfterMs, 0);
    assert.equal(judge(READ, 1100).resetAfterMs, 900);
  });

  it("replace expired holds, and are refused among 1,000 live ones", () => {
    const limit: LimitSpec = { ...QUOTA, quota: 5_000 };
    const entriesOf = (expired: boolean) =>
      Array.from({ length: 1_000 }, (_, i) => {
        const end = { kind: "reservation", expiresAtMs: 1050, onExpiry: "refund", levelAfter: null } as const;
        return { id: `h${i}`, units: 1, ...end, expired: expired && i === 0 };
      });
    const ask: StoreRequest = { mode: "judge", steps: [{ bucket: "b", limit, event: grant("g", 1) }] };
    const state = (expired: boolean): StoredState => {
      return { kind: "held", expiresAtMs: 700_000, of: "counter", spent: undefined, entries: entriesOf(expired) };
    };
    assert.deepEqual(decide(ask, [state(false)], 1000), { reply: null, next: null });
    const { next } = decide(ask, [state(true)], 1000);
    const made = next?.[0]?.kind === "held" ? next[0].entries : [];
    assert.deepEqual([made.length, made[0]?.id, made.at(-1)?.id], [1_000, "h1", "g"]);
  });

  it("are gone after a reset", () => {
    const { judge, texts } = store(QUOTA);
    judge(grant("g", 3), 1000);
    assert.equal(judge({ type: "reset" }, 1000).granted, 3);
    assert.deepEqual(texts(), []);
    assert.equal(judge(grant("g", 3), 1000).granted, 3);
  });

  const revoke = (id: string): StepEvent => ({ type: "revoke", id });

  it("are listed by a read, sorted by their ends", () => {
    const { judge } = store(QUOTA);
    judge(grant("late", 3, 90), 1000);
    const soon = { id: "soon", units: 1, endsInMs: 40 };
    assert.deepEqual(judge(grant("soon", 1, 40), 1000).grants, [soon, { id: "late", units: 3, endsInMs: 90 }]);
    assert.equal(judge(take(1), 1000).grants, undefined);
    assert.deepEqual(judge(READ, 1040).grants, [{ id: "late", units: 3, endsInMs: 50 }]);
    assert.equal(judge(READ, 1090).grants, undefined);
  });

  it("end when they are revoked, and do not come back when they are sent again", () => {
    const { judge, texts } = store(QUOTA);
    judge(grant("g", 3), 1000);
    judge(take(4), 1000);
    const { allowed, found, used, granted, grants } = judge(revoke("g"), 1010);
    assert.deepEqual([allowed, found, used, granted, grants], [true, "live", 4, undefined, undefined]);
    assert.deepEqual(texts(), ["h1 c g,3,1010,G100 2000 4"]);
    assert.equal(judge(grant("g", 3), 1011).granted, undefined);
    assert.equal(judge(revoke("g"), 1011).found, "late");
    assert.equal(judge(grant("g", 3), 1010 + REMEMBERED_MS).granted, 3);
  });

  it("are separate from holds: a revoke ends no hold with the same id", () => {
    const { judge, texts } = store(QUOTA);
    assert.equal(judge(revoke("h"), 1000).found, "unknown");
    judge(grant("h", 3), 1000);
    judge(hold("h", 1), 1000);
    assert.equal(judge(revoke("h"), 1000).found, "live");
    assert.deepEqual(texts(), ["h1 c h,3,1000,G100;h,1,1100,c100"]);
    assert.equal(judge(revoke("h"), 1000).found, "late");
  });

  it("of a token bucket have ended when they are made: they cannot be revoked", () => {
    const { judge } = store(TOKEN_BUCKET);
    judge(take(5), 1000);
    assert.deepEqual([judge(grant("g", 3), 1000).grants, judge(revoke("g"), 1000).found], [undefined, "late"]);
    assert.equal(judge(READ, 1000).used, 2);
  });
});

describe("a step in shadow", () => {
  const inShadow = (cost: number): Partial<Step> => ({ event: take(cost), shadow: true });

  it("denies nothing, and is booked past its quota when the others allow", () => {
    const { apply } = store(QUOTA, { ...QUOTA, quota: 9 });
    for (const [allowed, used] of [
      [true, 2],
      [false, 4],
      [false, 6],
    ] as const) {
      const reply = apply("judge", [inShadow(2), take(2)], 1000);
      assert.deepEqual([reply.allowed, reply.steps[0]?.allowed, reply.steps[0]?.used], [true, allowed, used]);
      assert.equal(reply.steps[0]?.retryAfterMs, allowed ? 0 : 1000);
    }
  });

  it("is not booked when another step denies", () => {
    const { apply, texts } = store(QUOTA, { ...QUOTA, quota: 1 });
    const reply = apply("judge", [inShadow(1), take(2)], 1000);
    assert.deepEqual([reply.allowed, reply.steps[0]?.allowed, reply.steps[0]?.used], [false, true, 0]);
    assert.deepEqual(texts(), []);
  });

  it("is booked where a request is forced, and not where it is peeked at", () => {
    const { apply, texts } = store(QUOTA, { ...QUOTA, quota: 0 });
    const peeked = apply("peek", [inShadow(3)], 1000);
    assert.deepEqual([peeked.allowed, peeked.steps[0]?.used, texts()], [true, 3, []]);
    const forced = apply("force", [inShadow(3), take(1)], 1000);
    assert.deepEqual([forced.allowed, forced.steps[0]?.allowed, texts()], [false, false, ["3", "1"]]);
  });

  it("is enforced unless it says so", () => {
    const { apply } = store(QUOTA);
    assert.equal(apply("judge", [{ event: take(3), shadow: false }], 1000).allowed, false);
  });
});

describe("windows of a calendar", () => {
  const ask = (nowMs: number, state?: StoredState, more: Partial<StoreRequest> = {}) => {
    const steps: Step[] = [
      { bucket: "a", limit: QUOTA, event: take(1) },
      { bucket: "b", limit: CALENDAR, event: take(1) },
    ];
    return decide({ mode: "judge", steps, ...more }, [undefined, state], nowMs);
  };

  it("decide nothing outside of the boundaries, for any request", () => {
    for (const nowMs of [0, 999, 1059, 5000]) {
      for (const mode of ["judge", "peek", "force"] as const) {
        const reply = { allowed: false, stale: true, nowMs, steps: [] };
        assert.deepEqual(ask(nowMs, undefined, { mode }), { reply, next: null });
      }
    }
    for (const nowMs of [1000, 1031, 1058]) assert.equal(ask(nowMs).reply?.stale, undefined);
  });

  it("still repeat a kept answer", () => {
    const once = { key: "k", request: "r" };
    const steps: Step[] = [{ bucket: "b", limit: CALENDAR, event: take(1) }];
    const first = decide({ mode: "judge", steps, once }, [undefined, undefined], 1058);
    const again = decide({ mode: "judge", steps, once }, first.next ?? [], 1059);
    assert.deepEqual(again.reply, { ...first.reply, replay: { request: "r", hold: null, units: [1] } });
  });

  it("start again at each boundary", () => {
    const { judge } = store(CALENDAR);
    assert.deepEqual(judge(take(2), 1000), { allowed: true, used: 2, resetAfterMs: 31, retryAfterMs: 0 });
    assert.deepEqual(stands(judge(take(1), 1030)), [false, 2, 1]);
    assert.deepEqual(judge(take(2), 1031), { allowed: true, used: 2, resetAfterMs: 28, retryAfterMs: 0 });
    assert.deepEqual(stands(judge(take(1), 1058)), [false, 2, 1]);
  });

  it("charge a hold to the window that it ended in", () => {
    const { judge } = store(CALENDAR);
    judge(hold("h", 2, 20), 1000);
    assert.deepEqual(stands(judge(take(1), 1025)), [false, 2, 6]);
    assert.deepEqual(stands(judge(take(1), 1031)), [true, 1, 0]);
    const later = store(CALENDAR);
    later.judge(hold("h", 2, 20), 1020);
    assert.deepEqual(stands(later.judge(take(1), 1030)), [false, 2, 29]);
    assert.deepEqual(stands(later.judge(take(1), 1058)), [false, 2, 1]);
  });

  it("ignore a hold that ended in a past window", () => {
    const held = {
      kind: "reservation",
      id: "h",
      units: 2,
      expiresAtMs: 990,
      onExpiry: "charge",
      expired: false,
      levelAfter: null,
    } as const;
    const state: StoredState = { kind: "held", expiresAtMs: 700_000, of: "counter", spent: undefined, entries: [held] };
    assert.deepEqual(ask(1000, state).reply?.steps[1]?.used, 1);
  });
});
