import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CounterState } from "./rules/counter.ts";
import { type BudgetLimit, budget } from "./budget.ts";

const FROM_LAST: BudgetLimit = { algorithm: "budget", quota: 5, ttlMs: 100, ttlFrom: "last" };
const FROM_FIRST: BudgetLimit = { ...FROM_LAST, ttlFrom: "first" };

function counter(spent: number, expiresAtMs: number): CounterState {
  return { kind: "counter", spent, expiresAtMs };
}

describe("budget", () => {
  it("is a counter whose units come back during a wait only where nothing restarts the ttl", () => {
    assert.equal(budget.kind, "counter");
    assert.deepEqual([FROM_LAST, FROM_FIRST].map(budget.refills), [false, true]);
    assert.equal(budget.capacity(FROM_LAST), 5);
  });

  it("books into the life of the scope", () => {
    const cases: [string, BudgetLimit, CounterState | undefined, cost: number, nowMs: number, CounterState][] = [
      ["the first charge starts the ttl", FROM_LAST, undefined, 2, 1000, counter(2, 1100)],
      ["also when counted from it", FROM_FIRST, undefined, 2, 1000, counter(2, 1100)],
      ["a charge restarts the ttl", FROM_LAST, counter(2, 1100), 3, 1099, counter(5, 1199)],
      ["but not when counted from the first", FROM_FIRST, counter(2, 1100), 3, 1099, counter(5, 1100)],
      ["a clock set back does not shorten a life", FROM_LAST, counter(2, 1100), 1, 400, counter(3, 1100)],
      ["nor does a shorter ttl", { ...FROM_LAST, ttlMs: 10 }, counter(2, 1100), 1, 1050, counter(3, 1100)],
      ["a longer ttl counts at once", { ...FROM_LAST, ttlMs: 900 }, counter(2, 1100), 1, 1050, counter(3, 1950)],
    ];
    for (const [name, limit, state, cost, nowMs, expected] of cases) {
      assert.deepEqual(budget.book(limit, state, cost, nowMs), expected, name);
    }
  });

  it("books beyond the quota, and saturates at 2^53 - 1", () => {
    const most = Number.MAX_SAFE_INTEGER;
    const cases: [spent: number | undefined, cost: number, expected: number][] = [
      [undefined, 6, 6],
      [5, 1, 6],
      [7, 9, 16],
      [undefined, most, most],
      [most - 3, 2, most - 1],
      [most - 3, 3, most],
      [most - 3, 4, most],
      [most - 3, most, most],
      [most, 1, most],
    ];
    for (const [spent, cost, expected] of cases) {
      const state = spent === undefined ? undefined : counter(spent, 1100);
      assert.deepEqual(budget.book(FROM_FIRST, state, cost, 1000), counter(expected, 1100), `${cost} beside ${spent}`);
    }
  });

  it("counts spent units as used, also beyond a quota that was lowered", () => {
    assert.equal(budget.used(FROM_LAST, undefined, 1000), 0);
    assert.equal(budget.used(FROM_LAST, counter(3, 1100), 1099), 3);
    assert.equal(budget.used({ ...FROM_LAST, quota: 1 }, counter(3, 1100), 1099), 3);
  });

  it("frees all units when the state expires", () => {
    const cases: [spent: number, units: number, nowMs: number, expected: number][] = [
      [3, 0, 1000, 0],
      [3, 2, 1000, 0],
      [3, 3, 1000, 100],
      [3, 5, 1000, 100],
      [3, 5, 1099, 1],
      [5, 0, 1000, 0],
      [5, 1, 1000, 100],
      [7, 0, 1000, 100],
      [3, 3, 400, 700],
    ];
    for (const [spent, units, nowMs, expected] of cases) {
      const name = `${units} units beside ${spent} at ${nowMs}`;
      assert.equal(budget.freeAfterMs(FROM_LAST, counter(spent, 1100), units, nowMs), expected, name);
    }
  });

  it("writes a plain integer, and reads only that", () => {
    for (const spent of [0, 1, 10, Number.MAX_SAFE_INTEGER]) {
      const text = budget.encode(counter(spent, 7));
      assert.equal(text, String(spent));
      assert.deepEqual(budget.decode(text, 7), counter(spent, 7));
    }
    for (const text of ["", " ", "-1", "+1", "01", "1.5", "1e3", "0x1", "1 ", "1\n", "NaN", "9007199254740992", "s1"]) {
      assert.equal(budget.decode(text, 7), null, JSON.stringify(text));
    }
  });
});
