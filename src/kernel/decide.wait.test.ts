// Requests that wait: who takes a place, when its turn is, and what each step is told.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { LimitSpec } from "./algorithms/registry.ts";
import { decide, type Step, type StoreReply, type StoreRequest } from "./decide.ts";
import { MAX_PLACES } from "./holds.ts";
import type { StoredState } from "./stored.ts";

/** A unit in 10 ms. */
const ROW: LimitSpec = { algorithm: "gcra", burst: 1, levelPerUnit: 10, levelPerMs: 1 };
const QUOTA: LimitSpec = { algorithm: "quota", quota: 5, ttlMs: 1000, ttlFrom: "first" };
const ELAPSED: LimitSpec = { algorithm: "elapsed", quota: 50, ttlMs: 100 };

function step(limit: LimitSpec, more: Partial<Step> = {}): Step {
  return { bucket: limit.algorithm, limit, event: { type: "charge", cost: 1 }, ...more };
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
  it("takes a place when its turn is in time, to the ms", () => {
    const { ask } = busyRow();
    assert.deepEqual(told(ask([step(ROW)], 9)), [false, undefined, [[false, 10]]]);
    assert.deepEqual(told(ask([step(ROW)], 10)), [true, 10, [[true, 0]]]);
    assert.deepEqual(told(ask([step(ROW)], 100)), [true, 20, [[true, 0]]]);
  });

  it("is told of each limit as it is when another one denies it", () => {
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

  it("books nothing when it is denied, and what it takes at once when it is forced", () => {
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

  it("says of a step in shadow what it would have said, and holds it, too", () => {
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
    assert.equal(states.get("quota")?.kind, "held");
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

  it("takes nothing for an unknown cost but the time until a unit is free", () => {
    const { ask } = busyRow();
    const unknown = step(ROW, { event: { type: "charge", cost: 0 } });
    assert.equal(ask([unknown], 100).waitMs, 10);
    assert.equal(ask([unknown], 100).waitMs, 10);
  });

  it("only peeks where it is only peeked at", () => {
    const { ask } = busyRow();
    assert.deepEqual(told(ask([step(ROW)], 100, 1000, "peek")), [true, 10, [[true, 0]]]);
    assert.equal(ask([step(ROW)], 100).waitMs, 10);
  });

  it("passes at once when nothing is in its way, and is denied without holds", () => {
    const { ask, states } = busyRow();
    assert.deepEqual(told(ask([step(ROW)], 100, 1010)), [true, undefined, [[true, 0]]]);
    assert.equal(states.get("gcra")?.kind, "gcra");
    const hold = step(ROW, { event: { type: "hold", id: "h", units: 1, leaseMs: 5, onExpiry: "charge" } });
    assert.deepEqual(told(ask([hold], 100, 1010)), [false, undefined, [[false, 10]]]);
  });

  it(`finds ${MAX_PLACES} places in a row and no more`, () => {
    const { ask } = busyRow();
    for (let i = 1; i <= MAX_PLACES; i++) assert.equal(ask([step(ROW)], 1_000_000).waitMs, i * 10);
    assert.equal(ask([step(ROW)], 1_000_000).allowed, false);
    // One turn has come.
    assert.equal(ask([step(ROW)], 1_000_000, 1010).allowed, true);
  });
});
