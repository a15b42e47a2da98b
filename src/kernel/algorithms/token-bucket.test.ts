import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Level } from "./algorithm.ts";
import { type TokenBucketLimit, type TokenBucketState, tokenBucket } from "./token-bucket.ts";

// 3 units each 10 ms, at most 5 at once: a unit raises the level by 10, each ms lowers it by 3.
const LIMIT: TokenBucketLimit = { algorithm: "token-bucket", burst: 5, levelPerUnit: 10, levelPerMs: 3 };

function state(baseMs: number, level: number, expiresAtMs: number, levelPerUnit = 10): TokenBucketState {
  return { kind: "token-bucket", expiresAtMs, baseMs, level, levelPerUnit };
}

function level(baseMs: number, level: number, levelPerUnit = 10): Level {
  return { baseMs, level, levelPerUnit };
}

const flow = tokenBucket.flow ?? assert.fail();
const FULL = state(1000, 50, 1017);

describe("token-bucket", () => {
  it("says what it is", () => {
    assert.equal(tokenBucket.kind, "token-bucket");
    assert.equal(tokenBucket.refills(LIMIT), true);
    assert.equal(tokenBucket.capacity(LIMIT), 5);
  });

  it("lowers the level at the rate, and counts a part of a unit as used", () => {
    const cases: [string, TokenBucketState | undefined, nowMs: number, expected: number][] = [
      ["nothing", undefined, 1000, 0],
      ["full", FULL, 1000, 5],
      ["one ms before a unit is back", FULL, 1003, 5],
      ["a unit is back", FULL, 1004, 4],
      ["a unit is back without rest", FULL, 1010, 2],
      ["the last ms", FULL, 1016, 1],
      ["empty", FULL, 1017, 0],
      ["empty without rest", state(1000, 30, 1010), 1010, 0],
      ["long empty", FULL, Number.MAX_SAFE_INTEGER, 0],
      ["a clock set back", FULL, 400, 5],
    ];
    for (const [name, given, nowMs, expected] of cases)
      assert.equal(tokenBucket.used(LIMIT, given, nowMs), expected, name);
    const steep: TokenBucketLimit = { algorithm: "token-bucket", burst: 5, levelPerUnit: 1, levelPerMs: 7 };
    assert.equal(tokenBucket.used(steep, state(1000, 5, 1001, 1), 1001), 0, "never below zero");
  });

  it("frees units at the rate", () => {
    const cases: [burst: number, units: number, nowMs: number, expected: number][] = [
      [5, 0, 1000, 0],
      [5, 1, 1000, 4],
      [5, 1, 1003, 1],
      [5, 1, 1004, 0],
      [5, 2, 1000, 7],
      [5, 3, 1000, 10],
      [5, 3, 1010, 0],
      [5, 5, 1000, 17],
      [6, 1, 1000, 0],
      [4, 0, 1000, 4],
      [4, 4, 1000, 17],
      [5, 0, 400, 0],
      [5, 1, 400, 604],
    ];
    for (const [burst, units, nowMs, expected] of cases) {
      const name = `${units} of ${burst} units at ${nowMs}`;
      assert.equal(tokenBucket.freeAfterMs({ ...LIMIT, burst }, FULL, units, nowMs), expected, name);
    }
  });

  it("books onto the level", () => {
    const cases: [string, TokenBucketState | undefined, cost: number, nowMs: number, TokenBucketState][] = [
      ["the first", undefined, 5, 1000, FULL],
      ["at the epoch itself", undefined, 3, 0, state(0, 30, 10)],
      ["onto what is left", FULL, 1, 1004, state(1004, 48, 1020)],
      ["onto an empty level", state(1000, 30, 1010), 1, 1010, state(1010, 10, 1014)],
      ["at the latest instant seen when the clock is set back", state(1000, 10, 1004), 2, 400, state(1000, 30, 1010)],
    ];
    for (const [name, given, cost, nowMs, expected] of cases) {
      assert.deepEqual(tokenBucket.book(LIMIT, given, cost, nowMs), expected, name);
    }
  });

  it("converts the level of another rate, debt as well, rounded up to units", () => {
    const cases: [string, TokenBucketState, expected: number][] = [
      ["whole units", state(1000, 8, 1100, 4), 2],
      ["a begun unit", state(1000, 9, 1100, 4), 3],
      ["more than the burst", state(1000, 398, 2000, 4), 100],
    ];
    for (const [name, given, expected] of cases) {
      assert.equal(tokenBucket.used(LIMIT, given, 1000), expected, name);
      const wait = Math.ceil((expected * 10) / 3);
      assert.equal(tokenBucket.freeAfterMs(LIMIT, given, 5, 1000), wait, name);
      assert.equal(tokenBucket.used(LIMIT, given, 1000 + wait - 1), 1, name);
      assert.equal(tokenBucket.used(LIMIT, given, 1000 + wait), 0, name);
    }
  });

  it("keeps the exact level when only the burst or the pace changes", () => {
    const given = state(1000, 41, 1014);
    assert.deepEqual(tokenBucket.book(LIMIT, given, 0, 1000), given);
    assert.equal(tokenBucket.used({ ...LIMIT, burst: 2 }, given, 1000), 5);
    assert.equal(tokenBucket.used({ ...LIMIT, levelPerMs: 41 }, given, 1001), 0);
    assert.equal(tokenBucket.used({ ...LIMIT, levelPerMs: 40 }, given, 1001), 1);
  });

  it("books beyond the burst, and lets the overshoot drain at the rate", () => {
    const cases: [string, TokenBucketState | undefined, cost: number, nowMs: number, TokenBucketState][] = [
      ["at once", undefined, 6, 1000, state(1000, 60, 1020)],
      ["onto a full bucket", FULL, 1, 1000, state(1000, 60, 1020)],
      ["onto debt", state(1000, 60, 1020), 2, 1001, state(1001, 77, 1027)],
    ];
    for (const [name, given, cost, nowMs, expected] of cases) {
      assert.deepEqual(tokenBucket.book(LIMIT, given, cost, nowMs), expected, name);
    }
    const debt = state(1001, 77, 1027);
    assert.equal(tokenBucket.used(LIMIT, debt, 1001), 8);
    assert.equal(tokenBucket.freeAfterMs(LIMIT, debt, 0, 1001), 9);
    assert.equal(tokenBucket.freeAfterMs(LIMIT, debt, 1, 1001), 13);
    assert.equal(tokenBucket.freeAfterMs(LIMIT, debt, 5, 1001), 26);
  });

  it("saturates at 2^52, by whole units", () => {
    const most = 2 ** 52;
    const cases: [string, level: number, cost: number, expected: number][] = [
      ["just below", most - 31, 3, most - 1],
      ["just at it", most - 30, 3, most],
      ["a unit too many", most - 29, 3, most - 9],
      ["more than there can be", most - 29, Number.MAX_SAFE_INTEGER, most - 9],
      ["no room for a unit", most - 9, 1, most - 9],
      ["full", most, 1, most],
      ["all at once", 0, Number.MAX_SAFE_INTEGER, most - 6],
    ];
    for (const [name, level, cost, expected] of cases) {
      const expiresAtMs = 1000 + Math.ceil(expected / 3);
      assert.deepEqual(
        tokenBucket.book(LIMIT, state(1000, level, 1001), cost, 1000),
        state(1000, expected, expiresAtMs),
        name,
      );
    }
    const units = Math.floor(most / 10);
    assert.equal(tokenBucket.used(LIMIT, state(1000, most, 1001, 1), 1000), units, "a level of smaller units");
    assert.equal(
      tokenBucket.used(LIMIT, state(1000, units * 3, 1001, 3), 1000),
      units,
      "as many units as there is room for",
    );
    assert.equal(tokenBucket.used(LIMIT, state(1000, units * 3 - 3, 1001, 3), 1000), units - 1, "one less");
    const paid = tokenBucket.book({ ...LIMIT, levelPerMs: 1 }, undefined, Number.MAX_SAFE_INTEGER, 2 ** 52);
    assert.ok(Number.isSafeInteger(paid.expiresAtMs));
    assert.equal(tokenBucket.used({ ...LIMIT, levelPerMs: 1 }, paid, paid.expiresAtMs - 1), 1);
  });

  it("stays exact near 2^52", () => {
    const burst = 2 ** 51 - 1;
    const limit: TokenBucketLimit = { algorithm: "token-bucket", burst, levelPerUnit: 1, levelPerMs: 1 };
    const given = tokenBucket.book(limit, undefined, burst, 1000);
    assert.equal(tokenBucket.used(limit, given, 1001), burst - 1);
    assert.equal(tokenBucket.freeAfterMs(limit, given, burst, 1001), burst - 1);
    assert.equal(given.expiresAtMs, 1000 + burst);
  });

  it("gives back unneeded units, but no more than is left of the level up to the hold", () => {
    const cases: [string, TokenBucketState, Level, units: number, nowMs: number, expected: number][] = [
      ["nothing", FULL, level(1000, 50), 0, 1000, 0],
      ["at once", FULL, level(1000, 50), 3, 1000, 30],
      ["what is left of it", FULL, level(1000, 30), 3, 1001, 27],
      ["what is left of all up to it", FULL, level(1000, 50), 3, 1007, 29],
      ["just as much", FULL, level(1000, 48), 3, 1006, 30],
      ["the last of it", FULL, level(1000, 30), 3, 1009, 3],
      ["nothing is left of it", FULL, level(1000, 30), 3, 1010, 0],
      ["onto a later booking", state(1010, 40, 1024), level(1000, 50), 3, 1011, 17],
      ["no more than the level", state(1000, 20, 1007), level(1000, 50), 3, 1000, 20],
      ["no more than is left of the level", state(1000, 20, 1007), level(1000, 50), 3, 1002, 14],
      ["at the latest instant seen when the clock is set back", state(1005, 40, 1019), level(1000, 50), 5, 400, 35],
      ["a hold with units of another size", FULL, level(1000, 50, 20), 3, 1000, 0],
      ["a level of another unit", state(1000, 50, 1017, 20), level(1000, 50), 3, 1000, 0],
      ["more units than there can be", FULL, level(1000, 50), Number.MAX_SAFE_INTEGER, 1000, 50],
    ];
    for (const [name, given, at, units, nowMs, expected] of cases) {
      assert.equal(flow.returnable(LIMIT, given, at, units, nowMs), expected, name);
    }
    assert.deepEqual(flow.lowered(LIMIT, FULL, 30), state(1000, 20, 1007));
    assert.equal(flow.lowered({ ...LIMIT, levelPerMs: 5 }, FULL, 0), FULL);
    assert.deepEqual(flow.lowered(LIMIT, FULL, 50), state(1000, 0, 1000));
    assert.deepEqual(flow.lowered({ ...LIMIT, levelPerMs: 5 }, FULL, 1), state(1000, 49, 1010));
  });

  it("writes text and reads back nothing else", () => {
    for (const given of [FULL, state(0, 0, 0, 1), state(2 ** 52, 2 ** 52, 2 ** 52, 9)]) {
      const text = tokenBucket.encode(given);
      assert.equal(text, `g1 ${given.baseMs} ${given.level} ${given.levelPerUnit}`);
      assert.deepEqual(tokenBucket.decode(text, given.expiresAtMs), given);
    }
    const damaged = [
      "",
      "g1",
      "g2 1 1 1",
      "g1 1 1 0",
      "g1 1 1 01",
      "g1 -1 1 1",
      "g1 1 1.5 1",
      "g1 1 1 1 ",
      "g1 1  1 1",
    ];
    damaged.push("g1 9007199254740992 1 1", "g1 1 9007199254740992 1", "g1 1 1 9007199254740992", "g1 1 1 1\n", "7");
    const above = 2 ** 52 + 1;
    damaged.push(`g1 1 ${above} 1`, `g1 1 1 ${above}`, "g1 8 1 1");
    for (const text of damaged) assert.equal(tokenBucket.decode(text, 7), null, JSON.stringify(text));
    assert.equal(tokenBucket.decode(`g1 ${above} 1 1`, above), null);
    assert.equal(tokenBucket.decode("g1 1 1 1", -1), null);
  });
});
