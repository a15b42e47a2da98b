// Calls that wait: for their turn at a token bucket, and behind other limits until the promised instant.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createLimiter, type Decision, type LimiterEvent, type PolicyInput } from "tollgate";
import { type Store, StoreError, type StoreRequest } from "tollgate/store";
import { memoryStore } from "tollgate/stores/memory";
import { fakeClock } from "tollgate/testing";
import { isMisuse } from "./fixture.ts";

const RATE: PolicyInput = {
  version: 1,
  limits: [
    { name: "rate", per: ["session"], algorithm: "token-bucket", window: "1s", quota: 20, burst: 1 },
    { name: "total", per: ["session"], quota: 100 },
  ],
};
const WINDOW: PolicyInput = {
  version: 1,
  limits: [{ name: "window", per: ["session"], algorithm: "sliding-window", window: "80ms", quota: 2 }],
};
/** Its next turn is 3 s away: no test reaches it. */
const SLOW: PolicyInput = {
  version: 1,
  limits: [
    { name: "rate", per: ["session"], algorithm: "token-bucket", window: "1m", quota: 20, burst: 1 },
    { name: "total", per: ["session"], quota: 100 },
  ],
};
const CALL = { tool: "search", session: "s1" };

/** A store that tells what it was asked, and may fail. */
function watched(): Store & { readonly asked: StoreRequest[]; fails: boolean } {
  const store = memoryStore();
  const asked: StoreRequest[] = [];
  return {
    asked,
    fails: false,
    apply(requests) {
      asked.push(...requests);
      if (this.fails) throw new StoreError("unavailable", "away", { transient: true });
      return store.apply(requests);
    },
    close: () => store.close(),
  };
}

function limiterFor(policy: PolicyInput) {
  const store = watched();
  const decisions: Decision[] = [];
  const events: LimiterEvent[] = [];
  const limiter = createLimiter({
    policy,
    store,
    onDecision: (decision) => decisions.push(decision),
    onEvent: (event) => events.push(event),
  });
  const used = async () => (await limiter.usage({ session: "s1" })).map((usage) => usage.used);
  return { limiter, store, decisions, events, used };
}

describe("consume with maxWaitMs", () => {
  it("resolves at the call's turn, with one request to the store", async () => {
    const { limiter, store, decisions } = limiterFor(RATE);
    const startMs = performance.now();
    const served: number[] = [];
    await Promise.all(
      [0, 1, 2, 3].map(async (i) => {
        assert.equal((await limiter.consume(CALL, { maxWaitMs: 1_000 })).allowed, true);
        served.push(i);
        assert.ok(performance.now() - startMs >= i * 50, `${i} was served too early`);
      }),
    );
    assert.deepEqual(served, [0, 1, 2, 3]);
    assert.equal(store.asked.length, 4);
    assert.equal(decisions.length, 4);
  });

  it("denies at once a call that would have to wait longer, or cannot wait", async () => {
    const { limiter, decisions } = limiterFor(SLOW);
    await limiter.consume(CALL);
    for (const options of [{ maxWaitMs: 20 }, { maxWaitMs: 0 }, {}, undefined]) {
      const denied = await limiter.consume(CALL, options);
      assert.equal(denied.allowed, false);
      assert.ok((denied.retryAfterMs ?? 0) > 20);
    }
    assert.equal(decisions.length, 5);
  });

  it("retries when another limit's units are free, until the time is up", async () => {
    const { limiter, store, decisions } = limiterFor(WINDOW);
    const startMs = performance.now();
    const all = await Promise.all(Array.from({ length: 6 }, () => limiter.consume(CALL, { maxWaitMs: 5_000 })));
    assert.ok(all.every(({ allowed }) => allowed));
    assert.ok(performance.now() - startMs >= 160, "six calls need three windows");
    assert.equal(decisions.length, 6);
    assert.ok(store.asked.length > 6);
    assert.equal((await limiter.consume(CALL, { maxWaitMs: 5 })).allowed, false);
  });

  it("lets 256 calls of a process wait for a bucket, and denies the next one", async () => {
    const { limiter } = limiterFor({
      version: 1,
      limits: [{ name: "total", per: ["session"], quota: 1, resetAfterIdle: "30m" }],
    });
    await limiter.consume(CALL);
    const stop = new AbortController();
    const outcomes: string[] = [];
    const waiting = Array.from({ length: 257 }, () =>
      limiter.consume(CALL, { maxWaitMs: 3_600_000, signal: stop.signal }).then(
        ({ allowed }) => outcomes.push(allowed ? "allowed" : "denied"),
        () => outcomes.push("stopped"),
      ),
    );
    await sleep(5);
    assert.deepEqual(outcomes, ["denied"]);
    stop.abort(new Error("stopped"));
    await Promise.all(waiting);
    assert.deepEqual([outcomes.length, new Set(outcomes)], [257, new Set(["denied", "stopped"])]);
  });
});

describe("the queue of a token bucket", () => {
  it("has at most 256 calls; the next one is denied at once", async () => {
    const { limiter } = limiterFor({
      version: 1,
      limits: [{ name: "rate", per: ["session"], algorithm: "token-bucket", window: "10m", quota: 60, burst: 1 }],
    });
    await limiter.consume(CALL);
    const stop = new AbortController();
    const outcomes: string[] = [];
    const waiting = Array.from({ length: 258 }, () =>
      limiter.consume(CALL, { maxWaitMs: 3_600_000, signal: stop.signal }).then(
        ({ allowed }) => outcomes.push(allowed ? "allowed" : "denied"),
        () => outcomes.push("stopped"),
      ),
    );
    await sleep(5);
    assert.deepEqual(outcomes, ["denied", "denied"]);
    stop.abort(new Error("stopped"));
    await Promise.all(waiting);
    const again = new AbortController();
    const next = limiter.consume(CALL, { maxWaitMs: 3_600_000, signal: again.signal });
    await sleep(5);
    again.abort(new Error("not denied"));
    await assert.rejects(next, /not denied/);
  });

  it("gives a retried call its first turn, and not another whole wait", async () => {
    const clock = fakeClock();
    const memory = memoryStore({ clock });
    // Limiters do not know the store's clock, as with a server: they wait in real time.
    const store: Store = { apply: (requests) => memory.apply(requests), close: () => memory.close() };
    const limiter = createLimiter({
      policy: {
        version: 1,
        limits: [{ name: "rate", per: ["session"], algorithm: "token-bucket", window: "1m", quota: 1, burst: 1 }],
      },
      store,
    });
    await limiter.consume(CALL);
    const call = { ...CALL, idempotencyKey: "k1" };
    const stop = new AbortController();
    const waiting = limiter.consume(call, { maxWaitMs: 61_000, signal: stop.signal });
    await sleep(5);
    stop.abort();
    await assert.rejects(waiting, { name: "AbortError" });
    clock.advance(59_800);
    const startMs = performance.now();
    const again = await limiter.consume(call, { maxWaitMs: 300 });
    assert.deepEqual([again.allowed, again.replayed], [true, true]);
    const tookMs = performance.now() - startMs;
    assert.ok(tookMs >= 195 && tookMs < 10_000, `${tookMs} ms`);
    clock.advance(10_000);
    const lateMs = performance.now();
    assert.equal((await limiter.consume(call, { maxWaitMs: 300 })).replayed, true);
    assert.ok(performance.now() - lateMs < 10_000, "its turn is over");
    await limiter.close();
  });
});

describe("a call that is aborted while it waits", () => {
  it("rejects at once, and frees what it held everywhere", async () => {
    const { limiter, used, decisions } = limiterFor(SLOW);
    await limiter.consume(CALL);
    const stop = new AbortController();
    const startMs = performance.now();
    const waiting = limiter.consume(CALL, { maxWaitMs: 10_000, signal: stop.signal });
    await sleep(5);
    assert.deepEqual(await used(), [2, 2]);
    stop.abort(new Error("enough"));
    await assert.rejects(waiting, /enough/);
    assert.ok(performance.now() - startMs < 2_900, "it waited for its turn");
    assert.deepEqual(await used(), [1, 1]);
    assert.equal(decisions.length, 1);
  });

  it("keeps its turn when it has a key, because it may be retried", async () => {
    const { limiter, used } = limiterFor(RATE);
    await limiter.consume(CALL);
    const call = { ...CALL, idempotencyKey: "k1" };
    const stop = new AbortController();
    const waiting = limiter.consume(call, { maxWaitMs: 10_000, signal: stop.signal });
    await sleep(5);
    stop.abort();
    await assert.rejects(waiting, { name: "AbortError" });
    const again = await limiter.consume(call, { maxWaitMs: 10_000 });
    assert.deepEqual([again.allowed, again.replayed], [true, true]);
    assert.deepEqual(await used(), [1, 2]);
  });

  it("never reaches the store when its signal was aborted before", async () => {
    const { limiter, store } = limiterFor(RATE);
    await assert.rejects(limiter.consume(CALL, { maxWaitMs: 10, signal: AbortSignal.abort() }), { name: "AbortError" });
    assert.equal(store.asked.length, 0);
  });

  it("emits an event when its turn could not be freed", async () => {
    const { limiter, store, events } = limiterFor(SLOW);
    await limiter.consume(CALL);
    const stop = new AbortController();
    const waiting = limiter.consume(CALL, { maxWaitMs: 10_000, signal: stop.signal });
    await sleep(5);
    store.fails = true;
    stop.abort();
    await assert.rejects(waiting, { name: "AbortError" });
    await sleep(1);
    assert.deepEqual(
      events.map((event) => event.type),
      ["hold.unsettled"],
    );
  });
});

describe("maxWaitMs", () => {
  it("is a whole number of ms, at most an hour", async () => {
    const { limiter } = limiterFor(RATE);
    for (const maxWaitMs of [-1, 0.5, 3_600_001, Number.NaN, "1s" as never]) {
      await assert.rejects(limiter.consume(CALL, { maxWaitMs }), isMisuse("invalid-option", "maxWaitMs"));
    }
    await limiter.consume(CALL, { maxWaitMs: 3_600_000 });
  });
});
