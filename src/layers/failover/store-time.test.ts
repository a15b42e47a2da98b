import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { runOn } from "../../clock.ts";
import { StoreTime } from "./store-time.ts";

const NOON_MS = Date.UTC(2030, 0, 1, 12);
const HOUR_MS = 3_600_000;

afterEach(() => runOn(null));

/** A machine whose wall clock may jump. */
function machine() {
  const clocks = { wallMs: NOON_MS, monotonicMs: 100.5 };
  const none = { cancel() {}, ref() {}, unref() {} };
  runOn({
    wallMs: () => clocks.wallMs,
    monotonicMs: () => clocks.monotonicMs,
    startTimer: () => none,
    startInterval: () => none,
    nextTurn() {},
    afterReads() {},
  });
  return clocks;
}

describe("the store's time before the store has answered", () => {
  it("begins with the machine's clock, and does not jump with it", () => {
    const clocks = machine();
    const time = new StoreTime();
    assert.equal(time.nowMs(), NOON_MS);
    clocks.monotonicMs += 1_000;
    clocks.wallMs += HOUR_MS;
    assert.equal(time.nowMs(), NOON_MS + 1_000);
  });

  it("is corrected by how wrong it was, also when the machine's clock has jumped meanwhile", () => {
    const clocks = machine();
    const time = new StoreTime();
    const guessedMs = time.nowMs();
    clocks.wallMs += HOUR_MS;
    time.learn(NOON_MS + 7, clocks.monotonicMs);
    assert.equal(guessedMs + time.correctionMs, NOON_MS + 7);
    assert.equal(time.nowMs(), NOON_MS + 7);
  });
});
