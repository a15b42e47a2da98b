import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { StreakLimit, StreakState } from "./rules/streak.ts";
import { streak } from "./streak.ts";

const LIMIT: StreakLimit = { algorithm: "streak", quota: 3, ttlMs: 100 };
const MAX = Number.MAX_SAFE_INTEGER;

function row(outcome: string, count: number, expiresAtMs: number): StreakState {
  return { kind: "streak", outcome, count, expiresAtMs };
}

describe("streak", () => {
  it("ends one ttl from now at the latest", () => {
    const limit = { algorithm: "streak", quota: 2, ttlMs: 100 } as const;
    const state = { kind: "streak", outcome: "error", count: 1, expiresAtMs: 1100 } as const;
    assert.equal(streak.notAhead(limit, state, 1000), state);
    assert.deepEqual(streak.notAhead(limit, state, 999), { ...state, expiresAtMs: 1099 });
  });

  it("is a streak that no wait shortens", () => {
    assert.equal(streak.kind, "streak");
    assert.equal(streak.refills(LIMIT), false);
    assert.equal(streak.capacity(LIMIT), 3);
  });

  it("counts equal outcomes in a row", () => {
    const cases: [string, StreakState | undefined, outcome: string | null, nowMs: number, StreakState | undefined][] = [
      ["the first", undefined, "error", 1000, row("error", 1, 1100)],
      ["one more", row("error", 1, 1100), "error", 1099, row("error", 2, 1199)],
      ["past the quota", row("error", 3, 1100), "error", 1000, row("error", 4, 1100)],
      ["another one", row("error", 3, 1100), "ok", 1050, row("ok", 1, 1150)],
      ["one that begins alike", row("error", 3, 1100), "err", 1050, row("err", 1, 1150)],
      ["none", row("error", 3, 1100), null, 1050, undefined],
      ["none of none", undefined, null, 1050, undefined],
      ["up to 2^53 - 1", row("error", MAX - 1, 1100), "error", 1000, row("error", MAX, 1100)],
      ["no further", row("error", MAX, 1100), "error", 1000, row("error", MAX, 1100)],
    ];
    for (const [name, state, outcome, nowMs, expected] of cases) {
      assert.deepEqual(streak.report?.(LIMIT, state, outcome, nowMs), expected, name);
    }
  });

  it("is not changed by what is booked", () => {
    assert.deepEqual(streak.book(LIMIT, row("error", 2, 1100), 5, 1050), row("error", 2, 1100));
    assert.deepEqual(streak.book(LIMIT, undefined, 5, 1050), row("-", 0, 1050), "ends at once");
  });

  it("counts the streak as used", () => {
    assert.equal(streak.used(LIMIT, undefined, 1000), 0);
    assert.equal(streak.used(LIMIT, row("error", 2, 1100), 1000), 2);
    assert.equal(streak.used(LIMIT, row("error", 7, 1100), 1000), 7);
  });

  it("frees everything when the streak is forgotten", () => {
    const cases: [count: number, units: number, nowMs: number, expected: number][] = [
      [2, 1, 1000, 0],
      [3, 1, 1000, 100],
      [3, 1, 1099, 1],
      [2, 2, 1000, 100],
      [3, 0, 1000, 0],
      [4, 0, 1000, 100],
    ];
    for (const [count, units, nowMs, expected] of cases) {
      const name = `${units} beside ${count} at ${nowMs}`;
      assert.equal(streak.freeAfterMs(LIMIT, row("error", count, 1100), units, nowMs), expected, name);
    }
  });

  it("is written as text and read back, or is damaged", () => {
    for (const state of [row("error", 1, 7), row("-", MAX, 7), row("A-b_9".repeat(12), 20, 7)]) {
      const text = streak.encode(state);
      assert.equal(text, `k1 ${state.outcome} ${state.count}`);
      assert.deepEqual(streak.decode(text, 7), state);
    }
    const long = "x".repeat(65);
    for (const text of ["", "k1", "k1 error", "k1 error ", "k1  3", "k1 error 0", "k1 error 03", "k1 error -1"]) {
      assert.equal(streak.decode(text, 7), null, JSON.stringify(text));
    }
    for (const text of [
      "k1 error 1.5",
      "k1 a b 3",
      "k1 a. 3",
      `k1 ${long} 3`,
      "k2 error 3",
      " k1 error 3",
      "k1 error 3\n",
    ]) {
      assert.equal(streak.decode(text, 7), null, JSON.stringify(text));
    }
    assert.equal(streak.decode("k1 error 9007199254740992", 7), null);
  });
});
