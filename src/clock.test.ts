import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it, mock } from "node:test";
import { delayOf, sleep } from "./clock.ts";

const MAX_DELAY_MS = 2 ** 31 - 1;
const DAY_MS = 86_400_000;

describe("a delay", () => {
  it("is never negative, and never longer than a timer takes", () => {
    const cases: [ms: number, delayMs: number][] = [
      [-171, 0],
      [Number.NEGATIVE_INFINITY, 0],
      [Number.NaN, 0],
      [0, 0],
      [0.5, 0.5],
      [1_000, 1_000],
      [MAX_DELAY_MS, MAX_DELAY_MS],
      [2 ** 31, MAX_DELAY_MS],
      [2 ** 53, MAX_DELAY_MS],
      [Number.POSITIVE_INFINITY, MAX_DELAY_MS],
    ];
    for (const [ms, delayMs] of cases) assert.equal(delayOf(ms), delayMs, String(ms));
  });
});

describe("sleep", () => {
  beforeEach(() => mock.timers.enable({ apis: ["setTimeout"] }));
  afterEach(() => mock.timers.reset());

  /** Whether a promise has settled once all that could run has run. */
  async function isSettled(promise: Promise<unknown>): Promise<boolean> {
    let settled = false;
    promise.then(
      () => (settled = true),
      () => (settled = true),
    );
    for (let i = 0; i < 10; i++) await new Promise(setImmediate);
    return settled;
  }

  it("takes exactly its time, also a time that is too long for one timer", async () => {
    const asleep = sleep(30 * DAY_MS);
    for (const ms of [1, MAX_DELAY_MS - 1, 30 * DAY_MS - MAX_DELAY_MS - 1]) {
      mock.timers.tick(ms);
      assert.equal(await isSettled(asleep), false);
    }
    mock.timers.tick(1);
    assert.equal(await isSettled(asleep), true);
  });

  it("resolves at once when no time is left, without a warning", async () => {
    const warnings: Error[] = [];
    const listen = (warning: Error) => warnings.push(warning);
    process.on("warning", listen);
    mock.timers.reset();
    await Promise.all([-171, Number.NaN, 0].map(sleep));
    await new Promise(setImmediate);
    process.off("warning", listen);
    assert.deepEqual(warnings, []);
  });
});
