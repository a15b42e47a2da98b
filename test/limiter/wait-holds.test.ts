// `run` and `reserve` that wait: in the row of a token bucket, where the place becomes the hold at its turn, and behind other
// limits until the promised instant.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createLimiter, type Limiter, type LimiterEvent, type PolicyInput } from "tollgate";
import { memoryStore } from "tollgate/stores/memory";
import { fakeClock } from "tollgate/testing";
import { slowStore } from "../layers/slow-store.ts";
import { isMisuse } from "./fixture.ts";

/** A call in 200 ms, and 1,000 tokens a second, at most 1,000 at once. */
const RATES: PolicyInput = {
  version: 1,
  limits: [
    { name: "rate", per: ["session"], algorithm: "token-bucket", window: "1s", quota: 5, burst: 1 },
    { name: "tokens", per: ["session"], unit: "tokens", algorithm: "token-bucket", window: "1s", quota: 1_000 },
    { name: "total", per: ["session"], quota: 100 },
  ],
};
const CALL = { tool: "model", session: "s1" };

const turns = async () => {
  for (let i = 0; i < 30; i++) await new Promise(setImmediate);
};

function limiterFor(policy: PolicyInput, where = "memory") {
  const startMs = Date.UTC(2030, 0, 1);
  const memory = () => {
    const clock = fakeClock(startMs);
    return { clock, store: memoryStore({ clock }) };
  };
  const { clock, store } = where === "memory" ? memory() : slowStore(startMs);
  const events: LimiterEvent[] = [];
  const limiter = createLimiter({ policy, store, onEvent: (event) => events.push(event) });
  /** Units used, by limit. */
  const used = async () => {
    const usages = await limiter.usage({ session: "s1" });
    return Object.fromEntries(usages.map((usage) => [usage.limit, usage.used]));
  };
  const advance = async (ms: number, eachMs = ms) => {
    for (let leftMs = ms; leftMs > 0; leftMs -= eachMs) {
      clock.advance(eachMs);
      await turns();
    }
  };
  return { clock, limiter, events, used, advance, nowMs: () => clock.nowMs() - startMs };
}

for (const where of ["memory", "a slow store"]) {
  describe(`run with maxWaitMs in ${where}`, () => {
    it("runs each call at its turn, in order, at the rate of the limit", async () => {
      const { limiter, advance, nowMs, used } = limiterFor(RATES, where);
      const began: (readonly [number, number])[] = [];
      const calls = [0, 1, 2, 3, 4, 5].map((i) =>
        limiter.run(CALL, () => began.push([i, nowMs()]), { maxWaitMs: 5_000 }),
      );
      await turns();
      await advance(1_200, 50);
      const ran = await Promise.all(calls);
      assert.ok(ran.every(({ allowed }) => allowed));
      assert.deepEqual(
        began,
        [0, 1, 2, 3, 4, 5].map((i) => [i, i * 200]),
      );
      assert.equal((await used()).total, 6);
      await limiter.close();
    });

    it("holds a call's estimate from its turn, and refunds the rest", async () => {
      const { limiter, advance, used } = limiterFor(RATES, where);
      const call = { ...CALL, cost: { calls: 0, tokens: 1_000 } };
      const { promise: answered, resolve: answer } = Promise.withResolvers<void>();
      const first = limiter.run(call, () => {});
      await turns();
      assert.equal((await first).allowed, true);
      const second = limiter.run(
        call,
        async ({ addUsage }) => {
          addUsage({ tokens: 100 });
          await answered;
        },
        { maxWaitMs: 1_000 },
      );
      await turns();
      // Who does not wait is not let by, and who comes next waits for two thousand tokens.
      assert.equal((await limiter.run({ ...CALL, cost: { calls: 0, tokens: 1 } }, () => {})).allowed, false);
      await advance(1_000, 100);
      assert.equal((await used()).tokens, 1_000);
      answer();
      await second;
      assert.equal((await used()).tokens, 100);
      await limiter.close();
    });
  });
}

describe("reserve with maxWaitMs", () => {
  it("resolves at the call's turn to a hold that can be settled, released and extended", async () => {
    const { limiter, advance, used } = limiterFor(RATES);
    const call = { ...CALL, cost: { calls: 1, tokens: 10 } };
    const holds = Promise.all([0, 1, 2, 3].map(() => limiter.reserve(call, { maxWaitMs: 600, leaseMs: 1_000 })));
    await turns();
    await advance(600, 100);
    const [first, second, third, fourth] = await holds;
    assert.ok(first?.allowed && second?.allowed && third?.allowed && fourth?.allowed);
    const settled = await second.hold.settle({ tokens: 4 });
    assert.equal(settled.status, "settled");
    await third.hold.release();
    assert.equal(await fourth.hold.extend({ leaseMs: 5_000 }), true);
    assert.equal((await used()).total, 3);
    await advance(4_999, 4_999);
    assert.equal((await fourth.hold.settle({ tokens: 10 })).status, "settled");
    await limiter.close();
  });

  it("never admits two calls in room for one, when a reservation is released", async () => {
    const { limiter, advance, nowMs } = limiterFor({
      version: 1,
      limits: [{ name: "rate", per: ["session"], algorithm: "token-bucket", window: "1s", quota: 5, burst: 1 }],
    });
    const allowedAtMs: number[] = [];
    const ask = async (isReleased: boolean) => {
      const held = await limiter.reserve(CALL, { maxWaitMs: 10_000 });
      assert.ok(held.allowed);
      if (isReleased) await held.hold.release();
      else allowedAtMs.push(nowMs());
    };
    const calls = Array.from({ length: 12 }, (_, i) => ask(i % 3 === 1));
    await turns();
    await advance(3_000, 20);
    await Promise.all(calls);
    assert.equal(allowedAtMs.length, 8);
    for (const [i, atMs] of allowedAtMs.entries()) {
      if (i > 0) assert.ok(atMs - (allowedAtMs[i - 1] ?? 0) >= 200, `two calls within 200 ms: ${allowedAtMs}`);
    }
    await limiter.close();
  });

  it("ends its hold, also when a reload changed how its arguments are compared", async () => {
    const policyOf = (ignoreArgs: string[]): PolicyInput => ({
      version: 1,
      tools: { model: { ignoreArgs } },
      limits: [
        { name: "same", per: ["session", "args"], quota: 10 },
        { name: "at-once", per: ["session"], algorithm: "concurrency", quota: 1 },
      ],
    });
    const { limiter, used } = limiterFor(policyOf([]));
    const call = { ...CALL, args: { q: "a", at: 1 } };
    const first = await limiter.reserve(call);
    const asked = limiter.run(call, () => "ran", { maxWaitMs: 20_000 });
    await turns();
    limiter.reload(policyOf(["at"]));
    if (first.allowed) await first.hold.release();
    await turns();
    assert.equal((await asked).allowed, true);
    assert.equal((await used())["at-once"], 0);
    await limiter.close();
  });

  it("denies at once a call that would have to wait longer, or can never pass", async () => {
    const { limiter, used } = limiterFor(RATES);
    await limiter.run(CALL, () => {});
    const priced = { ...CALL, cost: { calls: 1, tokens: 1 } };
    const late = await limiter.reserve(priced, { maxWaitMs: 199 });
    assert.deepEqual([late.allowed, late.retryAfterMs], [false, 200]);
    const never = await limiter.reserve({ ...CALL, cost: { calls: 1, tokens: 1_001 } }, { maxWaitMs: 3_600_000 });
    assert.deepEqual([never.allowed, never.retryAfterMs], [false, null]);
    assert.deepEqual(await used(), { rate: 1, tokens: 0, total: 1 });
    await limiter.close();
  });

  it("tries again behind another limit at the promised instant", async () => {
    const { limiter, advance, nowMs } = limiterFor({
      version: 1,
      limits: [{ name: "window", per: ["session"], algorithm: "fixed-window", window: "1m", quota: 1 }],
    });
    await limiter.run(CALL, () => {});
    const waiting = limiter.run(CALL, () => nowMs(), { maxWaitMs: 60_000 });
    await turns();
    await advance(60_000);
    const ran = await waiting;
    assert.equal(ran.allowed && ran.value, 60_000);
    await limiter.close();
  });

  it("refuses a wait that is not a whole number of ms up to an hour", async () => {
    const { limiter } = limiterFor(RATES);
    for (const maxWaitMs of [-1, 0.5, 3_600_001, Number.NaN, "1s" as never]) {
      const isRefused = isMisuse("invalid-option", "maxWaitMs");
      await assert.rejects(
        limiter.run(CALL, () => {}, { maxWaitMs }),
        isRefused,
      );
      await assert.rejects(limiter.reserve(CALL, { maxWaitMs }), isRefused);
    }
    const hold = limiter.getHold("h", { ...CALL, cost: { calls: 1, tokens: 1 } });
    await assert.rejects(hold.extend({ maxWaitMs: 10 } as never), isMisuse("invalid-option"));
    await limiter.close();
  });
});

describe("a run or a reservation that does not wait to the end", () => {
  const whole = { ...CALL, cost: { calls: 1, tokens: 10 } };
  /** One call that runs, and one that waits. */
  async function waiting(
    verb: "run" | "reserve",
    more: { readonly idempotencyKey?: string } = {},
    options: { readonly signal?: AbortSignal } = {},
  ) {
    const all = limiterFor(RATES);
    await all.limiter.run(CALL, () => {});
    const ask = (limiter: Limiter) =>
      verb === "run"
        ? limiter.run({ ...whole, ...more }, () => assert.fail("it ran"), { maxWaitMs: 10_000, ...options })
        : limiter.reserve({ ...whole, ...more }, { maxWaitMs: 10_000, ...options });
    const asked = ask(all.limiter);
    asked.catch(() => {});
    await turns();
    assert.deepEqual(await all.used(), { rate: 2, tokens: 10, total: 2 });
    return { ...all, asked };
  }

  for (const verb of ["run", "reserve"] as const) {
    it(`frees its holds when its signal is aborted: ${verb}`, async () => {
      const stop = new AbortController();
      const { asked, used, limiter, events } = await waiting(verb, {}, { signal: stop.signal });
      stop.abort(new Error("enough"));
      await assert.rejects(asked, /enough/);
      await turns();
      assert.deepEqual(await used(), { rate: 1, tokens: 0, total: 1 });
      assert.deepEqual(events, []);
      await limiter.close();
    });

    it(`keeps its turn when it has a key, because it may be retried: ${verb}`, async () => {
      const stop = new AbortController();
      const { asked, used, limiter, advance } = await waiting(verb, { idempotencyKey: "k" }, { signal: stop.signal });
      stop.abort();
      await assert.rejects(asked, { name: "AbortError" });
      const again =
        verb === "run"
          ? limiter.run({ ...whole, idempotencyKey: "k" }, ({ addUsage }) => addUsage({ tokens: 7 }), {
              maxWaitMs: 500,
            })
          : limiter.reserve({ ...whole, idempotencyKey: "k" }, { maxWaitMs: 500 });
      await turns();
      await advance(200, 100);
      const answer = await again;
      assert.equal(answer.allowed, true);
      assert.equal(answer.replayed, true);
      assert.equal((await used()).total, 2);
      await limiter.close();
    });

    it(`ends with limiter-closed when the limiter closes, with a key, too: ${verb}`, async () => {
      for (const more of [{}, { idempotencyKey: "k" }]) {
        const { asked, limiter, events } = await waiting(verb, more);
        const closed = limiter.close();
        await assert.rejects(asked, isMisuse("limiter-closed"));
        await closed;
        assert.deepEqual(events, []);
      }
    });
  }

  it("frees the turn of a keyed hold in the store when the limiter closes", async () => {
    const clock = fakeClock();
    const store = memoryStore({ clock });
    const kept = { ...store, apply: store.apply.bind(store), close: async () => {} };
    const [one, other] = [createLimiter({ policy: RATES, store: kept }), createLimiter({ policy: RATES, store: kept })];
    await one.run(CALL, () => {});
    const asked = one.reserve({ ...whole, idempotencyKey: "k" }, { maxWaitMs: 10_000 });
    asked.catch(() => {});
    await turns();
    await one.close();
    const usages = await other.usage({ session: "s1" });
    assert.deepEqual(
      usages.map(({ used }) => used),
      [1, 0, 1],
    );
    // The answer is not kept either: the call is another one now.
    const again = await other.reserve({ ...whole, idempotencyKey: "k" });
    assert.equal(again.allowed, false);
    await other.close();
  });
});
