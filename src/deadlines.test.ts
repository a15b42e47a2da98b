import assert from "node:assert/strict";
import { afterEach, describe, it, mock } from "node:test";
import { type Clock, sleep, type Timer } from "./clock.ts";
import { Deadlines, LateError, within } from "./deadlines.ts";

const DAY_MS = 86_400_000;

/** A clock with timers of its own, which says which are set. */
function handClock() {
  const timers = new Set<{ atMs: number; run: () => void; isKeeping: boolean }>();
  let nowMs = 0;
  const clock: Clock = {
    nowMs: () => nowMs,
    setTimer(ms, run): Timer {
      const timer = { atMs: nowMs + ms, run, isKeeping: true };
      timers.add(timer);
      return {
        cancel: () => void timers.delete(timer),
        ref() {
          timer.isKeeping = true;
        },
        unref() {
          timer.isKeeping = false;
        },
      };
    },
  };
  const pass = async (ms: number) => {
    nowMs += ms;
    for (const timer of timers) {
      if (timer.atMs > nowMs) continue;
      timers.delete(timer);
      timer.run();
    }
    await new Promise(setImmediate);
    await new Promise(setImmediate);
  };
  const set = () => Array.from(timers, ({ atMs, isKeeping }) => [atMs, isKeeping]);
  return { clock, pass, set };
}

const never = () => new Promise<string>(() => {});

/** What a promise came to so far. */
function outcome(promise: Promise<string>): { text: string } {
  const seen = { text: "waits" };
  promise.then(
    (value) => (seen.text = value),
    (error: Error) => (seen.text = error.message),
  );
  return seen;
}

describe("a time limit", () => {
  afterEach(() => mock.timers.reset());

  const standStill = (ms: number) => {
    const endsAtMs = performance.now() + ms;
    while (performance.now() < endsAtMs);
  };

  it("does not end at once when it is too long for a timer", async () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    const seen = outcome(within(2 ** 40, never()));
    mock.timers.tick(DAY_MS);
    for (let i = 0; i < 10; i++) await new Promise(setImmediate);
    assert.equal(seen.text, "waits");
  });

  it("adds once more the time in which the process stood still, because nothing could answer then", async () => {
    const startMs = performance.now();
    const slow = within(300, new Promise((resolve) => setTimeout(() => setTimeout(resolve, 100, "answered"), 300)));
    const silent = within(300, never()).catch((error: Error) => error);
    await sleep(0);
    standStill(550);
    assert.equal(await slow, "answered");
    assert.match(String(await silent), /no answer within 300 ms/);
    assert.ok(performance.now() - startMs >= 700);
  });

  it("leaves no timer behind", async () => {
    const { clock, set } = handClock();
    assert.equal(await within(100, Promise.resolve("answered"), { clock }), "answered");
    await assert.rejects(within(100, Promise.reject(new Error("failed")), { clock }), /failed/);
    assert.deepEqual(set(), []);
  });
});

describe("deadlines", () => {
  it("share a timer, which is set to the first of them", async () => {
    const { clock, pass, set } = handClock();
    const deadlines = new Deadlines(clock);
    const late = outcome(deadlines.within(100, never()));
    const answer = Promise.withResolvers<string>();
    const answered = outcome(deadlines.within(100, answer.promise));
    const later = outcome(deadlines.within(120, never()));
    const sooner = outcome(deadlines.within(40, never(), { deadlineMs: 90 }));
    assert.deepEqual(set(), [[40, true]]);
    answer.resolve("answered");
    await pass(40);
    assert.deepEqual([sooner.text, answered.text, late.text], ["no answer within 90 ms", "answered", "waits"]);
    assert.deepEqual(set(), [[100, true]]);
    await pass(60);
    assert.deepEqual([late.text, later.text], ["no answer within 100 ms", "waits"]);
    await pass(20);
    assert.equal(later.text, "no answer within 120 ms");
    assert.deepEqual(set(), []);
  });

  it("keep the process alive only while a caller waits", async () => {
    const { clock, set } = handClock();
    const deadlines = new Deadlines(clock);
    outcome(deadlines.within(100, never(), { isAwaited: false }));
    assert.deepEqual(set(), [[100, false]]);
    const answer = Promise.withResolvers<string>();
    const awaited = deadlines.within(100, answer.promise);
    assert.deepEqual(set(), [[100, true]]);
    answer.resolve("answered");
    await awaited;
    assert.deepEqual(set(), [[100, false]]);
    await assert.rejects(deadlines.within(100, Promise.reject(new Error("failed"))), /failed/);
    assert.deepEqual(set(), [[100, false]]);
  });

  it("keep the timer for the next one when nothing waits", async () => {
    const { clock, pass, set } = handClock();
    const deadlines = new Deadlines(clock);
    await deadlines.within(100, Promise.resolve());
    await pass(10);
    const late = deadlines.within(100, never());
    assert.deepEqual(set(), [[100, true]]);
    const rejected = assert.rejects(late, LateError);
    await pass(90);
    assert.deepEqual(set(), [[110, true]]);
    await pass(10);
    await rejected;
  });
});
