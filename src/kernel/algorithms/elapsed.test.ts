import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { elapsed } from "./elapsed.ts";
import type { ElapsedLimit, ElapsedState } from "./rules/elapsed.ts";

const LIMIT: ElapsedLimit = { algorithm: "elapsed", quota: 50, ttlMs: 100 };

function seen(firstMs: number, expiresAtMs: number): ElapsedState {
  return { kind: "elapsed", firstMs, expiresAtMs };
}

describe("elapsed", () => {
  it("is time that does not come back during a wait", () => {
    assert.equal(elapsed.kind, "elapsed");
    assert.equal(elapsed.refills(LIMIT), false);
    assert.equal(elapsed.capacity(LIMIT), 50);
  });

  it("begins with the first call, and ends after an idle time", () => {
    const cases: [string, ElapsedLimit, ElapsedState | undefined, cost: number, nowMs: number, ElapsedState][] = [
      ["the first call", LIMIT, undefined, 0, 1000, seen(1000, 1100)],
      ["whatever it costs", LIMIT, undefined, 7, 1000, seen(1000, 1100)],
      ["a later one makes it live on", LIMIT, seen(1000, 1100), 0, 1099, seen(1000, 1199)],
      ["a clock set back does not shorten its life", LIMIT, seen(1000, 1100), 0, 400, seen(1000, 1100)],
      ["nor does a shorter ttl", { ...LIMIT, ttlMs: 10 }, seen(1000, 1100), 0, 1050, seen(1000, 1100)],
      ["a longer ttl counts at once", { ...LIMIT, ttlMs: 900 }, seen(1000, 1100), 0, 1050, seen(1000, 1950)],
    ];
    for (const [name, limit, state, cost, nowMs, expected] of cases) {
      assert.deepEqual(elapsed.book(limit, state, cost, nowMs), expected, name);
    }
  });

  it("counts the time since the first call as used, at least 0", () => {
    assert.equal(elapsed.used(LIMIT, undefined, 1000), 0);
    for (const [nowMs, used] of [
      [999, 0],
      [1000, 0],
      [1001, 1],
      [1070, 70],
    ] as const) {
      assert.equal(elapsed.used(LIMIT, seen(1000, 1100), nowMs), used, String(nowMs));
    }
  });

  it("frees all of it when the state ends", () => {
    const cases: [units: number, nowMs: number, expected: number][] = [
      [1, 1049, 0],
      [1, 1050, 50],
      [50, 1000, 0],
      [50, 1001, 99],
      [0, 1050, 0],
      [0, 1051, 49],
    ];
    for (const [units, nowMs, expected] of cases) {
      assert.equal(elapsed.freeAfterMs(LIMIT, seen(1000, 1100), units, nowMs), expected, `${units} at ${nowMs}`);
    }
  });

  it("is first seen now at the latest, and ends one ttl from now at the latest", () => {
    const state = seen(1000, 1000 + LIMIT.ttlMs);
    assert.equal(elapsed.notAhead(LIMIT, state, 1000), state);
    assert.deepEqual(elapsed.notAhead(LIMIT, state, 990), seen(990, 990 + LIMIT.ttlMs));
    assert.deepEqual(elapsed.notAhead(LIMIT, seen(900, 9000), 990), seen(900, 990 + LIMIT.ttlMs));
  });

  it("is written as text and read back, or is damaged", () => {
    for (const firstMs of [0, 1000, 1100]) {
      const text = elapsed.encode(seen(firstMs, 1100));
      assert.equal(text, `e1 ${firstMs}`);
      assert.deepEqual(elapsed.decode(text, 1100), seen(firstMs, 1100));
    }
    for (const text of ["", "e1", "e1 ", "e1 -1", "e1 1.5", "e1 x", "e2 5", " e1 5", "e1 5 ", "e1 5\n", "e1  5", "5"]) {
      assert.equal(elapsed.decode(text, 1100), null, JSON.stringify(text));
    }
    for (const [firstMs, expiresAtMs] of [
      [1101, 1100],
      [0, -1],
      [0, 0.5],
      [0, 2 ** 53],
    ]) {
      assert.equal(elapsed.decode(`e1 ${firstMs}`, expiresAtMs ?? 0), null, `${firstMs} ${expiresAtMs}`);
    }
  });
});
