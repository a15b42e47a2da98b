import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type SlidingWindowLimit, type SlidingWindowState, slidingWindow } from "./sliding-window.ts";

// Sub-windows of 10 ms: what is booked from 1000 to 1009 counts until 1108 and is free at 1109.
const LIMIT: SlidingWindowLimit = { algorithm: "sliding-window", quota: 5, windowMs: 100 };
const MAX = Number.MAX_SAFE_INTEGER;

function state(newest: number, counts: number[], subWindowMs = 10, windowMs = 100): SlidingWindowState {
  const expiresAtMs = (newest + 1) * subWindowMs - 1 + windowMs;
  return { kind: "sliding-window", expiresAtMs, subWindowMs, newest, counts };
}

describe("sliding-window", () => {
  it("says what it is", () => {
    assert.equal(slidingWindow.kind, "sliding-window");
    assert.equal(slidingWindow.refills(LIMIT), true);
    assert.equal(slidingWindow.capacity(LIMIT), 5);
  });

  it("counts a sub-window whole until its last instant has left the window", () => {
    const cases: [string, SlidingWindowState | undefined, nowMs: number, expected: number][] = [
      ["nothing", undefined, 1000, 0],
      ["its first instant", state(100, [3]), 1000, 3],
      ["one ms before it is free", state(100, [3]), 1108, 3],
      ["free", state(100, [3]), 1109, 0],
      ["the oldest one ms before it is free", state(110, [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4]), 1108, 5],
      ["the oldest is free", state(110, [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4]), 1109, 1],
      ["a clock set back", state(100, [2, 1]), 500, 3],
    ];
    for (const [name, given, nowMs, expected] of cases) {
      assert.equal(slidingWindow.used(LIMIT, given, nowMs), expected, name);
    }
  });

  it("frees units by sub-window, the oldest first", () => {
    const given = state(103, [1, 0, 1, 3]); // 3 free at 1109, 1 at 1119, 1 at 1139
    const cases: [quota: number, units: number, nowMs: number, expected: number][] = [
      [6, 1, 1030, 0],
      [6, 2, 1030, 79],
      [6, 4, 1030, 79],
      [6, 5, 1030, 89],
      [6, 6, 1030, 109],
      [5, 1, 1108, 1],
      [5, 3, 1109, 0],
      [5, 4, 1109, 10],
      [5, 0, 1030, 0],
      [4, 0, 1030, 79],
      [2, 0, 1030, 79],
      [2, 2, 1030, 109],
      [5, 5, 500, 639],
    ];
    for (const [quota, units, nowMs, expected] of cases) {
      const name = `${units} of ${quota} units at ${nowMs}`;
      assert.equal(slidingWindow.freeAfterMs({ ...LIMIT, quota }, given, units, nowMs), expected, name);
    }
  });

  it("books into the current sub-window and drops what has left the window", () => {
    const cases: [string, SlidingWindowState | undefined, nowMs: number, SlidingWindowState][] = [
      ["the first", undefined, 1009, state(100, [2])],
      ["the next sub-window", undefined, 1010, state(101, [2])],
      ["at the epoch itself", undefined, 0, state(0, [2])],
      ["the same sub-window", state(100, [1]), 1009, state(100, [3])],
      ["sub-windows apart", state(100, [1, 0, 2]), 1025, state(102, [2, 0, 1, 0, 2])],
      ["one ms before the oldest is free", state(100, [1]), 1108, state(110, [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])],
      ["the oldest is free", state(101, [1, 1]), 1109, state(110, [2, 0, 0, 0, 0, 0, 0, 0, 0, 1])],
      ["a clock set back books into the newest", state(100, [1, 1]), 500, state(100, [3, 1])],
    ];
    for (const [name, given, nowMs, expected] of cases) {
      assert.deepEqual(slidingWindow.book(LIMIT, given, 2, nowMs), expected, name);
    }
  });

  it("books past the quota, and saturates its total at 2^53 - 1", () => {
    const cases: [string, SlidingWindowState | undefined, cost: number, nowMs: number, counts: number[]][] = [
      ["past the quota at once", undefined, 6, 1000, [6]],
      ["onto a full window", state(99, [5]), 2, 1000, [2, 5]],
      ["all at once", undefined, MAX, 1000, [MAX]],
      ["just below", state(100, [MAX - 5, 2]), 2, 1000, [MAX - 3, 2]],
      ["just at it", state(100, [MAX - 5, 2]), 3, 1000, [MAX - 2, 2]],
      ["a unit too many", state(100, [MAX - 5, 2]), 4, 1000, [MAX - 2, 2]],
      ["a unit too many in a new sub-window", state(99, [MAX - 5, 2]), 4, 1000, [3, MAX - 5, 2]],
      ["no room", state(99, [MAX]), 1, 1000, [0, MAX]],
      ["one ms before the oldest is free", state(90, [MAX]), 7, 1008, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, MAX]],
      ["the oldest is free", state(90, [MAX]), 7, 1009, [7]],
      ["what another window counted", state(201, [MAX - 5, 2], 5, 50), 4, 1000, [MAX]],
    ];
    for (const [name, given, cost, nowMs, counts] of cases) {
      const booked = slidingWindow.book(LIMIT, given, cost, nowMs);
      assert.deepEqual(booked, state(100, counts), name);
      assert.deepEqual(slidingWindow.decode(slidingWindow.encode(booked), booked.expiresAtMs), booked, name);
    }
    const debt = state(100, [2, 5]); // 5 free at 1099, 2 at 1109
    assert.equal(slidingWindow.used(LIMIT, debt, 1000), 7);
    assert.equal(slidingWindow.freeAfterMs(LIMIT, debt, 0, 1000), 99);
    assert.equal(slidingWindow.freeAfterMs(LIMIT, debt, 3, 1000), 99);
    assert.equal(slidingWindow.freeAfterMs(LIMIT, debt, 4, 1000), 109);
  });

  it("keeps at most eleven counts of a window that ten does not divide", () => {
    const limit: SlidingWindowLimit = { ...LIMIT, quota: MAX, windowMs: 101 }; // sub-windows of 11 ms
    let given: SlidingWindowState | undefined;
    for (let nowMs = 0; nowMs < 500; nowMs++) {
      given = slidingWindow.book(limit, given, 1, nowMs);
      assert.ok(given.counts.length <= 11 && given.subWindowMs === 11, String(nowMs));
      assert.deepEqual(slidingWindow.decode(slidingWindow.encode(given), given.expiresAtMs), given);
    }
  });

  it("is exact in a window of one millisecond", () => {
    const limit: SlidingWindowLimit = { ...LIMIT, windowMs: 1 };
    const given = slidingWindow.book(limit, undefined, 5, 1000);
    assert.deepEqual(given, state(1000, [5], 1, 1));
    assert.equal(given.expiresAtMs, 1001);
    assert.equal(slidingWindow.used(limit, given, 1000), 5);
  });

  it("moves the counts of another window length, whole, to its newest end", () => {
    const given = state(100, [1, 3]); // until 1009
    const cases: [windowMs: number, newest: number, freeAtMs: number][] = [
      [200, 50, 1219], // sub-windows of 20 ms: 1000 to 1019
      [50, 201, 1059], // of 5 ms: 1005 to 1009
      [30, 336, 1040], // of 3 ms: 1008 to 1010
      [10, 1009, 1019], // of 1 ms
      [1010, 9, 2019], // of 101 ms: 909 to 1009, whose end is the last instant itself
    ];
    for (const [windowMs, newest, freeAtMs] of cases) {
      const limit: SlidingWindowLimit = { ...LIMIT, windowMs };
      assert.equal(slidingWindow.used(limit, given, freeAtMs - 1), 4, `${windowMs}: before`);
      assert.equal(slidingWindow.used(limit, given, freeAtMs), 0, `${windowMs}: free`);
      assert.equal(slidingWindow.freeAfterMs(limit, given, 5, 1009), freeAtMs - 1009, `${windowMs}: wait`);
      const expected = state(newest, [5], Math.ceil(windowMs / 10), windowMs);
      assert.deepEqual(slidingWindow.book(limit, given, 1, 1000), expected, `${windowMs}: booked`);
    }
  });

  it("judges equal sub-windows by the window that the limit has now", () => {
    const given = state(100, [3]);
    const limit: SlidingWindowLimit = { ...LIMIT, windowMs: 91 };
    assert.equal(slidingWindow.used(limit, given, 1099), 3);
    assert.equal(slidingWindow.used(limit, given, 1100), 0);
  });

  it("writes text and reads back nothing else", () => {
    const cases: [SlidingWindowState, string][] = [
      [state(0, [1], 1, 1), "s1 1 0 1"],
      [state(100, [1, 0, 3]), "s1 10 100 1,0,3"],
      [state(100, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, MAX - 55]), `s1 10 100 1,2,3,4,5,6,7,8,9,10,${MAX - 55}`],
      [state(2 ** 52 / 16 - 11, [1], 16), `s1 16 ${2 ** 52 / 16 - 11} 1`],
    ];
    for (const [given, text] of cases) {
      assert.equal(slidingWindow.encode(given), text);
      assert.deepEqual(slidingWindow.decode(text, given.expiresAtMs), given);
    }
    const damaged = ["", "s1", "s2 10 100 1", "s1 0 100 1", "s1 10 100 ", "s1 10 100 1,", "s1 10 100 -1", "s1 10 -1 1"];
    damaged.push("s1 10 100 1.5", "s1 10 100 1,1,1,1,1,1,1,1,1,1,1,1", " s1 10 100 1", "s1 10 100 1\n", "s1 10  100 1");
    damaged.push(
      "s1 9007199254740992 0 1",
      "s1 10 9007199254740992 1",
      "s1 10 100 1,9007199254740992",
      "7",
      "g1 1 1 1",
    );
    damaged.push(`s1 16 ${2 ** 52 / 16 - 10} 1`, "s1 9999999999999 9999999999999 1", `s1 10 100 1,${MAX}`);
    for (const text of damaged) assert.equal(slidingWindow.decode(text, 2 ** 52), null, JSON.stringify(text));
    for (const endMs of [999, -1, 2 ** 53]) assert.equal(slidingWindow.decode("s1 10 100 1", endMs), null);
  });
});
