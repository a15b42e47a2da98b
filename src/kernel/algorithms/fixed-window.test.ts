import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CounterState } from "./rules/counter.ts";
import { fixedWindow } from "./fixed-window.ts";
import { type CalendarWindowLimit, endOf, type FixedWindowLimit } from "./rules/fixed-window.ts";

const EPOCH: FixedWindowLimit = { algorithm: "fixed-window", quota: 5, windowMs: 100, align: "epoch" };
const MAX = Number.MAX_SAFE_INTEGER;
const FIRST_USE: FixedWindowLimit = { ...EPOCH, align: "first-use" };

function counter(spent: number, expiresAtMs: number): CounterState {
  return { kind: "counter", spent, expiresAtMs };
}

describe("fixed-window", () => {
  it("is a counter whose units come back", () => {
    assert.equal(fixedWindow.kind, "counter");
    assert.equal(fixedWindow.refills(EPOCH), true);
    assert.equal(fixedWindow.capacity(EPOCH), 5);
  });

  it("books into the window that the bucket began in", () => {
    const cases: [string, FixedWindowLimit, CounterState | undefined, cost: number, nowMs: number, CounterState][] = [
      ["the first instant of a window", EPOCH, undefined, 2, 1200, counter(2, 1300)],
      ["the last instant of a window", EPOCH, undefined, 2, 1299, counter(2, 1300)],
      ["the window begins with the charge", FIRST_USE, undefined, 2, 1299, counter(2, 1399)],
      ["the end stays", EPOCH, counter(2, 1300), 3, 1299, counter(5, 1300)],
      ["the end stays when counted from the first use", FIRST_USE, counter(2, 1399), 3, 1398, counter(5, 1399)],
      ["the end stays when the clock is set back", EPOCH, counter(2, 1300), 1, 700, counter(3, 1300)],
      [
        "the end stays when the window is changed",
        { ...EPOCH, windowMs: 7 },
        counter(2, 1300),
        1,
        1250,
        counter(3, 1300),
      ],
      ["at the epoch itself", EPOCH, undefined, 1, 0, counter(1, 100)],
      ["past the quota", EPOCH, counter(5, 1300), 2, 1250, counter(7, 1300)],
      ["past the quota at once", FIRST_USE, undefined, 6, 1299, counter(6, 1399)],
      ["up to 2^53 - 1", EPOCH, counter(MAX - 2, 1300), 2, 1250, counter(MAX, 1300)],
      ["no further", EPOCH, counter(MAX - 2, 1300), 3, 1250, counter(MAX, 1300)],
    ];
    for (const [name, limit, state, cost, nowMs, expected] of cases) {
      assert.deepEqual(fixedWindow.book(limit, state, cost, nowMs), expected, name);
    }
  });

  it("counts spent units as used, also beyond a quota that was lowered", () => {
    assert.equal(fixedWindow.used(EPOCH, undefined, 1200), 0);
    assert.equal(fixedWindow.used(EPOCH, counter(3, 1300), 1299), 3);
    assert.equal(fixedWindow.used({ ...EPOCH, quota: 1 }, counter(3, 1300), 1299), 3);
  });

  it("frees all units at the window's end", () => {
    const cases: [quota: number, units: number, nowMs: number, expected: number][] = [
      [5, 2, 1200, 0],
      [5, 3, 1200, 100],
      [5, 3, 1299, 1],
      [6, 3, 1200, 0],
      [2, 0, 1200, 100],
      [2, 2, 1200, 100],
      [5, 5, 700, 600],
    ];
    for (const [quota, units, nowMs, expected] of cases) {
      const name = `${units} of ${quota} units at ${nowMs}`;
      assert.equal(fixedWindow.freeAfterMs({ ...EPOCH, quota }, counter(3, 1300), units, nowMs), expected, name);
    }
  });

  it("shares its text with quota", () => {
    assert.equal(fixedWindow.encode(counter(3, 1300)), "3");
    assert.deepEqual(fixedWindow.decode("3", 1300), counter(3, 1300));
    assert.equal(fixedWindow.decode("three", 1300), null);
  });
});

/** Two windows, of 31 and of 28 units of time. */
const CALENDAR: CalendarWindowLimit = {
  algorithm: "fixed-window",
  quota: 5,
  align: "calendar",
  boundaries: [1000, 1031, 1059],
};

describe("fixed-window of a calendar", () => {
  it("decides nothing before the first boundary, or from the last one on", () => {
    const cases: [nowMs: number, stale: boolean][] = [
      [999, true],
      [1000, false],
      [1030, false],
      [1031, false],
      [1058, false],
      [1059, true],
    ];
    for (const [nowMs, stale] of cases) assert.equal(fixedWindow.isStale?.(CALENDAR, nowMs), stale, String(nowMs));
  });

  it("ends a bucket with the window that it began in", () => {
    const cases: [string, nowMs: number, endMs: number][] = [
      ["the first instant of the first window", 1000, 1031],
      ["the last one", 1030, 1031],
      ["the first instant of the second window", 1031, 1059],
      ["the last one", 1058, 1059],
      ["a hold that ended in a window that is over by now", 999, 1000],
      ["one that ended long ago", 0, 1000],
      ["a hold that will end when the windows are over: as long as the second one was", 1059, 1087],
      ["much later", 5000, 5028],
    ];
    for (const [name, nowMs, endMs] of cases) {
      assert.equal(endOf(CALENDAR, nowMs), endMs, name);
      assert.deepEqual(fixedWindow.book(CALENDAR, undefined, 2, nowMs), counter(2, endMs), name);
    }
    assert.deepEqual([endOf(EPOCH, 1250), endOf(FIRST_USE, 1250)], [1300, 1350]);
  });

  it("keeps the end and the values of a bucket when other boundaries follow", () => {
    const seen = { ...counter(2, 1031), seen: "00000000000000aa" };
    assert.deepEqual(fixedWindow.book(CALENDAR, seen, 1, 1020), { ...seen, spent: 3 });
    const moved: CalendarWindowLimit = { ...CALENDAR, boundaries: [1010, 1020, 1090] };
    assert.deepEqual(fixedWindow.book(moved, counter(2, 1031), 1, 1020), counter(3, 1031));
    assert.deepEqual(fixedWindow.book(EPOCH, counter(2, 1031), 1, 1020), counter(3, 1031));
  });

  it("frees all units at that end", () => {
    assert.equal(fixedWindow.freeAfterMs(CALENDAR, counter(5, 1031), 1, 1003), 28);
    assert.equal(fixedWindow.freeAfterMs(CALENDAR, counter(4, 1031), 1, 1003), 0);
  });
});
