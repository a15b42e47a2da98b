// Requests that wait: who takes a place, when its turn is, and what each step is told.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { LimitSpec } from "./algorithms/registry.ts";
import { decide } from "./decide.ts";
import { REMEMBERED_MS } from "./bucket/entries.ts";
import { MAX_QUEUED } from "./bucket/queue.ts";
import type { Step, StepEvent, StoreReply, StoreRequest } from "./request.ts";
import type { Entry, QueuedCall, StoredState } from "./state.ts";

/** A unit in 10 ms. */
const ROW: LimitSpec = { algorithm: "token-bucket", burst: 1, levelPerUnit: 10, levelPerMs: 1 };
const QUOTA: LimitSpec = { algorithm: "budget", quota: 5, ttlMs: 1000, ttlFrom: "first" };
const ELAPSED: LimitSpec = { algorithm: "elapsed", quota: 50, ttlMs: 100 };

function step(limit: LimitSpec, more: Partial<Step> = {}): Step {
  return { bucket: limit.algorithm, limit, event: { type: "charge", cost: 1 }, ...more };
}

/** A hold of one unit in the row. */
function held(id: string, onExpiry: "charge" | "refund"): Step {
  return step(ROW, { event: { type: "hold", id, units: 1, leaseMs: 50, onExpiry } });
}

function ended(id: string, type: "settle" | "extend"): Step {
  return step(ROW, { event: type === "settle" ? { type, id, units: 0 } : { type, id, leaseMs: 50 } });
}

function entriesIn(states: ReadonlyMap<string, StoredState>): readonly Entry[] {
  const state = states.get("token-bucket");
  return state?.kind === "held" ? state.entries : [];
}

/** What the first entry becomes at its turn. */
function becomesIn(states: ReadonlyMap<string, StoredState>): QueuedCall["becomes"] {
  const [entry] = entriesIn(states);
  return entry?.kind === "queued" ? entry.becomes : undefined;
}

/** The kernel on a map, whose row has one unit spent at 1000. */
function busyRow() {
  const states = new Map<string, StoredState>();
  let places = 0;
  const ask = (
    steps: readonly Step[],
    maxMs: number | null,
    nowMs = 1000,
    mode: StoreRequest["mode"] = "judge",
  ): StoreReply => {
    const wait = maxMs === null ? {} : { wait: { id: `w${++places}`, maxMs } };
    const { reply, next } = decide(
      { mode, steps, ...wait },
      steps.map(({ bucket }) => states.get(bucket)),
      nowMs,
    );
    for (const [i, { bucket }] of steps.entries()) {
      const state = next?.[i];
      if (state !== undefined) states.set(bucket, state);
      else if (next !== null) states.delete(bucket);
    }
    return reply ?? assert.fail("too many holds");
  };
  ask([step(ROW)], null);
  return { ask, states };
}

const told = ({ allowed, waitMs, steps }: StoreReply) => [
  allowed,
  waitMs,
  steps.map((each) => [each.allowed, each.retryAfterMs]),
];

describe("a request that may wait", () => {
  it("joins the queue when its turn is in time, to the ms", () => {
    const { ask } = busyRow();
    assert.deepEqual(told(ask([step(ROW)], 9)), [false, undefined, [[false, 10]]]);
    assert.deepEqual(told(ask([step(ROW)], 10)), [true, 10, [[true, 0]]]);
    assert.deepEqual(told(ask([step(ROW)], 100)), [true, 20, [[true, 0]]]);
  });

  it("shows how each limit stands when another one denies it", () => {
    const { ask } = busyRow();
    const never = step({ ...QUOTA, quota: 0 });
    assert.deepEqual(told(ask([step(ROW), never], 100)), [
      false,
      undefined,
      [
        [false, 10],
        [false, null],
      ],
    ]);
  });

  it("books nothing when it is denied, and everything at once when it is forced", () => {
    const { ask } = busyRow();
    const never = step({ ...QUOTA, quota: 0 });
    assert.deepEqual(told(ask([step(ROW), never], 100, 1000, "force")), [
      false,
      undefined,
      [
        [false, 20],
        [false, null],
      ],
    ]);
    assert.equal(ask([step(ROW)], 100).waitMs, 20);
  });

  it("replies to a step in shadow as if it counted, and holds it, too", () => {
    const { ask, states } = busyRow();
    const shadow = step({ ...QUOTA, quota: 0 }, { shadow: true });
    assert.deepEqual(told(ask([step(ROW), shadow], 100)), [
      true,
      10,
      [
        [true, 0],
        [false, null],
      ],
    ]);
    assert.equal(states.get("budget")?.kind, "held");
    const own = step(ROW, { shadow: true });
    assert.deepEqual(told(ask([own], 100)), [true, undefined, [[false, 30]]]);
  });

  it("holds every charge until its turn, and begins what has no units at once", () => {
    const { ask, states } = busyRow();
    const { steps } = ask([step(ROW), step(QUOTA), step(ELAPSED, { event: { type: "charge", cost: 0 } })], 100);
    assert.deepEqual(
      steps.map(({ used }) => used),
      [2, 1, 0],
    );
    assert.deepEqual(
      [...states.values()].map(({ kind }) => kind),
      ["held", "held", "elapsed"],
    );
    assert.deepEqual(told(ask([step(QUOTA, { event: { type: "read" } })], null, 1010)), [true, undefined, [[true, 0]]]);
    assert.equal(ask([step(QUOTA, { event: { type: "read" } })], null, 1010).steps[0]?.resetAfterMs, 1000);
  });

  it("counts a value at once", () => {
    const { ask } = busyRow();
    const seen = step(QUOTA, { event: { type: "charge", cost: 1, seen: "00000000000000aa" } });
    ask([step(ROW), seen], 100);
    assert.equal(ask([seen], null, 1001).steps[0]?.used, 1);
  });

  it("holds nothing for an unknown cost, but waits until a unit is free", () => {
    const { ask } = busyRow();
    const unknown = step(ROW, { event: { type: "charge", cost: 0 } });
    assert.equal(ask([unknown], 100).waitMs, 10);
    assert.equal(ask([unknown], 100).waitMs, 10);
  });

  it("holds nothing in a peek", () => {
    const { ask } = busyRow();
    assert.deepEqual(told(ask([step(ROW)], 100, 1000, "peek")), [true, 10, [[true, 0]]]);
    assert.equal(ask([step(ROW)], 100).waitMs, 10);
  });

  it("passes at once when nothing is in its way", () => {
    const { ask, states } = busyRow();
    assert.deepEqual(told(ask([step(ROW)], 100, 1010)), [true, undefined, [[true, 0]]]);
    assert.equal(states.get("token-bucket")?.kind, "token-bucket");
  });

  it("queues a hold, which is made at its turn", () => {
    const { ask, states } = busyRow();
    assert.deepEqual(told(ask([held("h", "charge")], 100)), [true, 10, [[true, 0]]]);
    const common = { id: "h", units: 1 };
    const becomes = { onExpiry: "charge", leaseMs: 50 };
    assert.deepEqual(entriesIn(states), [{ kind: "queued", ...common, expiresAtMs: 1010, leaseMs: 10, becomes }]);
    // Later calls cannot overtake it, and the next one waits behind it.
    assert.deepEqual(told(ask([step(ROW)], 100, 1005)), [true, 15, [[true, 0]]]);
    assert.deepEqual(told(ask([ended("h", "extend")], null, 1011)), [true, undefined, [[true, 0]]]);
    const levelAfter = { baseMs: 1010, level: 10, levelPerUnit: 10 };
    const [, hold] = entriesIn(states);
    assert.deepEqual(hold, {
      kind: "reservation",
      ...common,
      ...becomes,
      expiresAtMs: 1061,
      expired: false,
      levelAfter,
    });
  });

  it("gives back of a hold that waited what has not flowed back since its turn", () => {
    const { ask } = busyRow();
    ask([held("h", "charge")], 100);
    assert.deepEqual(ask([ended("h", "settle")], null, 1014).steps[0], {
      allowed: true,
      used: 0,
      resetAfterMs: 0,
      retryAfterMs: 0,
      found: "live",
    });
    assert.equal(ask([step(ROW)], null, 1014).allowed, true);
    assert.equal(ask([step(ROW)], null, 1014).allowed, false);
  });

  it("frees the turn of a hold that is given up early, and replies that it was live", () => {
    const { ask } = busyRow();
    ask([held("h", "charge")], 100);
    assert.equal(ask([ended("h", "settle")], null, 1004).steps[0]?.found, "live");
    assert.equal(ask([step(ROW)], 100, 1004).waitMs, 6);
  });

  it("lets a hold that waited expire a lease after its turn, as its limit says", () => {
    for (const [onExpiry, retryAfterMs] of [
      ["charge", 60],
      ["refund", 50],
    ] as const) {
      const { ask } = busyRow();
      // A unit flows back in 60 ms. The lease of the hold ends before that.
      const slow: LimitSpec = { algorithm: "token-bucket", burst: 1, levelPerUnit: 60, levelPerMs: 1 };
      ask([step(slow, { bucket: "slow" })], null);
      assert.equal(ask([{ ...held("h", onExpiry), bucket: "slow", limit: slow }], 100).waitMs, 60);
      assert.equal(ask([step(slow, { bucket: "slow" })], null, 1060).steps[0]?.retryAfterMs, retryAfterMs);
      assert.equal(ask([step(slow, { bucket: "slow" })], null, 1060 + retryAfterMs - 1).allowed, false);
      assert.equal(ask([step(slow, { bucket: "slow" })], null, 1060 + retryAfterMs).allowed, true);
    }
  });

  it("counts refunds of other holds before and after the turn of a hold, to the ms", () => {
    const { ask } = busyRow();
    const row: LimitSpec = { algorithm: "token-bucket", burst: 2, levelPerUnit: 10, levelPerMs: 1 };
    const holding = (id: string, leaseMs: number) => {
      return step(row, { bucket: "row", event: { type: "hold", id, units: 1, leaseMs, onExpiry: "refund" } });
    };
    const charge = (cost: number) => step(row, { bucket: "row", event: { type: "charge", cost } });
    for (const [id, leaseMs] of [
      ["first", 5],
      ["long", 14],
      ["second", 8],
      ["third", 1],
    ] as const) {
      assert.equal(ask([holding(id, leaseMs)], 100).allowed, true);
    }
    const reading = step(row, { bucket: "row", event: { type: "read" } });
    const usedAt = (nowMs: number) => ask([reading], null, nowMs, "peek").steps[0]?.used;
    // Half of the first one is given back at 1005, and what is left of the long one at 1014. The second one is spent at 1010
    // and given back at 1018, the third one at 1020 and 1021.
    assert.deepEqual([1004, 1005, 1010, 1018, 1020, 1021].map(usedAt), [4, 3, 3, 1, 1, 0]);
    for (let nowMs = 1000; nowMs < 1030; nowMs++) {
      for (const cost of [1, 2]) {
        const { allowed, steps } = ask([charge(cost)], null, nowMs, "peek");
        const freeMs = nowMs + (steps[0]?.retryAfterMs ?? 0);
        assert.equal(ask([charge(cost)], null, freeMs, "peek").allowed, true);
        if (!allowed) assert.equal(ask([charge(cost)], null, freeMs - 1, "peek").allowed, false);
      }
    }
  });

  it("keeps a bucket for as long as it will remember a queued hold", () => {
    const { ask, states } = busyRow();
    ask([held("h", "charge")], 100);
    assert.equal(states.get("token-bucket")?.expiresAtMs, 1010 + 50 + REMEMBERED_MS);
  });

  it("holds in other buckets from now on, for a lease that begins at the turn", () => {
    const { ask, states } = busyRow();
    const slots: LimitSpec = { algorithm: "concurrency", quota: 1 };
    const slot = { ...held("h", "refund"), bucket: "slots", limit: slots };
    assert.equal(ask([held("h", "charge"), slot], 100).waitMs, 10);
    assert.equal(ask([slot], null, 1059).allowed, false);
    assert.equal(ask([{ ...slot, event: { type: "read" } }], null, 1059).steps[0]?.used, 1);
    assert.equal(ask([{ ...slot, event: { type: "read" } }], null, 1060).steps[0]?.used, 0);
    assert.equal(states.get("slots")?.kind, "held");
  });

  it("holds nothing for a hold without units, and extends a queued hold without moving its turn", () => {
    const { ask, states } = busyRow();
    const none = { ...held("none", "charge"), event: { ...held("none", "charge").event, units: 0 } as StepEvent };
    assert.equal(ask([none], 100).waitMs, 10);
    assert.deepEqual(entriesIn(states), []);
    ask([held("h", "charge")], 100);
    ask([ended("h", "extend")], null, 1005);
    assert.deepEqual(becomesIn(states), { onExpiry: "charge", leaseMs: 50 });
    ask([{ ...ended("h", "extend"), event: { type: "extend", id: "h", leaseMs: 90 } }], null, 1005);
    assert.deepEqual(becomesIn(states), { onExpiry: "charge", leaseMs: 85 });
    assert.equal(entriesIn(states)[0]?.expiresAtMs, 1010);
  });

  it("undoes a queued hold", () => {
    const { ask, states } = busyRow();
    ask([held("h", "charge")], 100);
    const { next } = decide(
      { mode: "undo", atMs: 1000, steps: [held("h", "charge")] },
      [states.get("token-bucket")],
      1002,
    );
    assert.equal(next?.[0]?.kind, "token-bucket");
  });

  it(`finds ${MAX_QUEUED} places in a queue and no more`, () => {
    const { ask } = busyRow();
    for (let i = 1; i <= MAX_QUEUED; i++) assert.equal(ask([step(ROW)], 1_000_000).waitMs, i * 10);
    assert.equal(ask([step(ROW)], 1_000_000).allowed, false);
    // One turn has come.
    assert.equal(ask([step(ROW)], 1_000_000, 1010).allowed, true);
  });
});
