// The code that most users write first, and what it does.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createLimiter, type Decision, type LimitInput, type Limiter } from "tollgate";
import { memoryStore } from "tollgate/stores/memory";
import { fakeClock } from "tollgate/testing";

const CALL = { tool: "search", session: "s1" };

function limiterOf(limits: readonly LimitInput[], clock?: ReturnType<typeof fakeClock>): Limiter {
  return createLimiter({ policy: { version: 1, limits }, store: memoryStore(clock === undefined ? {} : { clock }) });
}

/** The obvious loop: wait as long as the decision says, and stop where it says nothing. */
async function persist(limiter: Limiter, wait: (ms: number) => unknown, most: number) {
  const waits: number[] = [];
  for (;;) {
    const decision = await limiter.consume(CALL);
    if (decision.allowed) return { waits, isAllowed: true };
    if (decision.retryAfterMs === null || waits.length >= most) return { waits, isAllowed: false };
    waits.push(decision.retryAfterMs);
    await wait(decision.retryAfterMs);
  }
}

describe("waiting for a denial", () => {
  const never: Record<string, LimitInput> = {
    "a budget that is used up": { name: "budget", per: ["session"], quota: 1 },
    "a tool that is not allowed": { name: "forbidden", per: ["tool"], quota: 0 },
    "a window that is longer than a timer": {
      name: "long",
      per: ["session"],
      quota: 1,
      algorithm: "fixed-window",
      window: "90d",
      align: "first-use",
    },
    "a rate beside a budget that is used up": { name: "budget", per: ["session"], quota: 1 },
  };
  for (const [name, limit] of Object.entries(never)) {
    it(`ends at once for ${name}`, async () => {
      const rate = { name: "rate", per: [], quota: 1, algorithm: "token-bucket", window: "1h" } as const;
      const limiter = limiterOf(name.startsWith("a rate") ? [rate, limit] : [limit]);
      if (limit.quota !== 0) assert.equal((await limiter.consume(CALL)).allowed, true);
      assert.deepEqual(await persist(limiter, sleep, 3), { waits: [], isAllowed: false });
    });
  }

  it("waits once where waiting helps, and is allowed then", async () => {
    const windows: LimitInput[] = [
      { name: "fixed", per: ["session"], quota: 1, algorithm: "fixed-window", window: "20d", align: "first-use" },
      { name: "sliding", per: ["session"], quota: 1, algorithm: "sliding-window", window: "1m" },
      { name: "rate", per: ["session"], quota: 1, algorithm: "token-bucket", window: "1m" },
      { name: "again", per: ["session"], quota: 1, resetAfter: "1h" },
    ];
    for (const limit of windows) {
      const clock = fakeClock();
      const limiter = limiterOf([limit], clock);
      await limiter.consume(CALL);
      const { waits, isAllowed } = await persist(limiter, (ms) => clock.advance(ms), 3);
      assert.deepEqual([waits.length, isAllowed], [1, true], limit.name);
      assert.ok((waits[0] ?? 0) <= 2 ** 31 - 1);
    }
  });

  it("has a text for people and one for the model, without a question mark", async () => {
    const limiter = limiterOf([{ name: "budget", per: ["session"], quota: 1 }]);
    const textOf = (decision: Decision): number =>
      decision.allowed ? 0 : decision.message.length + decision.detail.length;
    assert.equal(textOf(await limiter.consume(CALL)), 0);
    assert.ok(textOf(await limiter.consume(CALL)) > 0);
  });
});

describe("the denying limit", () => {
  it("is one field, also beside limits that warn or count", async () => {
    const limiter = limiterOf([
      { name: "no-progress", per: ["session"], algorithm: "streak", of: "errors", quota: 1, mode: "warn" },
      { name: "trial", per: ["session"], quota: 1, mode: "shadow" },
      { name: "hard", per: ["session"], quota: 2 },
    ]);
    await limiter.consume(CALL);
    await limiter.reportOutcome(CALL, { error: new Error("broken") });
    const second = await limiter.consume(CALL);
    assert.deepEqual([second.allowed, second.deniedBy], [true, null]);
    const third = await limiter.consume(CALL);
    assert.deepEqual([third.allowed, third.deniedBy], [false, "hard"]);
    for (const decision of [second, third]) {
      assert.equal(
        decision.allowed,
        decision.verdicts.every(({ allowed }) => allowed),
      );
    }
  });
});
