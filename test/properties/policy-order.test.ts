// The order of limits changes no decision, and the limiter admits no more than each limit's own bound.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type BudgetLimitInput, createLimiter, type LimitInput } from "tollgate";
import { memoryStore } from "tollgate/stores/memory";
import { fakeClock } from "tollgate/testing";

const limits: LimitInput[] = [
  { name: "turn", per: ["session", "turn", "tool"], quota: 3, resetAfterIdle: "1s" },
  { name: "session", per: ["session", "tool"], quota: 8, quotas: { tool: { b: 2 } }, resetAfterIdle: "2s" },
  { name: "window", per: ["user"], onMissing: "skip", algorithm: "fixed-window", quota: 6, window: "500ms" },
  { name: "sliding", per: [], algorithm: "sliding-window", quota: 12, window: "1s" },
  { name: "rate", per: ["session"], algorithm: "token-bucket", quota: 10, window: "1s", burst: 4 },
  { name: "tokens", per: ["session"], unit: "tokens", quota: 30, resetAfterIdle: "1s" },
];

const turn = fc.record({
  advanceMs: fc.constantFrom(0, 0, 0, 1, 50, 250, 499, 1_000),
  call: fc.record({
    tool: fc.constantFrom("a", "b"),
    session: fc.constantFrom("s1", "s2"),
    turn: fc.constantFrom(1, 2),
    user: fc.constantFrom("u1", undefined),
    cost: fc.constantFrom(undefined, { tokens: 7 }, { tokens: 0 }, { calls: 2 }),
  }),
});

describe("the order of limits", () => {
  it("does not affect whether calls are allowed or when to retry", async () => {
    let denials = 0;
    const order = fc.shuffledSubarray(limits, { minLength: limits.length });
    await fc.assert(
      fc.asyncProperty(order, fc.array(turn, { minLength: 5, maxLength: 40 }), async (shuffled, turns) => {
        const clock = fakeClock();
        const [one, other] = [limits, shuffled].map((each) =>
          createLimiter({ policy: { version: 1, limits: each }, store: memoryStore({ clock }) }),
        );
        for (const { advanceMs, call } of turns) {
          clock.advance(advanceMs);
          const [first, second] = [await one?.consume(call), await other?.consume(call)];
          assert.deepEqual([first?.allowed, first?.retryAfterMs], [second?.allowed, second?.retryAfterMs]);
          if (first?.allowed === false) denials++;
        }
      }),
      { numRuns: 500, seed: 7 },
    );
    assert.ok(denials > 1_000, `${denials} denials`);
  });
});

describe("retryAfterMs of a decision", () => {
  it("is exact over several limits: denied one ms before, allowed at it", async () => {
    // A decision advises to wait for units that come back whatever else is called.
    const returning = limits.map((limit) => {
      const { resetAfterIdle, ...rest } = limit as BudgetLimitInput;
      return (resetAfterIdle === undefined ? limit : { ...rest, resetAfter: resetAfterIdle }) as LimitInput;
    });
    let retries = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(turn, { minLength: 5, maxLength: 40 }), async (turns) => {
        const clock = fakeClock();
        const limiter = createLimiter({ policy: { version: 1, limits: returning }, store: memoryStore({ clock }) });
        for (const { advanceMs, call } of turns) {
          clock.advance(advanceMs);
          const decision = await limiter.consume(call);
          if (decision.allowed || decision.retryAfterMs === null) continue;
          clock.advance(decision.retryAfterMs - 1);
          assert.equal((await limiter.peek(call)).allowed, false);
          clock.advance(1);
          assert.equal((await limiter.peek(call)).allowed, true);
          retries++;
        }
      }),
      { numRuns: 1_000, seed: 8 },
    );
    assert.ok(retries > 1_000, `${retries} retries`);
  });
});
