// How long a hold of `run` is kept alive, with a time that the test moves.

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import {
  type Call,
  createLimiter,
  type Limiter,
  type LimiterEvent,
  type PolicyInput,
  type AddUsage,
  StoreError,
} from "tollgate";
import { createRemoteLimiter } from "tollgate/client";
import { memoryStore } from "tollgate/stores/memory";
import { fakeClock } from "tollgate/testing";
import { served } from "../service/served.ts";
import { isMisuse } from "./fixture.ts";

const MINUTE = 60_000;
const CALL: Call = { tool: "model", session: "s1", cost: { tokens: 400 } };
const POLICY: PolicyInput = {
  version: 1,
  maxHold: "10m",
  limits: [
    { name: "calls", per: ["session"], quota: 100 },
    { name: "tokens", per: ["session"], unit: "tokens", quota: 10_000 },
    { name: "refunded", per: ["session"], unit: "tokens", quota: 10_000, hold: { onExpiry: "refund", lease: "1m" } },
    { name: "at-once", per: ["session"], algorithm: "concurrency", quota: 1, hold: { lease: "3m" } },
  ],
};

/** Time for the store, for timers, and for what measures spans, all moved at once. */
function timeOf(test: TestContext) {
  const clock = fakeClock(Date.UTC(2030, 0, 1));
  let passedMs = 0;
  test.mock.method(performance, "now", () => passedMs);
  test.mock.timers.enable({ apis: ["setTimeout"] });
  const advance = async (ms: number, stepMs = 1_000) => {
    for (let left = ms; left > 0; left -= stepMs) {
      const step = Math.min(stepMs, left);
      clock.advance(step);
      passedMs += step;
      test.mock.timers.tick(step);
      await turn();
    }
  };
  return { clock, advance };
}

function setUp(test: TestContext, policy: PolicyInput = POLICY) {
  const { clock, advance } = timeOf(test);
  const events: LimiterEvent[] = [];
  const onEvent = (event: LimiterEvent) => events.push(event);
  const limiter = createLimiter({ policy, store: memoryStore({ clock }), onEvent });
  return { limiter, events, advance, used: () => usedOf(limiter) };
}

const typesOf = (events: readonly LimiterEvent[]) => events.map(({ type }) => type);

async function usedOf(limiter: Limiter) {
  const usages = await limiter.usage({ session: "s1" });
  return Object.fromEntries(usages.map(({ limit, used }) => [limit, used]));
}

/** A call that runs until the test ends it. */
function running(limiter: Limiter, options = {}) {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const { promise: began, resolve: begin } = Promise.withResolvers<AddUsage>();
  const ran = limiter.run(
    CALL,
    ({ addUsage }) => {
      begin(addUsage);
      return promise;
    },
    options,
  );
  return { ran, began, resolve, reject };
}

describe("a hold of run", () => {
  it("is extended for the policy's maxHold: then its estimate is charged, its slot is free, and an event is emitted", async (test) => {
    const { limiter, events, advance, used } = setUp(test);
    const { ran, began, resolve } = running(limiter);
    await began;
    await advance(10 * MINUTE - 1);
    assert.deepEqual(await used(), { calls: 1, tokens: 400, refunded: 400, "at-once": 1 });
    assert.deepEqual(typesOf(events), []);
    assert.equal((await limiter.run(CALL, () => 1)).allowed, false);
    await advance(1);
    assert.deepEqual(await used(), { calls: 1, tokens: 400, refunded: 400, "at-once": 0 });
    const [event] = events;
    assert.ok(event?.type === "hold.limit_reached" && events.length === 1, JSON.stringify(events));
    assert.deepEqual([event.reason, event.heldMs, event.call], ["max-hold", 10 * MINUTE, CALL]);
    assert.match(event.holdId, /^run-/);
    assert.ok((await limiter.run({ ...CALL, cost: { tokens: 0 } }, () => 1)).allowed);
    resolve("answer");
    const result = await ran;
    assert.equal(result.allowed && result.value, "answer");
    assert.deepEqual([await used(), events.length], [{ calls: 2, tokens: 400, refunded: 400, "at-once": 0 }, 1]);
  });

  for (const [what, laterMs] of [
    ["soon", 1_000],
    ["a day", 24 * 60 * MINUTE],
  ] as const) {
    it(`that reached its limit is charged the excess over its estimate once, ${what} after`, async (test) => {
      const { limiter, advance, used } = setUp(test, { ...POLICY, maxHold: "90s" });
      const { ran, began, resolve } = running(limiter);
      const addUsage = await began;
      addUsage({ tokens: 150 });
      await advance(90_000);
      await advance(laterMs, MINUTE);
      addUsage({ tokens: 500, calls: 3 });
      resolve("answer");
      await ran;
      assert.deepEqual(await used(), { calls: 3, tokens: 650, refunded: 650, "at-once": 0 });
    });
  }

  it("that reached its limit is charged its estimate also when its call took less, or failed", async (test) => {
    const { limiter, advance, used } = setUp(test, { ...POLICY, onError: "refund" });
    const { ran, began, reject } = running(limiter);
    (await began)({ tokens: 10 });
    await advance(10 * MINUTE);
    reject(new Error("broken"));
    await assert.rejects(ran, /broken/);
    assert.deepEqual(await used(), { calls: 1, tokens: 400, refunded: 400, "at-once": 0 });
  });

  it("lives for an hour by default, and is not ended when its call has ended", async (test) => {
    const { maxHold: _, ...policy } = POLICY;
    const { limiter, events, advance, used } = setUp(test, policy);
    const { ran, began, resolve } = running(limiter);
    await began;
    await advance(59 * MINUTE, 20_000);
    assert.deepEqual(typesOf(events), []);
    resolve("answer");
    await ran;
    await advance(10 * MINUTE, MINUTE);
    assert.deepEqual(typesOf(events), []);
    const other = running(limiter);
    await other.began;
    await advance(60 * MINUTE, 20_000);
    assert.deepEqual(
      events.map((event) => event.type === "hold.limit_reached" && event.heldMs),
      [60 * MINUTE],
    );
    other.resolve("answer");
    await other.ran;
    assert.deepEqual(await used(), { calls: 2, tokens: 800, refunded: 800, "at-once": 0 });
  });

  it("ends at maxHold also where its lease is longer", async (test) => {
    const { limiter, events, advance, used } = setUp(test, { ...POLICY, maxHold: "5s" });
    const { ran, began, resolve } = running(limiter, { leaseMs: 60 * MINUTE });
    await began;
    await advance(5_000);
    assert.deepEqual([(await used())["at-once"], events.length], [0, 1]);
    resolve("answer");
    await ran;
  });

  it("is not extended while its call is not active, and ends after a lease without one", async (test) => {
    const { limiter, events, advance, used } = setUp(test);
    let isActive = false;
    const paused = running(limiter, { leaseMs: 30_000, isActive: () => isActive });
    await paused.began;
    await advance(20_000);
    isActive = true;
    await advance(60_000);
    assert.deepEqual([(await used())["at-once"], events], [1, []]);
    isActive = false;
    await advance(19_000);
    assert.deepEqual([(await used())["at-once"], events], [1, []]);
    await advance(12_000);
    assert.equal((await used())["at-once"], 0);
    assert.deepEqual(
      events.map((event) => event.type === "hold.limit_reached" && event.reason),
      ["unread"],
    );
    paused.resolve("answer");
    await paused.ran;
    assert.deepEqual(await used(), { calls: 1, tokens: 400, refunded: 400, "at-once": 0 });
  });

  it("is extended when isActive throws", async (test) => {
    const { limiter, events, advance, used } = setUp(test);
    const isActive = () => assert.fail("a fault of the program");
    const { ran, began, resolve } = running(limiter, { isActive });
    await began;
    await advance(5 * MINUTE);
    assert.deepEqual([(await used())["at-once"], events], [1, []]);
    resolve("answer");
    await ran;
  });

  it("has the limit of its first policy", async (test) => {
    const { limiter, events, advance } = setUp(test);
    const { ran, began, resolve } = running(limiter);
    await began;
    limiter.reload({ ...POLICY, maxHold: "1m" });
    await advance(9 * MINUTE);
    assert.deepEqual(typesOf(events), ["policy.reloaded"]);
    resolve("answer");
    await ran;
  });

  it("without units has no limit", async (test) => {
    const { limiter, events, advance } = setUp(test, { ...POLICY, limits: POLICY.limits.slice(0, 1) });
    const { promise, resolve } = Promise.withResolvers<void>();
    const ran = limiter.run({ tool: "search", session: "s1" }, () => promise);
    await turn();
    await advance(20 * MINUTE, MINUTE);
    resolve();
    await ran;
    assert.deepEqual(typesOf(events), []);
  });

  it("emits an event at its limit, and settles late, where the estimate could not be charged", async (test) => {
    const { clock, advance } = timeOf(test);
    const events: LimiterEvent[] = [];
    const store = memoryStore({ clock });
    let isAway = false;
    const cut = (requests: readonly { readonly steps: readonly { readonly event: { readonly type: string } }[] }[]) => {
      if (isAway && requests[0]?.steps[0]?.event.type === "settle") throw new Error("gone");
    };
    const limiter = createLimiter({
      policy: { ...POLICY, maxHold: "2m" },
      store: {
        async apply(requests) {
          cut(requests);
          return store.apply(requests);
        },
        close: () => store.close(),
      },
      onEvent: (event) => events.push(event),
    });
    const { ran, began, resolve } = running(limiter);
    await began;
    isAway = true;
    // A store without a clock: the machine's timers may be 1 ms late.
    await advance(2 * MINUTE + 1);
    isAway = false;
    assert.deepEqual(typesOf(events), ["hold.limit_reached", "hold.unsettled"]);
    resolve("answer");
    await ran;
    assert.deepEqual(await usedOf(limiter), { calls: 1, tokens: 400, refunded: 400, "at-once": 0 });
  });
});

describe("a hold of a client's run", () => {
  it("has the limit of the service's policy", async () => {
    const events: LimiterEvent[] = [];
    const { url } = await served({ policy: { ...POLICY, maxHold: "60ms" }, store: memoryStore() });
    const limiter = createRemoteLimiter({ url, onEvent: (event) => reached(event) });
    const { promise, resolve } = Promise.withResolvers<void>();
    const reached = (event: LimiterEvent) => {
      events.push(event);
      resolve();
    };
    const ran = await limiter.run(CALL, async ({ addUsage }) => {
      await promise;
      addUsage({ tokens: 900, calls: 2 });
      return "answer";
    });
    assert.equal(ran.allowed && ran.value, "answer");
    assert.deepEqual(await usedOf(limiter), { calls: 2, tokens: 900, refunded: 900, "at-once": 0 });
    const [event, ...more] = events;
    assert.ok(event?.type === "hold.limit_reached" && event.reason === "max-hold" && more.length === 0);
  });
});

describe("a client whose service gives an unusable answer to begin", () => {
  const decision = { allowed: true, verdicts: [], retryAfterMs: null, message: null, notice: null, degraded: null };
  const terms = {
    held: ["tokens"],
    units: ["tokens"],
    leaseMs: 60_000,
    maxHoldMs: 60_000,
    onError: "charge",
    reports: false,
  };
  const answering = (more: object) => {
    const body = { ...decision, replayed: false, decidedAtMs: 1, hold: "run-1", ...terms, ...more };
    return createRemoteLimiter({
      url: "http://127.0.0.1:1",
      fetch: async () => new Response(JSON.stringify({ items: [{ status: 200, body }] })),
    });
  };
  for (const wrong of [
    { held: "tokens" },
    { units: undefined },
    { leaseMs: 0 },
    { leaseMs: "1m" },
    { maxHoldMs: undefined },
    { maxHoldMs: null },
    { onError: "ignore" },
    { reports: 1 },
  ]) {
    it(`does not run it: ${JSON.stringify(wrong)}, ${Object.keys(wrong)}`, async () => {
      const refused = answering(wrong).run(CALL, () => assert.fail("ran"));
      await assert.rejects(refused, (error) => StoreError.isInstance(error) && error.code === "invalid-reply");
    });
  }
});

describe("maxHold", () => {
  it("is a duration", () => {
    for (const maxHold of ["1", 60_000, "0s", "soon", null]) {
      const make = () => createLimiter({ policy: { ...POLICY, maxHold } as never, store: memoryStore() });
      assert.throws(make, isMisuse("invalid-policy", "maxHold"));
    }
  });
});
