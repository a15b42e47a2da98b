import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { About } from "../phrases.ts";
import { cooldown } from "./cooldown.ts";
import type { CooldownLimit, CooldownState } from "./rules/cooldown.ts";

const LIMIT: CooldownLimit = { algorithm: "cooldown", quota: 1, pauseMs: 100 };
const LONGER: CooldownLimit = { ...LIMIT, pauseMs: 250 };
const MAX = Number.MAX_SAFE_INTEGER;

function begun(beganMs: number, expiresAtMs: number): CooldownState {
  return { kind: "cooldown", beganMs, expiresAtMs };
}

describe("cooldown", () => {
  it("allows one call, and the next one when the pause is over", () => {
    const state = cooldown.book(LIMIT, undefined, 1, 1000);
    assert.deepEqual(state, begun(1000, 1100));
    assert.equal(cooldown.capacity(LIMIT), 1);
    const cases: [nowMs: number, used: number, waitMs: number][] = [
      [1000, 1, 100],
      [1099, 1, 1],
      [1100, 0, 0],
    ];
    for (const [nowMs, used, waitMs] of cases) {
      assert.equal(cooldown.used(LIMIT, state, nowMs), used, String(nowMs));
      assert.equal(cooldown.freeAfterMs(LIMIT, state, 1, nowMs), waitMs, String(nowMs));
    }
    assert.equal(cooldown.used(LIMIT, undefined, 1000), 0);
    assert.equal(cooldown.freeAfterMs(LIMIT, state, 0, 1000), 0);
  });

  it("begins the pause with each call that passes, at any cost", () => {
    const state = begun(1000, 1100);
    assert.deepEqual(cooldown.book(LIMIT, state, 7, 1050), begun(1050, 1150));
    assert.deepEqual(cooldown.book(LIMIT, state, MAX, 1000), begun(1000, 1100));
    // An earlier call, which is booked late, does not shorten the pause.
    assert.equal(cooldown.book(LIMIT, state, 1, 900), state);
  });

  it("keeps the shorter of two pauses between calls with different pauses", () => {
    const short = cooldown.book(LIMIT, undefined, 1, 1000);
    const long = cooldown.book(LONGER, undefined, 1, 1000);
    assert.equal(cooldown.freeAfterMs(LIMIT, long, 1, 1000), 100);
    assert.equal(cooldown.used(LIMIT, long, 1100), 0);
    // The state of the short pause ends before the longer pause is over.
    assert.equal(Math.min(cooldown.freeAfterMs(LONGER, short, 1, 1000), short.expiresAtMs - 1000), 100);
  });

  it("ends the pause of a call that is undone, and of no other call", () => {
    const state = begun(1000, 1100);
    assert.deepEqual(cooldown.takeBack?.(LIMIT, state, begun(1000, 1100), 1, 1010), begun(1000, 0));
    assert.equal(cooldown.takeBack?.(LIMIT, state, begun(990, 1090), 1, 1010), state);
  });

  it("moves a pause that began ahead of the clock to now", () => {
    const state = begun(5000, 5100);
    assert.deepEqual(cooldown.notAhead(LIMIT, state, 1000), begun(1000, 1100));
    assert.equal(cooldown.notAhead(LIMIT, state, 5000), state);
  });

  it("is written as text and read back", () => {
    for (const state of [begun(1000, 1100), begun(0, 1), begun(2 ** 52, 2 ** 52)]) {
      const text = cooldown.encode(state);
      assert.equal(text, `p1 ${state.beganMs}`);
      assert.deepEqual(cooldown.decode(text, state.expiresAtMs), state);
    }
    for (const text of ["", "p1", "p1 ", "p2 5", "p1 -1", "p1 1.5", "p1 5 5", "5", `p1 ${2 ** 53}`, "p1 1101"]) {
      assert.equal(cooldown.decode(text, 1100), null, JSON.stringify(text));
    }
    assert.equal(cooldown.decode("p1 5", -1), null);
  });

  it("allows two calls at least a pause apart, and a call at the promised instant", () => {
    const property = fc.property(
      fc.integer({ min: 1, max: 50 }),
      fc.array(fc.integer({ min: 0, max: 30 }), { minLength: 1, maxLength: 40 }),
      (pauseMs, steps) => {
        const limit = { ...LIMIT, pauseMs };
        let [nowMs, lastMs] = [1000, Number.NEGATIVE_INFINITY];
        let state: CooldownState | undefined;
        for (const stepMs of steps) {
          nowMs += stepMs;
          const live = state !== undefined && nowMs < state.expiresAtMs ? state : undefined;
          const isFree = cooldown.used(limit, live, nowMs) === 0;
          assert.equal(isFree, nowMs - lastMs >= pauseMs);
          if (live !== undefined) assert.equal(cooldown.freeAfterMs(limit, live, 1, nowMs), lastMs + pauseMs - nowMs);
          if (isFree) [state, lastMs] = [cooldown.book(limit, live, 1, nowMs), nowMs];
        }
      },
    );
    fc.assert(property, { seed: 20_261_129, numRuns: 500 });
  });

  it("is not divided in an outage, and is longer among more instances", () => {
    const { outage } = cooldown;
    assert.deepEqual(outage.slowed(LIMIT, 4), { ...LIMIT, pauseMs: 400 });
    assert.equal(outage.lifeMs(LIMIT), 100);
    const use = { used: 1, seenAtMs: 1050, endsAtMs: 1100 };
    assert.equal(outage.bookedAtMs(LIMIT, 1050, 1100), 1000);
    assert.deepEqual(outage.stateOf(LIMIT, use, LIMIT), begun(1000, 1100));
    assert.equal(outage.sliceOf(LIMIT, 1000), "cooldown");
    assert.equal(cooldown.asCounter(LIMIT, 1000), null);
  });

  it("says what to do, also where the pause is longer than a timer can wait", () => {
    const verdict = {
      limit: "pause",
      allowed: false,
      exceeded: true,
      mode: "enforce",
      unit: "calls",
      cost: 1,
      quota: 1,
      capacity: 1,
      remaining: 0,
      windowMs: 2_000,
      resetAfterMs: 1_500,
    } as const;
    const limit = { per: ["tool"], message: null, notice: { message: null }, tools: null, isOfModel: false };
    const about: About = {
      limit: { ...limit, calendar: null, distinct: null },
      tool: "search",
      verdict: { ...verdict, retryAfterMs: null },
      total: 1,
      used: 1,
      waitMs: 3_000_000_000,
      isBorrowed: false,
      isOpen: true,
      isClosed: false,
      isFinal: true,
    };
    const subject = { text: "search", isMany: false };
    const spec = { ...LIMIT, pauseMs: 3_456_000_000 };
    assert.equal(
      cooldown.words.denial(spec, about, subject),
      "calls of search must begin at least 40 days apart. Do not call it again; other tools are still available.",
    );
    const soon = { ...about, verdict: { ...verdict, retryAfterMs: 1_500 } };
    assert.equal(
      cooldown.words.denial({ ...LIMIT, pauseMs: 2_000 }, soon, subject),
      "calls of search must begin at least 2 seconds apart. Wait 2 seconds before the next call of search, or go on without it; other tools are still available.",
    );
    assert.equal(
      cooldown.words.warning({ ...LIMIT, pauseMs: 2_000 }, soon, subject),
      "calls of search must begin at least 2 seconds apart. This call came too early; wait before you call it again.",
    );
    assert.equal(cooldown.words.near(LIMIT, soon, subject), "Wait 2 seconds before the next call of search.");
  });
});
