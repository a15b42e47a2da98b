// Units that are borrowed ahead: never over, given back, and what they spare.

import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it, mock } from "node:test";
import fc from "fast-check";
import { createLimiter, definePolicy, type Limiter, MisuseError, type PolicyInput } from "tollgate";
import { type SharedStore, type Store, StoreError, type StoreRequest } from "tollgate/store";
import { networkLayers } from "../../src/layers/network.ts";
import { settled } from "./borrowing.ts";
import { inRequests } from "./in-requests.ts";
import { RemoteStore } from "./remote.ts";
import { slowStore } from "./slow-store.ts";

const WINDOW_MS = 60_000;
const GLOBAL = {
  name: "global",
  per: ["tool"],
  algorithm: "fixed-window",
  window: `${WINDOW_MS}ms`,
  align: "first-use",
  borrow: "auto",
} as const;
const CALL = { tool: "search", session: "s1" };

function limiterOn(store: Store, quota: number, ...others: PolicyInput["limits"]): Limiter {
  return createLimiter({ policy: { version: 1, limits: [{ ...GLOBAL, quota }, ...others] }, store, denyCacheMs: 0 });
}

async function usedOf(limiter: Limiter): Promise<number | undefined> {
  return (await limiter.usage({ tool: "search" }))[0]?.used;
}

/** Lets the time of an instance pass in which it returns units. */
async function ticked(times = 1): Promise<void> {
  for (let i = 0; i < times; i++) {
    mock.timers.tick(100);
    await settled();
  }
}

/** Calls until an instance holds units that it has not used, as another one sees it. Returns how many were admitted. */
async function holding(limiter: Limiter, other: Limiter): Promise<number> {
  for (let made = 1; ; made++) {
    assert.equal((await limiter.consume(CALL)).allowed, true);
    await settled();
    if (made >= 200 && ((await usedOf(other)) ?? 0) - made > 5) return made;
  }
}

async function admitted(limiter: Pick<Limiter, "consume">, calls: number, call = CALL): Promise<number> {
  let count = 0;
  for (let i = 0; i < calls; i++) if ((await limiter.consume(call)).allowed) count++;
  return count;
}

/** Two instances on one store that can be away, and whether the first has said something. */
function connected(more: object = {}) {
  const remote = new RemoteStore({ nowMs: () => Date.now() });
  const events: string[] = [];
  const policy = (limit: object): PolicyInput => ({
    version: 1,
    limits: [{ ...GLOBAL, window: "1h", quota: 1_000_000, ...limit }],
  });
  const store = (): SharedStore => ({
    layers: networkLayers,
    batching: remote.batching,
    apply: remote.apply.bind(remote),
    book: remote.book.bind(remote),
    beat: remote.beat.bind(remote),
    close: async () => {},
  });
  const onEvent = ({ type }: { readonly type: string }) => events.push(type);
  // A busy machine must not begin an outage: only the faults of the remote store do.
  const failover = { deadlineMs: 60_000 };
  const limiter = createLimiter({ policy: policy(more), store: store(), failover, onEvent });
  const other = createLimiter({ policy: policy(more), store: store(), failover });
  return { limiter, other, remote, policy, isSaid: (event: string) => events.includes(event) };
}

/** Calls until a loan is asked for and the store does not answer. Returns how many calls were admitted. */
async function callUntil(limiter: Limiter, event: string, isSaid: (event: string) => boolean): Promise<number> {
  let made = 0;
  for (let i = 0; i < 100_000 && !isSaid(event); i++) made += await admitted(limiter, 1);
  assert.ok(isSaid(event), event);
  return made;
}

describe("units that are borrowed in advance", () => {
  beforeEach(() => mock.timers.enable({ apis: ["setInterval"] }));
  afterEach(() => mock.timers.reset());

  it("decide thousands of calls in a few requests, all counted, with correct verdicts", async () => {
    const { store, asked } = slowStore();
    const limiter = limiterOn(store, 1_000_000);
    assert.equal(await admitted(limiter, 10_000), 10_000);
    assert.ok(asked.times < 60, `${asked.times} requests`);
    const { verdicts, decidedAtMs } = await limiter.consume(CALL);
    assert.equal(verdicts[0]?.remaining, 1_000_000 - 10_001);
    assert.equal(verdicts[0]?.resetAfterMs, WINDOW_MS);
    assert.equal(decidedAtMs, Date.UTC(2030, 0, 1));
    assert.equal(await usedOf(limiter), 10_001);
    const other = limiterOn(store, 1_000_000);
    assert.ok(((await usedOf(other)) ?? 0) > 10_001, "what is lent is spent");
    await limiter.close();
    assert.equal(await usedOf(other), 10_001);
  });

  it("give one instance exactly the quota, and ask the store for each call near the end", async () => {
    for (const quota of [1, 2, 7, 8, 100, 1_000]) {
      const { store } = slowStore();
      assert.equal(await admitted(limiterOn(store, quota), quota + 50), quota);
    }
  });

  it("are not borrowed for rare calls", async () => {
    const { store, clock, asked } = slowStore();
    const limiter = limiterOn(store, 1_000);
    for (let i = 0; i < 20; i++) {
      await limiter.consume(CALL);
      clock.advance(1_001);
    }
    assert.ok(
      asked.requests.every(
        ({ mode, steps }) => mode === "judge" && steps[0]?.event.type === "charge" && steps[0].event.cost === 1,
      ),
    );
  });

  it("are put back when another limit denies the call", async () => {
    const { store } = slowStore();
    const limiter = limiterOn(store, 1_000_000, { name: "per-session", per: ["session"], quota: 300 });
    assert.equal(await admitted(limiter, 500), 300);
    const { verdicts } = await limiter.consume(CALL);
    assert.deepEqual(
      verdicts.map(({ limit, allowed, remaining }) => [limit, allowed, remaining]),
      [
        ["global", true, 1_000_000 - 300],
        ["per-session", false, 0],
      ],
    );
    await limiter.close();
    const other = limiterOn(store, 1_000_000);
    assert.equal(await usedOf(other), 300);
  });

  it("are returned within 200 ms after the last call", async () => {
    const { store } = slowStore();
    const limiter = limiterOn(store, 1_000_000);
    const other = limiterOn(store, 1_000_000);
    await admitted(limiter, 1_000);
    await settled();
    assert.ok(((await usedOf(other)) ?? 0) > 1_000);
    await ticked(2);
    assert.equal(await usedOf(other), 1_000);
    assert.equal(await admitted(limiter, 10), 10);
  });

  it("are returned while calls continue, when there are fewer of them", async () => {
    const { store } = slowStore();
    const limiter = limiterOn(store, 1_000_000);
    await admitted(limiter, 1_000);
    await settled();
    await ticked();
    for (let calls = 1_000; calls < 1_010; calls++) {
      await limiter.consume(CALL);
      await ticked();
    }
    const used = (await usedOf(limiterOn(store, 1_000_000))) ?? 0;
    assert.ok(used - 1_010 <= 8, `${used - 1_010} are held unused`);
  });

  it("are not lost when the policy is reloaded, and returned when its limit has changed", async () => {
    const { store } = slowStore();
    const policy = (quota: number | "unlimited", more: object = {}): PolicyInput => ({
      version: 1,
      limits: [{ ...GLOBAL, quota, ...more }],
    });
    const limiter = limiterOn(store, 100_000);
    const other = limiterOn(store, 100_000);
    for (let reloads = 0; reloads < 4; reloads++) {
      await admitted(limiter, 500);
      await settled();
      const before = await usedOf(other);
      limiter.reload(policy(100_000));
      assert.equal((await limiter.consume(CALL)).verdicts[0]?.remaining, 100_000 - (reloads + 1) * 501);
      await settled();
      assert.ok(((await usedOf(other)) ?? 0) - (before ?? 0) <= 2_000, "the loan is kept");
    }
    for (const [quota, more] of [
      [90_000, {}],
      [90_000, { onStoreError: "deny" }],
      [0, {}],
      ["unlimited", {}],
    ] as const) {
      const made = (await usedOf(limiter)) ?? 0;
      limiter.reload(policy(quota, more));
      const { allowed } = await limiter.consume(CALL);
      assert.equal(allowed, quota !== 0);
      await ticked(3);
      assert.equal(await usedOf(other), made + (quota === 0 ? 0 : 1), String(quota));
    }
  });

  it("are separate for callers with different quotas in one bucket", async () => {
    const { store } = slowStore();
    const overrides = [{ when: { plan: "free" }, quota: 5 }];
    const policy = definePolicy({ version: 1, limits: [{ ...GLOBAL, quota: 100_000, overrides }] });
    const limiter = createLimiter({ policy, store, denyCacheMs: 0 });
    const [pro, free] = [limiter.for({ plan: "pro" }), limiter.for({ plan: "free" })];
    assert.equal(await admitted(pro, 100), 100);
    await settled();
    assert.equal((await free.consume(CALL)).allowed, false);
    assert.equal((await pro.consume(CALL)).allowed, true);
  });

  it("go back when a grant was made before they arrive", async () => {
    const { store } = slowStore();
    let isGranted = false;
    const granting: Store = {
      ...store,
      async apply(requests) {
        const isLoan = requests.some(({ steps }) => steps.some(({ event }) => event.type === "hold"));
        if (isLoan && !isGranted) {
          isGranted = true;
          await other.grant({ limit: "global", tool: "search" }, { id: "g", units: 500, durationMs: 5_000 });
        }
        return store.apply(requests);
      },
    };
    const other = limiterOn(store, 1_000);
    const limiter = limiterOn(granting, 1_000);
    assert.equal(await admitted(limiter, 100), 100);
    await settled();
    await ticked(3);
    assert.equal(await usedOf(other), 100);
  });

  it("end with their window, and with a reset", async () => {
    const { store, clock } = slowStore();
    const limiter = limiterOn(store, 1_000);
    await admitted(limiter, 300);
    await settled();
    clock.advance(WINDOW_MS);
    assert.equal(await admitted(limiter, 2_000), 1_000);
    await limiter.reset({ limit: "global", tool: "search" });
    assert.equal(await usedOf(limiter), 0);
    assert.equal(await admitted(limiter, 2_000), 1_000);
  });

  it("of a window that is over are not put back into the next one", async () => {
    const { store, clock } = slowStore();
    const gate = Promise.withResolvers<void>();
    const held: Store = {
      ...store,
      apply: async (requests, leftMs) => {
        if (requests[0]?.steps[0]?.bucket.includes("{held}")) await gate.promise;
        return store.apply(requests, leftMs);
      },
    };
    const none = { name: "none", per: ["session"], quotas: { session: { held: 0 } }, quota: "unlimited" } as const;
    const limiter = limiterOn(held, 100, none);
    assert.equal(await admitted(limiter, 30), 30);
    await settled();
    const denied = limiter.consume({ tool: "search", session: "held" });
    await settled();
    clock.advance(WINDOW_MS);
    assert.equal(await admitted(limiter, 30), 30);
    await settled();
    gate.resolve();
    assert.equal((await denied).allowed, false);
    assert.equal(await admitted(limiter, 100), 70);
  });

  it("are not used by calls with a key, waits, holds, peeks and records", async () => {
    const { store } = slowStore();
    const limiter = limiterOn(store, 1_000);
    await admitted(limiter, 100);
    const key = { ...CALL, idempotencyKey: "k" };
    assert.deepEqual([(await limiter.consume(key)).replayed, (await limiter.consume(key)).replayed], [false, true]);
    assert.equal((await limiter.consume(CALL, { maxWaitMs: 5 })).allowed, true);
    assert.equal((await limiter.peek(CALL)).allowed, true);
    const held = await limiter.reserve(CALL);
    assert.ok(held.allowed);
    await held.hold.settle();
    await limiter.record(CALL);
    assert.equal(await usedOf(limiter), 104);
    await limiter.close();
    assert.equal(await usedOf(limiterOn(store, 1_000)), 104);
  });

  it("are no reason to deny a call of the instance that holds them", async () => {
    for (const how of ["key", "hold", "record", "peek", "cost"] as const) {
      const { store } = slowStore();
      const limiter = limiterOn(store, 1_000);
      const other = limiterOn(store, 1_000);
      let made = await holding(limiter, other);
      made += await admitted(other, 1_000);
      const left = 1_000 - made;
      assert.ok(left > 1 && left < 32, `the first instance holds ${left}`);
      if (how === "key") assert.equal((await limiter.consume({ ...CALL, idempotencyKey: "k" })).allowed, true);
      if (how === "hold") assert.equal((await limiter.reserve(CALL)).allowed, true);
      if (how === "peek") assert.equal((await limiter.peek(CALL)).allowed, true);
      if (how === "cost") assert.equal((await limiter.consume({ ...CALL, cost: { calls: left } })).allowed, true);
      if (how === "record") {
        await limiter.record(CALL);
        assert.equal(await usedOf(limiter), made + 1, "it is booked once");
      }
      await limiter.close();
      const used = await usedOf(other);
      assert.equal(used, made + (how === "peek" ? 0 : how === "cost" ? left : 1), how);
    }
  });

  /** A store that fails so many reads: an instance reads before it returns units. */
  function weakStore() {
    const { store } = slowStore();
    const state = { fails: 0, isClosed: false };
    const weak: Store = {
      ...store,
      async apply(requests) {
        if (state.fails > 0 && requests.some(({ mode }) => mode === "peek")) {
          state.fails--;
          throw new StoreError("unavailable", "away", { transient: true });
        }
        return store.apply(requests);
      },
      async close() {
        state.isClosed = true;
      },
    };
    return { limiter: limiterOn(weak, 1_000_000), other: limiterOn(store, 1_000_000), state };
  }

  it("are returned while the limiter closes, as soon as the store takes them", async () => {
    const { limiter, other, state } = weakStore();
    assert.equal(await admitted(limiter, 2_000), 2_000);
    assert.ok(((await usedOf(other)) ?? 0) > 2_000);
    state.fails = 2;
    await limiter.close();
    assert.deepEqual([await usedOf(other), state], [2_000, { fails: 0, isClosed: true }]);
  });

  it("are returned in batches that are as small as the store wants them", async () => {
    const { store: inner } = slowStore();
    const sizes: number[] = [];
    const apply = (requests: readonly StoreRequest[]) => {
      sizes.push(requests.length);
      return inner.apply(requests);
    };
    const store: Store = { ...inner, batching: { size: 2, underWay: 4 }, apply, close: async () => {} };
    const limiter = limiterOn(store, 1_000_000);
    const tools = ["search", "book", "cancel"];
    for (let i = 0; i < 300; i++) for (const tool of tools) await limiter.consume({ ...CALL, tool });
    await limiter.close();
    assert.equal(Math.max(...sizes), 2);
    const other = limiterOn(inner, 1_000_000);
    for (const tool of tools) assert.equal((await other.usage({ tool }))[0]?.used, 300);
  });

  it("stay used where the store does not take them in time, and the limiter still closes", async () => {
    for (const withinMs of [0, 20]) {
      const { limiter, other, state } = weakStore();
      await admitted(limiter, 2_000);
      state.fails = Number.POSITIVE_INFINITY;
      await limiter.close({ withinMs });
      assert.equal(state.isClosed, true);
      assert.ok(((await usedOf(other)) ?? 0) > 2_000);
    }
  });

  it("are returned within the deadline of the call that they could let pass, or the call is denied", async () => {
    for (const isSilent of [false, true]) {
      const { store } = slowStore();
      const left: (number | undefined)[] = [];
      let isWatched = false;
      const timed: Store = {
        ...store,
        deadlineMs: isSilent ? 50 : 10_000,
        async apply(requests, leftMs) {
          if (isWatched && isSilent && requests.some(({ mode }) => mode === "peek")) return new Promise(() => {});
          if (isWatched && requests.some(({ once }) => once !== undefined)) left.push(leftMs);
          return store.apply(requests);
        },
      };
      const limiter = limiterOn(timed, 1_000);
      const other = limiterOn(store, 1_000);
      await holding(limiter, other);
      await admitted(other, 1_000);
      isWatched = true;
      assert.equal((await limiter.consume({ ...CALL, idempotencyKey: "k" })).allowed, !isSilent);
      const [first, second = 0] = left;
      assert.deepEqual([first, left.length], [undefined, isSilent ? 1 : 2]);
      assert.ok(isSilent || (second > 0 && second < 10_000), `${second}`);
    }
  });

  it("let a call pass whose denial arrives when they are back, though it was made before", async () => {
    const { store } = slowStore();
    const late = Promise.withResolvers<void>();
    const slow: Store = {
      ...store,
      deadlineMs: 10_000,
      async apply(requests) {
        const replies = await store.apply(requests);
        const [reply] = replies;
        const isDenial = reply !== undefined && !StoreError.isInstance(reply) && !reply.allowed;
        if (isDenial && requests[0]?.once !== undefined) await late.promise;
        return replies;
      },
    };
    const limiter = limiterOn(slow, 1_000);
    const other = limiterOn(store, 1_000);
    await holding(limiter, other);
    await admitted(other, 1_000);
    const denied = limiter.consume({ ...CALL, idempotencyKey: "k" });
    await ticked(2);
    late.resolve();
    assert.equal((await denied).allowed, true);
  });

  it("make a denial say to try again soon where the deadline of the call leaves no time to return them", async () => {
    const { store } = slowStore();
    let isWatched = false;
    const slow: Store = {
      ...store,
      deadlineMs: 1_000,
      async apply(requests) {
        if (isWatched && requests.some(({ once }) => once !== undefined))
          await new Promise((resolve) => setTimeout(resolve, 520));
        return isWatched && requests.some(({ mode }) => mode === "undo")
          ? new Promise(() => {})
          : store.apply(requests);
      },
    };
    const limiter = limiterOn(slow, 1_000);
    const other = limiterOn(store, 1_000);
    await holding(limiter, other);
    await admitted(other, 1_000);
    isWatched = true;
    const denied = await limiter.consume({ ...CALL, idempotencyKey: "k" });
    assert.deepEqual([denied.allowed, denied.retryAfterMs], [false, 200]);
  });

  it("make a denial say to try again soon without a look at the store, also while they are on their way back", async () => {
    const { store } = slowStore();
    let isWatched = false;
    const silent: Store = {
      ...store,
      deadlineMs: 200,
      async apply(requests) {
        const isAnswered = requests.some(({ once }) => once !== undefined);
        if (isWatched && isAnswered) await new Promise((resolve) => setTimeout(resolve, 120));
        return isWatched && !isAnswered ? new Promise(() => {}) : store.apply(requests);
      },
    };
    const limiter = limiterOn(silent, 1_000);
    const other = limiterOn(store, 1_000);
    await holding(limiter, other);
    await admitted(other, 1_000);
    isWatched = true;
    for (const idempotencyKey of ["held here", "on their way"]) {
      const denied = await limiter.consume({ ...CALL, idempotencyKey });
      assert.deepEqual([denied.allowed, denied.retryAfterMs], [false, 200], idempotencyKey);
    }
  });

  it("that another instance holds make a denial say to try again soon, which then works", async () => {
    for (const algorithm of ["fixed-window", "budget"]) {
      const { store, clock } = slowStore();
      const { window, align, ...common } = GLOBAL;
      const limit = { ...common, algorithm, quota: 1_000, ...(algorithm === "budget" ? {} : { window, align }) };
      const policy = { version: 1, limits: [limit] } as PolicyInput;
      const [one, other] = [0, 1].map(() => createLimiter({ policy, store })) as [Limiter, Limiter];
      let made = await holding(one, other);
      for (;;) {
        const decision = await other.consume(CALL);
        if (!decision.allowed) {
          assert.equal(decision.retryAfterMs, 200);
          assert.equal(decision.retryAfterMs !== null, true);
          assert.match(decision.message ?? "", /Try again in 1 second/);
          break;
        }
        made++;
      }
      for (const denied of [
        await other.consume({ ...CALL, idempotencyKey: "k" }),
        await other.reserve(CALL),
        await other.peek(CALL),
      ]) {
        assert.deepEqual([denied.allowed, denied.retryAfterMs], [false, 200]);
      }
      assert.ok(made < 1_000, "the first instance holds the others");
      clock.advance(200);
      await ticked(2);
      made += await admitted(other, 50);
      assert.equal(made, 1_000);
      clock.advance(200);
      const last = await other.consume(CALL);
      assert.ok((last.verdicts[0]?.resetAfterMs ?? 0) > 50_000, "nothing is held any more");
      assert.equal(last.retryAfterMs !== null, algorithm === "fixed-window");
    }
  });

  it("of a dead instance are forgotten after two seconds: they stay used, and others may borrow again", async () => {
    const { store, clock, asked } = slowStore();
    const dead = limiterOn(store, 10_000);
    await admitted(dead, 2_000);
    await settled();
    mock.timers.reset();
    const other = limiterOn(store, 10_000);
    const lost = ((await usedOf(other)) ?? 0) - 2_000;
    assert.ok(lost > 0 && lost <= 10_000 / 32, `${lost}`);
    clock.advance(2_000);
    const made = await admitted(other, 5_000);
    assert.equal(made, 5_000);
    assert.ok(asked.times < 1_000, `${asked.times} requests`);
    assert.equal(await admitted(other, 5_000), 10_000 - 2_000 - 5_000 - lost);
  });

  it("are few enough that calls with large costs are not denied early", async () => {
    const { store } = slowStore();
    const [one, other] = [limiterOn(store, 10_000), limiterOn(store, 10_000)];
    let used = 0;
    for (let i = 0; ; i++) {
      const limiter = i % 10 === 0 ? one : other;
      const cost = (i % 7) + 1;
      if (!(await limiter.consume({ ...CALL, cost: { calls: cost } })).allowed) break;
      used += cost;
    }
    assert.ok(used >= 9_500, `${used}`);
  });

  it("are not asked for again and again where a store cannot lend them", async () => {
    const { store } = slowStore();
    const asked = { loans: 0 };
    const unable: Store = {
      ...store,
      async apply(requests) {
        const replies = await store.apply(requests);
        return replies.map((reply, i) => {
          if (requests[i]?.steps.every(({ event }) => event.type === "charge")) return reply;
          asked.loans++;
          return new StoreError("unsupported-request", "no holds", { transient: false });
        });
      },
    };
    const limiter = limiterOn(unable, 1_000);
    for (let i = 0; i < 100; i++) assert.equal((await limiter.consume(CALL)).allowed, true);
    assert.ok(asked.loans <= 3, `${asked.loans}`);
  });

  it("are returned after an outage, also those that were on their way when it began", async () => {
    for (const fault of ["lose-request", "lose-reply"] as const) {
      const { limiter, remote, other, isSaid } = connected();
      let made = await admitted(limiter, 1_000);
      await settled();
      remote.fault = fault;
      made += await callUntil(limiter, "store.unreachable", isSaid);
      await ticked(3);
      remote.fault = "answer";
      while (!isSaid("store.recovered")) await new Promise(setImmediate);
      for (let i = 0; i < 100_000 && (await usedOf(other)) !== made; i++) await ticked();
      assert.equal(await usedOf(other), made, fault);
      await Promise.all([limiter.close(), other.close()]);
    }
  });

  it("of several limits say that a loan was decided without the store, whichever limit has it", async () => {
    const degraded = { reason: "unavailable", maxOvershoot: 7 };
    for (const names of [
      ["away", "here"],
      ["here", "away"],
    ]) {
      const { store } = slowStore();
      const partlyAway: Store = {
        ...store,
        async apply(requests) {
          const isLoan = ({ steps: [step] }: StoreRequest) =>
            step?.event.type === "charge" && step.event.cost > 1 && step.bucket.includes("away");
          const replies = await store.apply(requests);
          return replies.map((reply, i) => (isLoan(requests[i] as StoreRequest) ? { ...reply, degraded } : reply));
        },
      };
      const limits = names.map((name) => ({ ...GLOBAL, name, quota: 1_000_000 }));
      const limiter = createLimiter({ policy: { version: 1, limits }, store: partlyAway, denyCacheMs: 0 });
      await admitted(limiter, 300);
      assert.deepEqual((await limiter.consume(CALL)).degraded, degraded, names.join());
      const more = { name: "per-session", per: ["session"], quota: 1_000_000 } as const;
      const mixedPolicy: PolicyInput = { version: 1, limits: [...limits, more] };
      const mixed = createLimiter({
        policy: mixedPolicy,
        store: partlyAway,
        denyCacheMs: 0,
      });
      await admitted(mixed, 300);
      assert.deepEqual((await mixed.consume(CALL)).degraded, degraded, `${names.join()}, and one that does not lend`);
    }
  });

  it("are not used in an outage when the limit denies calls then, nor after a reload that says so", async () => {
    for (const isReload of [false, true]) {
      const { limiter, remote, other, isSaid, policy } = connected(isReload ? {} : { onStoreError: "deny" });
      await admitted(limiter, 1_000);
      await settled();
      remote.fault = "lose-request";
      // A heartbeat may find the outage first: units are used until an answer comes without the store.
      while ((await limiter.consume(CALL)).degraded === null);
      await settled();
      if (isReload) limiter.reload(policy({ onStoreError: "deny" }));
      for (let i = 0; i < 20; i++) {
        const { allowed, degraded } = await limiter.consume(CALL);
        assert.ok(degraded !== null, "it is not decided from borrowed units");
        if (!isReload) assert.equal(allowed, false);
      }
      remote.fault = "answer";
      while (!isSaid("store.recovered")) await new Promise(setImmediate);
      assert.equal(await admitted(limiter, 20), 20);
      await Promise.all([limiter.close(), other.close()]);
    }
  });

  it("are not spent under another policy, nor under the quota of another call", async () => {
    const { store } = slowStore();
    const limiter = limiterOn(store, 10_000);
    const reload = (more: object) =>
      limiter.reload({ version: 1, limits: [{ ...GLOBAL, quota: 10_000, ...more } as PolicyInput["limits"][number]] });
    const stop = { overrides: [{ when: { plan: "none" }, quota: 0 }] };
    for (const stopped of [{ quota: 0 }, { quota: 50 }, { quota: 0, borrow: undefined }]) {
      reload({});
      assert.equal(await admitted(limiter, 500), 500);
      reload(stopped);
      assert.equal(await admitted(limiter, 20), 0, JSON.stringify(stopped));
    }
    reload(stop);
    assert.equal(await admitted(limiter, 100), 100);
    assert.equal(await admitted(limiter, 20, { ...CALL, plan: "none" } as typeof CALL), 0);
    assert.equal(await admitted(limiter, 100), 100);
    reload({ mode: "shadow", quota: 0, borrow: undefined });
    const { allowed, verdicts } = await limiter.consume(CALL);
    assert.deepEqual([allowed, verdicts[0]?.exceeded, verdicts[0]?.mode], [true, true, "shadow"]);
  });

  it("are given up when the store fails, and asked for again", async () => {
    const { store } = slowStore();
    let isAway = false;
    const failing: Store = {
      ...store,
      apply: async (...asked) => {
        if (isAway) throw new Error("away");
        return store.apply(...asked);
      },
    };
    const limiter = limiterOn(failing, 1_000, { name: "per-session", per: ["session"], quota: 1_000 });
    await admitted(limiter, 100);
    isAway = true;
    await assert.rejects(limiter.consume(CALL), /away/);
    isAway = false;
    await settled();
    assert.equal(await admitted(limiter, 2_000), 900);
  });

  it("never exceeds the quota, for any instances, times and crashes, and counts returned units once", async () => {
    const turn = fc.record({
      who: fc.nat({ max: 2 }),
      calls: fc.constantFrom(1, 1, 3, 10, 40),
      cost: fc.constantFrom(1, 1, 1, 2, 5),
      advanceMs: fc.constantFrom(0, 0, 1, 100, 300, 1_200),
      after: fc.constantFrom("goes on", "goes on", "goes on", "goes on", "closes", "dies"),
    });
    const property = fc.asyncProperty(
      fc.array(turn, { minLength: 5, maxLength: 25 }),
      fc.constantFrom(3, 20, 100, 400),
      async (turns, quota) => {
        const { store, clock } = slowStore();
        // The last one is in a Worker.
        const open = (who: number) => limiterOn(who < 2 ? store : { ...store, layers: inRequests().layers }, quota);
        const limiters = [0, 1, 2].map(open);
        const born = clock.nowMs();
        let spent = 0;
        let isExact = true;
        for (const { who, calls, cost, advanceMs, after } of turns) {
          const limiter = limiters[who] as Limiter;
          const made = Array.from({ length: calls }, () => limiter.consume({ ...CALL, cost: { calls: cost } }));
          for (const { allowed } of await Promise.all(made)) if (allowed) spent += cost;
          await settled();
          assert.ok(spent <= quota, `${spent} of ${quota}`);
          if (after === "closes") await limiter.close();
          if (after === "dies") isExact = false;
          if (after !== "goes on") limiters[who] = open(who);
          clock.advance(advanceMs);
        }
        assert.ok(clock.nowMs() - born < WINDOW_MS, "one window");
        for (const limiter of limiters) await limiter.close();
        const used = await usedOf(limiterOn(store, quota));
        assert.ok(used !== undefined && used >= spent && used <= quota, `${used}, ${spent} of ${quota}`);
        if (isExact) assert.equal(used, spent);
      },
    );
    await fc.assert(property, { seed: 20_261_125, numRuns: 300 });
  });

  it("refuses a policy that lends what cannot be lent", () => {
    const refused = (limit: object, expected: string) => {
      const { store } = slowStore();
      const limits = [{ ...GLOBAL, quota: 5, ...limit }] as PolicyInput["limits"];
      assert.throws(
        () => createLimiter({ policy: { version: 1, limits }, store }),
        (error) => MisuseError.isInstance(error) && error.message.includes(expected),
      );
    };
    refused({ distinct: "session" }, "no borrow where distinct values are counted");
    refused({ mode: "shadow" }, "no borrow in mode shadow");
    refused({ borrow: "1m" }, "limits[0].borrow: expected auto");
    refused({ algorithm: "token-bucket", align: undefined, window: "1m" }, "limits[0].borrow: expected only name, ");
  });
});
