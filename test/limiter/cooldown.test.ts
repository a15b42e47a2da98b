// A limit that is a pause between two calls, as a program meets it.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createLimiter, type CooldownLimitInput, definePolicy, type PolicyInput } from "tollgate";
import { parsePolicy } from "tollgate/policy";
import { memoryStore } from "tollgate/stores/memory";
import { fakeClock } from "tollgate/testing";

const PAUSE: CooldownLimitInput = { name: "pause", per: ["session", "tool"], algorithm: "cooldown", pause: "2s" };
const CALL = { session: "s1", tool: "search" };

function limiterOf(limit: Partial<CooldownLimitInput> = {}, ...more: PolicyInput["limits"][number][]) {
  const clock = fakeClock(Date.UTC(2030, 0, 1));
  const policy = { version: 1, tools: { search: {} }, limits: [{ ...PAUSE, ...limit }, ...more] } as const;
  const limiter = createLimiter({ policy, store: memoryStore({ clock }) });
  return { limiter, clock };
}

describe("a cooldown", () => {
  it("denies a call within the pause, with the time of the next one", async () => {
    const { limiter, clock } = limiterOf();
    const [verdict] = (await limiter.consume(CALL)).verdicts;
    const { unit, cost, quota, capacity, remaining, windowMs, resetAfterMs } = verdict ?? assert.fail();
    assert.deepEqual([unit, cost, quota, capacity, remaining], ["calls", 1, 1, 1, 0]);
    assert.deepEqual([windowMs, resetAfterMs], [2_000, 2_000]);
    clock.advance(500);
    const denied = await limiter.consume(CALL);
    assert.equal(denied.retryAfterMs, 1_500);
    assert.equal(
      denied.message,
      "Limit reached (pause), call denied: calls of search must begin at least 2 seconds apart in this session. Wait 2 seconds before the next call of search, or go on without it; other tools are still available.",
    );
    assert.equal(denied.detail, "Limit reached: 1 call per 2 seconds per session and tool. Retry after 2 s.");
    assert.equal((await limiter.consume({ ...CALL, tool: "fetch" })).allowed, true);
    clock.advance(1_500);
    assert.equal((await limiter.consume(CALL)).allowed, true);
  });

  it("begins with a call of any cost, and not with a denied call or a peek", async () => {
    const budget = { name: "tokens", per: ["session"], unit: "tokens", quota: 10 } as const;
    const { limiter } = limiterOf({}, budget);
    assert.equal((await limiter.peek(CALL)).allowed, true);
    assert.equal((await limiter.consume({ ...CALL, cost: { tokens: 11 } })).allowed, false);
    assert.equal((await limiter.consume({ ...CALL, cost: { tokens: 0 } })).allowed, true);
    assert.equal((await limiter.peek(CALL)).deniedBy, "pause");
  });

  it("begins with run and reserve, and a release does not end it", async () => {
    const { limiter, clock } = limiterOf();
    const reserved = await limiter.reserve(CALL);
    assert.equal(reserved.allowed, true);
    if (reserved.allowed) await reserved.hold.release();
    assert.equal((await limiter.consume(CALL)).retryAfterMs, 2_000);
    clock.advance(2_000);
    await assert.rejects(
      limiter.run(CALL, () => {
        clock.advance(300);
        throw new Error("failed");
      }),
      /failed/,
    );
    assert.equal((await limiter.consume(CALL)).retryAfterMs, 1_700);
  });

  it("repeats the first answer for a retried call", async () => {
    const { limiter, clock } = limiterOf();
    await limiter.consume({ ...CALL, idempotencyKey: "k" });
    clock.advance(1_000);
    const again = await limiter.consume({ ...CALL, idempotencyKey: "k" });
    assert.deepEqual([again.allowed, again.replayed], [true, true]);
    assert.equal((await limiter.consume(CALL)).retryAfterMs, 1_000);
  });

  it("gives calls that wait turns one pause apart", async () => {
    const limiter = createLimiter({
      policy: { version: 1, limits: [{ ...PAUSE, pause: "20ms" }] },
      store: memoryStore(),
    });
    await limiter.consume(CALL);
    const turns: number[] = [];
    const waits = [1, 2, 3].map(async (turn) => {
      assert.equal((await limiter.consume(CALL, { maxWaitMs: 10_000 })).allowed, true);
      turns.push(turn);
    });
    const short = limiter.consume(CALL, { maxWaitMs: 1 });
    assert.equal((await short).allowed, false);
    await Promise.all(waits);
    assert.deepEqual(turns, [1, 2, 3]);
    await limiter.close();
  });

  it("shows its usage, is reset, and takes no grant", async () => {
    const { limiter, clock } = limiterOf();
    await limiter.consume(CALL);
    clock.advance(1_200);
    const [usage] = await limiter.usage(CALL);
    assert.deepEqual([usage?.used, usage?.remaining, usage?.resetAfterMs], [1, 0, 800]);
    const bucket = { ...CALL, limit: "pause" } as const;
    await assert.rejects(
      limiter.grant(bucket, { id: "g", units: 1, durationMs: 1_000 }),
      /expected a limit with a quota: a cooldown has only a pause, which reset ends/,
    );
    await limiter.reset(bucket);
    assert.equal((await limiter.consume(CALL)).allowed, true);
  });

  it("has other pauses for some calls", async () => {
    const overrides = [{ when: { plan: "pro" }, pause: "500ms" }] as const;
    const { limiter, clock } = limiterOf({ overrides });
    await limiter.consume({ ...CALL, plan: "pro" });
    const denied = await limiter.consume({ ...CALL, plan: "pro" });
    assert.deepEqual([denied.retryAfterMs, denied.verdicts[0]?.windowMs], [500, 500]);
    clock.advance(500);
    assert.equal((await limiter.consume({ ...CALL, plan: "pro" })).allowed, true);
    assert.equal((await limiter.consume({ ...CALL, session: "s2" })).allowed, true);
    assert.equal((await limiter.consume({ ...CALL, session: "s2" })).retryAfterMs, 2_000);
  });

  it("warns, gives a notice, and counts in shadow", async () => {
    const { limiter } = limiterOf({ mode: "warn" });
    await limiter.consume(CALL);
    assert.equal(
      (await limiter.consume(CALL)).notice,
      "Warning: calls of search must begin at least 2 seconds apart in this session. This call came too early; wait before you call it again.",
    );
    const noticed = limiterOf({ notice: { at: 0.5 } });
    assert.equal((await noticed.limiter.consume(CALL)).notice, "Wait 2 seconds before the next call of search.");
    const shadow = limiterOf({ mode: "shadow", per: [] });
    await shadow.limiter.consume(CALL);
    shadow.clock.advance(1_500);
    const second = await shadow.limiter.consume(CALL);
    assert.deepEqual([second.allowed, second.verdicts[0]?.exceeded], [true, true]);
    // The call was made, and begins the pause again.
    assert.equal(second.verdicts[0]?.resetAfterMs, 2_000);
    const all = limiterOf({ mode: "warn", per: [] });
    await all.limiter.consume(CALL);
    assert.match(String((await all.limiter.consume(CALL)).notice), /wait before you call again\.$/);
  });

  it("refuses keys that do not fit a pause", () => {
    const refuses = (keys: string, expected: RegExp) => {
      const text = `version: 1\nlimits: [{ name: p, per: [session], algorithm: cooldown, ${keys} }]`;
      assert.throws(() => parsePolicy(text), expected, keys);
    };
    refuses("pause: 2s, quota: 5", /limits\[0\]\.quota: expected no quota: a cooldown allots one call for each pause/);
    refuses("pause: 2s, quotas: { tool: { a: 5 } }", /expected no quotas: overrides with when and pause/);
    refuses("pause: 2s, onError: refund", /expected no onError/);
    refuses("pause: 2s, borrow: auto", /expected a key of cooldown/);
    refuses("pause: 2s, unit: tokens", /expected a key of cooldown/);
    refuses("pause: 2", /expected a duration/);
    refuses("overrides: []", /limits\[0\]\.pause: expected a duration/);
    refuses("pause: 2s, overrides: [{ when: { plan: pro }, quota: 5 }]", /pause/);
  });

  it("is known to the compiler", async () => {
    const policy = definePolicy({
      version: 1,
      limits: [{ name: "pause", per: ["session", "tool"], algorithm: "cooldown", pause: "2s" }],
    });
    const limiter = createLimiter({ policy, store: memoryStore() });
    assert.equal((await limiter.consume(CALL)).allowed, true);
  });
});
