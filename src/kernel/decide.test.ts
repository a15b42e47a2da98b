import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CounterState } from "./algorithms/rules/counter.ts";
import type { LimitSpec } from "./algorithms/registry.ts";
import { decide } from "./decide.ts";
import type { Step, StepEvent, StepReply, StoreRequest } from "./request.ts";
import type { StoredState } from "./state.ts";

const QUOTA: LimitSpec = { algorithm: "budget", quota: 5, ttlMs: 100, ttlFrom: "last" };
const SLIDING: LimitSpec = { algorithm: "sliding-window", quota: 5, windowMs: 100 };
const TOKEN_BUCKET: LimitSpec = { algorithm: "token-bucket", burst: 5, levelPerUnit: 10, levelPerMs: 3 };
const READ: StepEvent = { type: "read" };
const RESET: StepEvent = { type: "reset" };

function take(cost: number): StepEvent {
  return { type: "charge", cost };
}

function hold(id: string, units: number): StepEvent {
  return { type: "hold", id, units, leaseMs: 50, onExpiry: "charge" };
}

function counter(spent: number, expiresAtMs = 1100): CounterState {
  return { kind: "counter", spent, expiresAtMs };
}

function ask(mode: StoreRequest["mode"], ...asked: [LimitSpec, StepEvent][]): StoreRequest {
  return { mode, steps: asked.map(([limit, event], i): Step => ({ bucket: `bucket-${i}`, limit, event })) };
}

function reply(allowed: boolean, used: number, resetAfterMs: number, retryAfterMs: number | null): StepReply {
  return { allowed, used, resetAfterMs, retryAfterMs };
}

describe("decide", () => {
  it("judges one charge", () => {
    const cases: [string, StoredState | undefined, cost: number, nowMs: number, StepReply, StoredState | null][] = [
      ["no state", undefined, 2, 1000, reply(true, 2, 100, 0), counter(2)],
      ["all of it", undefined, 5, 1000, reply(true, 5, 100, 0), counter(5)],
      ["more than all of it", undefined, 6, 1000, reply(false, 0, 0, null), null],
      ["the rest", counter(3), 2, 1010, reply(true, 5, 100, 0), counter(5, 1110)],
      ["more than the rest", counter(3), 3, 1010, reply(false, 3, 90, 90), null],
      ["as much as the capacity", counter(1), 5, 1010, reply(false, 1, 90, 90), null],
      ["more than the capacity", counter(1), 6, 1010, reply(false, 1, 90, null), null],
      ["one ms before the state ends", counter(5), 1, 1099, reply(false, 5, 1, 1), null],
      ["when the state ends", counter(5), 1, 1100, reply(true, 1, 100, 0), counter(1, 1200)],
      [
        "a state of another kind",
        { ...counter(5), kind: "token-bucket" } as never,
        1,
        1000,
        reply(true, 1, 100, 0),
        counter(1),
      ],
      ["past a lowered quota", counter(7), 1, 1010, reply(false, 7, 90, 90), null],
      ["no price, something left", counter(4), 0, 1010, reply(true, 4, 90, 0), null],
      ["no price, nothing left", counter(5), 0, 1010, reply(false, 5, 90, 90), null],
      ["no price, no state", undefined, 0, 1000, reply(true, 0, 0, 0), null],
      ["the largest cost", counter(1), Number.MAX_SAFE_INTEGER, 1010, reply(false, 1, 90, null), null],
    ];
    for (const [name, state, cost, nowMs, expected, next] of cases) {
      const judged = decide(ask("judge", [QUOTA, take(cost)]), [state], nowMs);
      const firm = expected.allowed ? {} : { firm: true };
      assert.deepEqual(judged.reply, { allowed: expected.allowed, nowMs, ...firm, steps: [expected] }, name);
      assert.deepEqual(judged.next, next === null ? null : [next], name);
      const peeked = decide(ask("peek", [QUOTA, take(cost)]), [state], nowMs);
      assert.deepEqual(peeked, { reply: judged.reply, next: null }, `${name}: peeked`);
    }
  });

  it("never lets a call pass whose quota is 0", () => {
    const specs: LimitSpec[] = [
      { ...QUOTA, quota: 0 },
      { algorithm: "fixed-window", quota: 0, windowMs: 100, align: "epoch" },
      { ...SLIDING, quota: 0 },
      { ...TOKEN_BUCKET, burst: 0 },
      { algorithm: "concurrency", quota: 0 },
    ];
    for (const spec of specs) {
      for (const units of [0, 1, 9]) {
        for (const event of [take(units), hold("a", units)]) {
          const { reply: given, next } = decide(ask("judge", [spec, event]), [undefined], 1000);
          const firm = spec.algorithm === "concurrency" ? {} : { firm: true };
          assert.deepEqual(given, { allowed: false, nowMs: 1000, ...firm, steps: [reply(false, 0, 0, null)] });
          assert.equal(next, null);
        }
      }
    }
  });

  it("books all or none, and judges every step also after one denies", () => {
    const request = ask("judge", [QUOTA, take(3)], [QUOTA, take(1)], [TOKEN_BUCKET, take(2)]);
    const denied = decide(request, [counter(3), counter(1), undefined], 1000);
    assert.deepEqual(denied.reply, {
      allowed: false,
      nowMs: 1000,
      firm: true,
      steps: [reply(false, 3, 100, 100), reply(true, 1, 100, 0), reply(true, 0, 0, 0)],
    });
    assert.equal(denied.next, null);

    const allowed = decide(request, [counter(2), counter(1), undefined], 1000);
    assert.deepEqual(allowed.reply, {
      allowed: true,
      nowMs: 1000,
      steps: [reply(true, 5, 100, 0), reply(true, 2, 100, 0), reply(true, 2, 7, 0)],
    });
    const level: StoredState = { kind: "token-bucket", expiresAtMs: 1007, baseMs: 1000, level: 20, levelPerUnit: 10 };
    assert.deepEqual(allowed.next, [counter(5), counter(2), level]);
  });

  it("forces: books in any case, and says what would have been allowed", () => {
    const most = Number.MAX_SAFE_INTEGER;
    const cases: [string, StoredState | undefined, cost: number, nowMs: number, StepReply, StoredState | null][] = [
      ["as much as fits", counter(3), 2, 1010, reply(true, 5, 100, 0), counter(5, 1110)],
      ["more than the rest", counter(3), 3, 1010, reply(false, 6, 100, 100), counter(6, 1110)],
      ["as much as the capacity", counter(5), 5, 1010, reply(false, 10, 100, 100), counter(10, 1110)],
      ["more than the capacity", undefined, 6, 1000, reply(false, 6, 100, null), counter(6)],
      ["onto debt", counter(7), 1, 1010, reply(false, 8, 100, 100), counter(8, 1110)],
      ["when the debt ends", counter(7), 1, 1100, reply(true, 1, 100, 0), counter(1, 1200)],
      ["no price, something left", counter(4), 0, 1010, reply(true, 4, 90, 0), null],
      ["no price, nothing left", counter(5), 0, 1010, reply(false, 5, 90, 90), null],
      ["no price, no state", undefined, 0, 1000, reply(true, 0, 0, 0), null],
      ["past all numbers", counter(1), most, 1010, reply(false, most, 100, null), counter(most, 1110)],
    ];
    for (const [name, state, cost, nowMs, expected, next] of cases) {
      const forced = decide(ask("force", [QUOTA, take(cost)]), [state], nowMs);
      assert.deepEqual(forced.reply, { allowed: expected.allowed, nowMs, steps: [expected] }, name);
      assert.deepEqual(forced.next, next === null ? null : [next], name);
    }
  });

  it("forces all steps of a request, also those beside a step that would be denied", () => {
    const request = ask(
      "force",
      [QUOTA, take(3)],
      [QUOTA, take(1)],
      [TOKEN_BUCKET, take(7)],
      [QUOTA, READ],
      [QUOTA, RESET],
    );
    const { reply: given, next } = decide(request, [counter(3), counter(1), undefined, counter(4), counter(9)], 1000);
    assert.deepEqual(given, {
      allowed: false,
      nowMs: 1000,
      steps: [
        reply(false, 6, 100, 100),
        reply(true, 2, 100, 0),
        reply(false, 7, 24, null),
        reply(true, 4, 100, 0),
        reply(true, 9, 100, 0),
      ],
    });
    const level: StoredState = { kind: "token-bucket", expiresAtMs: 1024, baseMs: 1000, level: 70, levelPerUnit: 10 };
    assert.deepEqual(next, [counter(6), counter(2), level, counter(4), undefined]);
  });

  it("makes, settles and extends holds of several buckets all or none", () => {
    const make = ask("judge", [QUOTA, hold("a", 2)], [TOKEN_BUCKET, hold("a", 2)], [QUOTA, take(3)]);
    const denied = decide(make, [undefined, undefined, counter(3)], 1000);
    assert.deepEqual(
      denied.reply?.steps.map((step) => [step.allowed, step.used]),
      [
        [true, 0],
        [true, 0],
        [false, 3],
      ],
    );
    assert.equal(denied.next, null);
    const made = decide(make, [undefined, undefined, counter(2)], 1000);
    assert.deepEqual(made.reply?.steps, [reply(true, 2, 150, 0), reply(true, 2, 7, 0), reply(true, 5, 100, 0)]);
    const states = made.next ?? [];

    const settle: StepEvent = { type: "settle", id: "a", units: 1 };
    const beside = decide(ask("judge", [QUOTA, settle], [TOKEN_BUCKET, settle], [QUOTA, take(1)]), states, 1001);
    assert.deepEqual(beside.reply?.steps, [
      { ...reply(true, 2, 149, 0), found: "live" },
      { ...reply(true, 2, 6, 0), found: "live" },
      reply(false, 5, 99, 99),
    ]);
    assert.equal(beside.next, null);

    const extend: StepEvent = { type: "extend", id: "a", leaseMs: 90 };
    const steps: [LimitSpec, StepEvent][] = [
      [QUOTA, extend],
      [TOKEN_BUCKET, { ...extend, id: "b" }],
      [QUOTA, take(0)],
    ];
    assert.deepEqual(decide(ask("judge", ...steps), states, 1100).next, null);
    const { reply: given, next } = decide(ask("force", ...steps), states, 1001);
    assert.deepEqual(given, {
      allowed: false,
      nowMs: 1001,
      steps: [
        { ...reply(true, 2, 190, 0), found: "live" },
        { ...reply(false, 2, 6, null), found: "unknown" },
        reply(false, 5, 99, 99),
      ],
    });
    assert.equal(next?.[0]?.kind === "held" && next[0].entries[0]?.expiresAtMs, 1091);
    assert.deepEqual(next?.slice(1), states.slice(1));
  });

  it("hands the states of steps that change nothing on beside those that do", () => {
    const state = counter(3);
    const { next } = decide(
      ask("judge", [QUOTA, take(1)], [QUOTA, take(0)], [QUOTA, READ]),
      [state, state, state],
      1000,
    );
    assert.deepEqual(next, [counter(4), state, state]);
  });

  it("leaves a state unchanged where nothing is booked, even if it has ended or belongs to another algorithm", () => {
    const level: StoredState = { kind: "token-bucket", expiresAtMs: 1017, baseMs: 1000, level: 50, levelPerUnit: 10 };
    for (const state of [counter(3, 1000), level]) {
      for (const event of [READ, take(0)]) {
        for (const mode of ["judge", "force"] as const) {
          const beside = decide(ask(mode, [QUOTA, take(1)], [QUOTA, event]), [undefined, state], 1000);
          assert.deepEqual(beside.reply?.steps, [reply(true, 1, 100, 0), reply(true, 0, 0, 0)]);
          assert.deepEqual(beside.next, [counter(1), state]);
          assert.equal(decide(ask(mode, [QUOTA, event]), [state], 1000).next, null);
        }
      }
      assert.equal(decide(ask("judge", [QUOTA, take(6)]), [state], 1000).next, null);
      assert.deepEqual(decide(ask("force", [QUOTA, take(6)]), [state], 1000).next, [counter(6)]);
    }
  });

  it("reads without being denied or changing anything", () => {
    for (const [state, expected] of [
      [undefined, reply(true, 0, 0, 0)],
      [counter(3), reply(true, 3, 90, 0)],
      [counter(7), reply(true, 7, 90, 0)],
      [counter(3, 1010), reply(true, 0, 0, 0)],
    ] as const) {
      const outcome = decide(ask("judge", [QUOTA, READ]), [state], 1010);
      assert.deepEqual(outcome, { reply: { allowed: true, nowMs: 1010, steps: [expected] }, next: null });
    }
  });

  it("resets: replies how the bucket stood, then empties it", () => {
    const stood = { allowed: true, nowMs: 1010, steps: [reply(true, 5, 90, 0)] };
    assert.deepEqual(decide(ask("judge", [QUOTA, RESET]), [counter(5)], 1010), { reply: stood, next: [undefined] });
    assert.deepEqual(decide(ask("peek", [QUOTA, RESET]), [counter(5)], 1010), { reply: stood, next: null });
    assert.equal(decide(ask("judge", [QUOTA, RESET]), [undefined], 1010).next, null);
    const gone = { reply: { ...stood, steps: [reply(true, 0, 0, 0)] }, next: [undefined] };
    for (const state of [counter(5, 1010), { ...counter(5), kind: "token-bucket" } as never]) {
      assert.deepEqual(decide(ask("judge", [QUOTA, RESET]), [state], 1010), gone);
      assert.equal(decide(ask("peek", [QUOTA, RESET]), [state], 1010).next, null);
    }
    const beside = decide(ask("judge", [QUOTA, RESET], [QUOTA, take(1)]), [counter(5), counter(5)], 1010);
    assert.deepEqual(beside.reply?.steps, [reply(true, 5, 90, 0), reply(false, 5, 90, 90)]);
    assert.equal(beside.next, null);
  });

  it("allows a request without steps", () => {
    const empty = { reply: { allowed: true, nowMs: 5, steps: [] }, next: null };
    assert.deepEqual(decide({ mode: "judge", steps: [] }, [], 5), empty);
  });

  it("waits no longer than to the end of a state that another window or rate wrote", () => {
    const sliding = decide(ask("judge", [SLIDING, take(5)]), [undefined], 1000).next ?? [];
    const level = decide(ask("judge", [TOKEN_BUCKET, take(5)]), [undefined], 1000).next ?? [];
    const cases: [string, LimitSpec, readonly (StoredState | undefined)[], endMs: number][] = [
      ["a longer window", { ...SLIDING, windowMs: 5000 }, sliding, 1109],
      [
        "a shorter window of equal sub-windows, whose own end comes first",
        { algorithm: "sliding-window", quota: 5, windowMs: 91 },
        sliding,
        1100,
      ],
      ["a slower pace", { ...TOKEN_BUCKET, levelPerMs: 1 }, level, 1017],
      ["another unit", { ...TOKEN_BUCKET, levelPerUnit: 1000 }, level, 1017],
    ];
    for (const [name, limit, states, endMs] of cases) {
      const request = ask("judge", [limit, take(5)]);
      const wait = endMs - 1001;
      assert.deepEqual(decide(request, states, 1001).reply?.steps, [reply(false, 5, wait, wait)], name);
      assert.equal(decide(request, states, endMs - 1).reply?.allowed, false, name);
      assert.equal(decide(request, states, endMs).reply?.allowed, true, name);
    }
  });
});
