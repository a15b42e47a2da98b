// What is denied again without asking: counted by how often the store is asked.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createLimiter, type Decision, type PolicyInput } from "tollgate";
import type { Store } from "tollgate/store";
import { slowStore } from "./slow-store.ts";

const WINDOW = { algorithm: "fixed-window", window: "1h", align: "first-use" } as const;
const LIMITS: PolicyInput["limits"] = [
  { name: "per-user", per: ["user"], quota: 100, ...WINDOW },
  { name: "per-session", per: ["session"], quota: 2, ...WINDOW },
];
const CALL = { tool: "search", session: "s1", user: "u1" };

function limiterOn(store: Store, limits: PolicyInput["limits"] = LIMITS, denyCacheMs?: number) {
  return createLimiter({
    policy: { version: 1, limits },
    store,
    ...(denyCacheMs === undefined ? {} : { denyCacheMs }),
  });
}

async function spend(consume: () => Promise<Decision>, times: number) {
  for (let i = 0; i < times; i++) assert.ok((await consume()).allowed);
}

/** What each limit says, with the instants at which it waits and starts again. */
function instantsOf({ verdicts, decidedAtMs }: Decision) {
  return verdicts.map(({ allowed, remaining, retryAfterMs, resetAfterMs }) => {
    return [allowed, remaining, retryAfterMs === null ? null : decidedAtMs + retryAfterMs, decidedAtMs + resetAfterMs];
  });
}

describe("denials that are kept", () => {
  it("let other work run at any rate of retries", async () => {
    const { store } = slowStore();
    const limiter = limiterOn(store);
    await spend(() => limiter.consume(CALL), 2);
    let [isOver, asked] = [false, 0];
    setTimeout(() => {
      isOver = true;
    }, 20);
    // Nothing but the limiter is waited for.
    while (!isOver && asked++ < 1_000_000) assert.equal((await limiter.consume(CALL)).allowed, false);
    assert.ok(isOver, `${asked} answers, and no timer had its turn`);
  });

  it("are repeated for a second without the store, with the same instants", async () => {
    const { clock, store, asked } = slowStore();
    const limiter = limiterOn(store);
    const consume = () => limiter.consume(CALL);
    await spend(consume, 2);
    const first = await consume();
    const before = asked.times;
    assert.equal(first.allowed, false);
    for (const ms of [0, 1, 400, 598]) {
      clock.advance(ms);
      const again = await consume();
      assert.deepEqual(instantsOf(again), instantsOf(first));
    }
    assert.equal(asked.times, before);
    clock.advance(1);
    await consume();
    assert.equal(asked.times, before + 1);
  });

  it("end at the promised instant, not a millisecond later", async () => {
    const { clock, store } = slowStore();
    const limiter = limiterOn(store, [
      { name: "rate", per: ["session"], algorithm: "token-bucket", quota: 10, window: "1s", burst: 1 },
    ]);
    await spend(() => limiter.consume(CALL), 1);
    const { retryAfterMs } = await limiter.consume(CALL);
    assert.equal(retryAfterMs, 100);
    clock.advance(99);
    const late = await limiter.consume(CALL);
    assert.deepEqual([late.allowed, late.retryAfterMs], [false, 1]);
    clock.advance(1);
    assert.equal((await limiter.consume(CALL)).allowed, true);
  });

  it("are only for the same call: another session, bucket or cost asks the store", async () => {
    const { store, asked } = slowStore();
    const limiter = limiterOn(store);
    await spend(() => limiter.consume(CALL), 2);
    await limiter.consume(CALL);
    const before = asked.times;
    assert.equal((await limiter.consume({ ...CALL, tool: "fetch" })).allowed, false);
    assert.equal(asked.times, before, "another tool, the same buckets");
    assert.equal((await limiter.consume({ ...CALL, session: "s2" })).allowed, true);
    assert.equal((await limiter.consume({ ...CALL, user: "u2" })).allowed, false);
    assert.equal((await limiter.consume({ ...CALL, cost: { calls: 2 } })).allowed, false);
    assert.equal((await limiter.peek(CALL)).allowed, false);
    assert.equal((await limiter.consume({ ...CALL, idempotencyKey: "k" })).allowed, false);
    assert.equal(asked.times, before + 5);
  });

  it("are forgotten with a grant, a reset, or another policy of the same limiter", async () => {
    const { store } = slowStore();
    const limiter = limiterOn(store);
    const consume = async () => (await limiter.consume(CALL)).allowed;
    await spend(() => limiter.consume(CALL), 2);
    assert.equal(await consume(), false);
    await limiter.grant({ limit: "per-session", session: "s1" }, { id: "g", units: 1, durationMs: 60_000 });
    assert.deepEqual([await consume(), await consume()], [true, false]);
    await limiter.reset({ limit: "per-session", session: "s1" });
    await spend(() => limiter.consume(CALL), 2);
    assert.equal(await consume(), false);
    limiter.reload({ version: 1, limits: [LIMITS[0], { ...LIMITS[1], quota: 3 }] as PolicyInput["limits"] });
    assert.deepEqual([await consume(), await consume()], [true, false]);
  });

  it("are not kept when the answer comes after that of a reset or a grant", async () => {
    const { store } = slowStore();
    let gate: Promise<void> | null = null;
    const late: Store = {
      ...store,
      async apply(requests) {
        const held = gate;
        gate = null;
        const replies = await store.apply(requests);
        await held;
        return replies;
      },
    };
    const limiter = limiterOn(late);
    const bucket = { limit: "per-session", session: "s1" };
    const free = [() => limiter.reset(bucket), () => limiter.grant(bucket, { id: "g", units: 1, durationMs: 60_000 })];
    for (const act of free) {
      await spend(() => limiter.consume(CALL), 2);
      const open = Promise.withResolvers<void>();
      gate = open.promise;
      const denied = limiter.consume(CALL);
      await act();
      open.resolve();
      assert.equal((await denied).allowed, false);
      await spend(() => limiter.consume(CALL), 1);
      await limiter.reset(bucket);
    }
  });

  it("are not given to a call with a larger quota in the same bucket, or under another mode", async () => {
    const overrides = [{ when: { plan: "pro" }, quota: 3 }];
    const [users, sessions] = LIMITS as [PolicyInput["limits"][number], PolicyInput["limits"][number]];
    const { store } = slowStore();
    const limiter = limiterOn(store, [users, { ...sessions, overrides } as typeof sessions]);
    const allowed = async (more: object = {}) => (await limiter.consume({ ...CALL, ...more })).allowed;
    assert.deepEqual([await allowed(), await allowed(), await allowed()], [true, true, false]);
    assert.deepEqual([await allowed({ plan: "pro" }), await allowed({ plan: "pro" })], [true, false]);
    assert.equal(await allowed(), false);
    const reload = (more: object) => limiter.reload({ version: 1, limits: [users, { ...sessions, ...more } as never] });
    reload({ mode: "shadow" });
    assert.equal(await allowed(), true);
    reload({});
    assert.equal(await allowed(), false);
    reload({ quota: 5 });
    assert.deepEqual([await allowed(), await allowed()], [true, false]);
    reload({ quota: 0 });
    assert.equal((await limiter.consume(CALL)).retryAfterMs, null);
  });

  it("that another process lifts end within a second", async () => {
    const { clock, store } = slowStore();
    const [one, other] = [limiterOn(store), limiterOn(store)];
    await spend(() => one.consume(CALL), 2);
    assert.equal((await one.consume(CALL)).allowed, false);
    await other.reset({ limit: "per-session", session: "s1" });
    clock.advance(999);
    assert.equal((await one.consume(CALL)).allowed, false);
    clock.advance(1);
    assert.equal((await one.consume(CALL)).allowed, true);
  });

  it("are not kept while units are held, which may be freed at any time", async () => {
    const { store } = slowStore();
    const [one, other] = [limiterOn(store), limiterOn(store)];
    const held = await other.reserve(CALL);
    await spend(() => one.consume(CALL), 1);
    assert.equal((await one.consume(CALL)).allowed, false);
    assert.ok(held.allowed);
    await held.hold.release();
    assert.equal((await one.consume(CALL)).allowed, true);
  });

  it("are not kept with denyCacheMs: 0", async () => {
    const { store, asked } = slowStore();
    const limiter = limiterOn(store, LIMITS, 0);
    await spend(() => limiter.consume(CALL), 2);
    await limiter.consume(CALL);
    const before = asked.times;
    await limiter.consume(CALL);
    assert.equal(asked.times, before + 1);
    assert.throws(
      () => limiterOn(store, LIMITS, 1_001),
      /denyCacheMs: expected a whole number from 0 to 1000, got 1001/,
    );
  });

  it("let the store check policies, also on a reload", () => {
    const { store } = slowStore();
    const checkPolicy = () => {
      throw new Error("never kept");
    };
    const limiter = limiterOn(store);
    assert.throws(() => limiterOn({ ...store, checkPolicy }), /never kept/);
    let isStrict = false;
    const late = limiterOn({ ...store, checkPolicy: () => (isStrict ? checkPolicy() : undefined) });
    isStrict = true;
    assert.throws(() => late.reload({ version: 1, limits: LIMITS }), /never kept/);
    limiter.reload({ version: 1, limits: LIMITS });
  });

  it("are bounded for any number of denied callers", async () => {
    const { store, asked } = slowStore();
    const limiter = limiterOn(store, [{ name: "none", per: ["session"], quota: 0 }]);
    const call = (i: number) => limiter.consume({ tool: "search", session: `s${i}` });
    for (let i = 0; i < 10_001; i++) await call(i);
    const before = asked.times;
    await call(10_000);
    assert.equal(asked.times, before);
    await call(0);
    assert.equal(asked.times, before + 1);
  });
});
