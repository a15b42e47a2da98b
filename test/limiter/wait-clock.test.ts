// Calls wait by the clock of the limiter's store: how long exactly, for every algorithm, without any real time.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createLimiter, type PolicyInput } from "tollgate";
import { memoryStore } from "tollgate/stores/memory";
import { fakeClock } from "tollgate/testing";
import { slowStore } from "../layers/slow-store.ts";

type LimitInput = PolicyInput["limits"][number];

const LIMITS: Readonly<Record<string, LimitInput>> = {
  "token-bucket": { name: "a", per: ["session"], algorithm: "token-bucket", window: "1s", quota: 3, burst: 1 },
  "tokenBucket with a burst": {
    name: "a",
    per: ["session"],
    algorithm: "token-bucket",
    window: "10s",
    quota: 7,
    burst: 3,
  },
  "sliding-window": { name: "a", per: ["session"], algorithm: "sliding-window", window: "1m", quota: 2 },
  "fixed-window": { name: "a", per: ["session"], algorithm: "fixed-window", window: "1m", quota: 2 },
  "fixed-window from the first use": {
    name: "a",
    per: ["session"],
    algorithm: "fixed-window",
    window: "1m",
    align: "first-use",
    quota: 2,
  },
  "fixed-window of a calendar": {
    name: "a",
    per: ["session"],
    algorithm: "fixed-window",
    window: "day",
    quota: 2,
  },
  quota: { name: "a", per: ["session"], quota: 2, resetAfterIdle: "10m" },
};

/** Ten minutes before midnight, in the middle of a minute. */
const START_MS = Date.UTC(2030, 0, 1, 23, 50, 30);
const CALL = { tool: "search", session: "s1" };

const turns = async () => {
  for (let i = 0; i < 20; i++) await new Promise(setImmediate);
};

for (const [name, limit] of Object.entries(LIMITS)) {
  for (const [where, make] of Object.entries({
    memory: () => {
      const clock = fakeClock(START_MS);
      return { clock, store: memoryStore({ clock }) };
    },
    "a slow store": () => slowStore(START_MS),
  })) {
    describe(`a call that waits behind ${name} in ${where}`, () => {
      const start = async () => {
        const { clock, store } = make();
        const limiter = createLimiter({ policy: { version: 1, limits: [limit] }, store });
        let denied = await limiter.consume(CALL);
        while (denied.allowed) denied = await limiter.consume(CALL);
        // A decision does not advise to wait for a budget, but a caller may.
        const retryAfterMs = name === "quota" ? 600_000 : denied.retryAfterMs;
        assert.ok(retryAfterMs !== null && retryAfterMs > 1);
        return { clock, limiter, retryAfterMs };
      };

      it("is allowed when it may wait exactly until units are free", async () => {
        const { clock, limiter, retryAfterMs } = await start();
        let allowed: boolean | null = null;
        const waiting = limiter.consume(CALL, { maxWaitMs: retryAfterMs }).then((decision) => {
          allowed = decision.allowed;
        });
        await turns();
        clock.advance(retryAfterMs - 1);
        await turns();
        assert.equal(allowed, null, "it did not wait to the end");
        clock.advance(1);
        await waiting;
        assert.equal(allowed, true);
        await limiter.close();
      });

      it("is denied at once when it may wait one millisecond less", async () => {
        const { limiter, retryAfterMs } = await start();
        const denied = await limiter.consume(CALL, { maxWaitMs: retryAfterMs - 1 });
        assert.deepEqual([denied.allowed, denied.retryAfterMs], [false, name === "quota" ? null : retryAfterMs]);
        await limiter.close();
      });

      it("is allowed when the time has passed before it sleeps", async () => {
        const { clock, limiter, retryAfterMs } = await start();
        const waiting = limiter.consume(CALL, { maxWaitMs: retryAfterMs });
        clock.advance(retryAfterMs);
        assert.equal((await waiting).allowed, true);
        await limiter.close();
      });
    });
  }
}

describe("calls in the queue of a token bucket", () => {
  it("have their turns at the rate of the limit, the last one exactly at the end of its wait", async () => {
    const clock = fakeClock(START_MS);
    const policy: PolicyInput = {
      version: 1,
      limits: [{ name: "a", per: ["session"], algorithm: "token-bucket", window: "1s", quota: 10, burst: 1 }],
    };
    const limiter = createLimiter({ policy, store: memoryStore({ clock }) });
    await limiter.consume(CALL);
    const servedAtMs: number[] = [];
    const calls = Array.from({ length: 4 }, async () => {
      const { allowed } = await limiter.consume(CALL, { maxWaitMs: 300 });
      if (allowed) servedAtMs.push(clock.nowMs() - START_MS);
      return allowed;
    });
    await turns();
    for (let i = 0; i < 300; i++) {
      clock.advance(1);
      await turns();
    }
    assert.deepEqual(await Promise.all(calls), [true, true, true, false]);
    assert.deepEqual(servedAtMs, [100, 200, 300]);
    await limiter.close();
  });
});

describe("a fake clock", () => {
  it("fires timers in their order, each at its instant, and no cancelled ones", () => {
    const clock = fakeClock(1_000);
    const called: (readonly [string, number])[] = [];
    const note = (name: string) => () => called.push([name, clock.nowMs()]);
    clock.setTimer(30, note("c"));
    clock.setTimer(10, () => {
      note("a")();
      clock.setTimer(5, note("b"));
    });
    clock.setTimer(30, note("d"));
    clock.setTimer(20, note("never")).cancel();
    clock.setTimer(31, note("later"));
    clock.advance(-5);
    clock.advance(35);
    assert.deepEqual(called, [
      ["a", 1_010],
      ["b", 1_015],
      ["c", 1_030],
      ["d", 1_030],
    ]);
    assert.equal(clock.nowMs(), 1_030);
  });
});
