// Calls that wait for a slot of a limit of concurrency: in their order in this process, never more than there are slots.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type Call, createLimiter, type Limiter, type LimiterEvent, type PolicyInput } from "tollgate";
import type { Store } from "tollgate/store";
import { memoryStore } from "tollgate/stores/memory";
import { fakeClock } from "tollgate/testing";
import { createHostedLimiter } from "../../src/limiter.ts";
import { isMisuse } from "./fixture.ts";

const SLOT = { name: "at-once", per: ["session"], algorithm: "concurrency", quota: 1, hold: { lease: "1m" } } as const;
const SLOTS: PolicyInput = { version: 1, limits: [SLOT] };
const CALL: Call = { tool: "model", session: "s1" };

const turns = async () => {
  for (let i = 0; i < 15; i++) await new Promise(setImmediate);
};

/** Limiters of several processes on one store, at a time that tests move. */
function setUp(policy: PolicyInput = SLOTS) {
  const clock = fakeClock();
  const memory = memoryStore({ clock });
  const events: LimiterEvent[] = [];
  let asked = 0;
  const store: Store = {
    clock,
    apply(requests) {
      asked += requests.length;
      return memory.apply(requests);
    },
    close: async () => {},
  };
  const open = () => createLimiter({ policy, store, onEvent: (event) => events.push(event) });
  const startMs = clock.nowMs();
  /** Lets time pass, in steps of `eachMs`. */
  const advance = async (ms: number, eachMs = 100) => {
    for (let leftMs = ms; leftMs > 0; leftMs -= eachMs) {
      clock.advance(Math.min(leftMs, eachMs));
      await turns();
    }
  };
  const count = () => {
    const before = asked;
    asked = 0;
    return before;
  };
  return { open, clock, advance, events, count, nowMs: () => clock.nowMs() - startMs };
}

/** A call that runs until it is told to end. */
function running(limiter: Limiter, call = CALL, maxWaitMs = 0, signal?: AbortSignal) {
  const { promise, resolve: end } = Promise.withResolvers<void>();
  const state = { hasBegun: false, isOver: false, end, ran: null as unknown as Promise<boolean> };
  const run = async () => {
    state.hasBegun = true;
    await promise;
    state.isOver = true;
  };
  state.ran = limiter
    .run(call, run, { maxWaitMs, ...(signal === undefined ? {} : { signal }) })
    .then(({ allowed }) => allowed);
  state.ran.catch(() => {});
  return state;
}

describe("a call that waits for a slot", () => {
  it("runs as soon as a call of its process has ended, in the order in which calls came", async () => {
    const { open, nowMs, count } = setUp();
    const limiter = open();
    const first = running(limiter);
    await turns();
    const waiting = [0, 1, 2].map(() => running(limiter, CALL, 10_000));
    await turns();
    assert.deepEqual(
      waiting.map(({ hasBegun }) => hasBegun),
      [false, false, false],
    );
    first.end();
    for (const [i, each] of waiting.entries()) {
      await turns();
      assert.deepEqual(
        waiting.map(({ hasBegun }) => hasBegun),
        [0, 1, 2].map((n) => n <= i),
      );
      each.end();
    }
    assert.deepEqual(await Promise.all(waiting.map(({ ran }) => ran)), [true, true, true]);
    assert.equal(nowMs(), 0);
    assert.ok(count() < 20);
    await limiter.close();
  });

  it("runs within half a second after a call of another process has ended", async () => {
    const { open, advance, nowMs } = setUp();
    const [here, there] = [open(), open()];
    const first = running(there);
    await turns();
    const waiting = running(here, CALL, 60_000);
    await turns();
    await advance(10_000);
    assert.equal(waiting.hasBegun, false);
    first.end();
    await turns();
    const endedMs = nowMs();
    for (let i = 0; i < 100 && !waiting.hasBegun; i++) await advance(50, 50);
    assert.ok(nowMs() - endedMs <= 500, `${nowMs() - endedMs} ms`);
    waiting.end();
    assert.equal(await waiting.ran, true);
    await Promise.all([here.close(), there.close()]);
  });

  it("asks the store once for the whole queue, and ever more rarely", async () => {
    const { open, advance, count } = setUp();
    const [here, there] = [open(), open()];
    running(there);
    await turns();
    const stop = new AbortController();
    const waiting = Array.from({ length: 50 }, () => running(here, CALL, 600_000, stop.signal));
    await turns();
    // Each looks once.
    assert.ok(count() <= 60);
    await advance(30_000, 25);
    // At most four in a second, and 5 while the pauses grow; a third of a lease apart the other process extends its hold.
    assert.ok(count() <= 130);
    stop.abort();
    await Promise.allSettled(waiting.map(({ ran }) => ran));
    await Promise.all([here.close(), there.close()]);
  });

  it("leaves a slot to other processes after five seconds of slots for its own", async () => {
    const { open, advance, nowMs } = setUp();
    const [here, there] = [open(), open()];
    const calls = Array.from({ length: 40 }, () => running(here, CALL, 60_000));
    await turns();
    const other = running(there, CALL, 60_000);
    await turns();
    // Each call of this process takes 300 ms, and the next one begins at once.
    for (let i = 0; i < 100 && !other.hasBegun; i++) {
      await advance(300, 20);
      calls.find(({ hasBegun, isOver }) => hasBegun && !isOver)?.end();
      await turns();
    }
    assert.ok(other.hasBegun);
    assert.ok(nowMs() >= 1_000 && nowMs() <= 6_500, `${nowMs()} ms`);
    other.end();
    const closed = Promise.all([here.close(), there.close()]);
    await Promise.allSettled(calls.map(({ ran }) => ran));
    await closed;
  });

  it("is denied at the end of its wait, with the store's last answer and the usual texts", async () => {
    const { open, advance } = setUp();
    const limiter = open();
    const first = running(limiter);
    await turns();
    const [denied, behind] = [0, 1].map(() => limiter.reserve(CALL, { maxWaitMs: 3_000 }));
    await turns();
    await advance(2_999, 2_999);
    first.end();
    await turns();
    await advance(1);
    const answers = await Promise.all([denied, behind]);
    // The first of the row got the slot that the call gave back, and no other call did.
    assert.deepEqual(
      answers.map((each) => each?.allowed),
      [true, false],
    );
    assert.match(answers[1]?.message ?? "", /\S/);
    await limiter.close();
  });

  it("gets a slot whose lease has ended, at that instant", async () => {
    const { open, advance, nowMs } = setUp({ version: 1, limits: [{ ...SLOT, hold: { lease: "5s" } }] });
    const [here, there] = [open(), open()];
    // Its process dies: it is not extended.
    assert.equal((await there.reserve(CALL)).allowed, true);
    const waiting = running(here, CALL, 60_000);
    await turns();
    await advance(4_999, 1);
    assert.equal(waiting.hasBegun, false);
    await advance(1);
    assert.deepEqual([waiting.hasBegun, nowMs()], [true, 5_000]);
    waiting.end();
    await Promise.all([here.close(), there.close()]);
  });

  it("leaves the queue when its signal is aborted, and the next call continues", async () => {
    const { open } = setUp();
    const limiter = open();
    const first = running(limiter);
    await turns();
    const stop = new AbortController();
    const [gone, next] = [running(limiter, CALL, 60_000, stop.signal), running(limiter, CALL, 60_000)];
    await turns();
    stop.abort(new Error("enough"));
    await assert.rejects(gone.ran, /enough/);
    first.end();
    await turns();
    assert.deepEqual([gone.hasBegun, next.hasBegun], [false, true]);
    next.end();
    await next.ran;
    assert.equal((await limiter.usage({ session: "s1" }))[0]?.used, 0);
    await limiter.close();
  });

  it("is rejected when the limiter closes", async () => {
    const { open } = setUp();
    const limiter = open();
    running(limiter);
    await turns();
    const waiting = [0, 1, 2].map(() => running(limiter, CALL, 60_000));
    await turns();
    const closed = limiter.close();
    for (const { ran, hasBegun } of waiting) {
      await assert.rejects(ran, isMisuse("limiter-closed"));
      assert.equal(hasBegun, false);
    }
    await closed;
  });

  it("is one of at most 256 for a bucket and a process; the next one is denied at once", async () => {
    const { open } = setUp();
    const limiter = open();
    running(limiter);
    await turns();
    const stop = new AbortController();
    const waiting = Array.from({ length: 256 }, () => running(limiter, CALL, 60_000, stop.signal));
    await turns();
    assert.equal((await limiter.reserve(CALL, { maxWaitMs: 60_000 })).allowed, false);
    stop.abort();
    await Promise.allSettled(waiting.map(({ ran }) => ran));
    const next = running(limiter, CALL, 60_000);
    await turns();
    assert.equal(next.hasBegun, false);
    const closed = limiter.close();
    await assert.rejects(next.ran);
    await closed;
  });

  it("does not overtake waiting calls when it finds a free slot", async () => {
    const { open, advance } = setUp();
    const [here, there] = [open(), open()];
    const first = running(there);
    await turns();
    const waiting = running(here, CALL, 60_000);
    await turns();
    await advance(10_000);
    first.end();
    await turns();
    // It finds the slot, and leaves it to the first of the row.
    const late = running(here, CALL, 60_000);
    await turns();
    assert.deepEqual([waiting.hasBegun, late.hasBegun], [true, false]);
    waiting.end();
    await turns();
    assert.equal(late.hasBegun, true);
    late.end();
    await late.ran;
    await Promise.all([here.close(), there.close()]);
  });
});

describe("a remote caller that has gone when its call gets a slot", () => {
  for (const more of [{}, { idempotencyKey: "k" }]) {
    it(`frees it, and refunds its charges: ${"idempotencyKey" in more ? "with" : "without"} a key`, async () => {
      const clock = fakeClock();
      const memory = memoryStore({ clock });
      const gone = new AbortController();
      let isLeaving = false;
      const store: Store = {
        clock,
        async apply(requests) {
          const replies = await memory.apply(requests);
          // The caller goes while the answer is on its way.
          if (isLeaving && requests[0]?.mode === "judge") gone.abort(new Error("gone"));
          return replies;
        },
        close: () => memory.close(),
      };
      const total = { name: "total", per: ["session"], quota: 10 };
      const limiter = createHostedLimiter({ policy: { version: 1, limits: [SLOT, total] }, store });
      const first = running(limiter);
      await turns();
      const begun = limiter.begin({ ...CALL, ...more }, { maxWaitMs: 60_000, abandoned: gone.signal });
      begun.catch(() => {});
      await turns();
      const next = running(limiter as Limiter, CALL, 60_000);
      await turns();
      isLeaving = true;
      first.end();
      await assert.rejects(begun, /gone/);
      await turns();
      assert.equal(next.hasBegun, true);
      next.end();
      await next.ran;
      assert.deepEqual(
        (await limiter.usage({ session: "s1" })).map(({ used }) => used),
        [0, 2],
      );
      await limiter.close();
    });
  }
});

describe("a reload while calls wait for a slot", () => {
  const kinds: readonly (readonly [what: string, limit: PolicyInput["limits"][number]])[] = [
    ["raises the limit", { ...SLOT, quota: 4 }],
    ["takes the limit away", { ...SLOT, name: "another" }],
    ["changes its algorithm", { name: "at-once", per: ["session"], quota: 4 }],
  ];
  for (const [what, limit] of kinds) {
    it(`that ${what} helps them, too`, async () => {
      const { open, advance, events } = setUp();
      const limiter = open();
      const first = running(limiter);
      await turns();
      const waiting = [0, 1, 2].map(() => running(limiter, CALL, 60_000));
      await turns();
      limiter.reload({ version: 1, limits: [limit, { name: "total", per: ["session"], quota: 10 }] });
      await advance(600);
      const begun = waiting.filter(({ hasBegun }) => hasBegun).length;
      assert.equal(begun, limit.name === "another" ? 1 : 3);
      first.end();
      for (const { end } of waiting) end();
      await turns();
      await advance(600);
      assert.deepEqual(await Promise.all(waiting.map(({ ran }) => ran)), [true, true, true]);
      const usages = await limiter.usage({ session: "s1" });
      assert.deepEqual(
        usages.map(({ used }) => used),
        [limit.algorithm === "concurrency" ? 0 : 3, 3],
      );
      assert.deepEqual(
        events.map(({ type }) => type),
        ["policy.reloaded"],
      );
      await limiter.close();
    });
  }
});

describe("a retried call while others wait for its slot", () => {
  for (const quota of [1, 2]) {
    it(`gets its first answer, and does not wait behind them: ${quota} slots`, async () => {
      const { open, advance } = setUp({ version: 1, limits: [{ ...SLOT, quota }] });
      const [limiter, other] = [open(), open()];
      const call = { ...CALL, idempotencyKey: "k" };
      const first = await limiter.reserve(call);
      const others = Array.from({ length: quota - 1 }, () => running(other));
      await turns();
      const waiting = [running(limiter, CALL, 60_000), running(limiter, CALL, 60_000)];
      await turns();
      await advance(10_000);
      for (const { end } of others) end();
      await turns();
      const again = limiter.reserve(call, { maxWaitMs: 60_000 });
      await turns();
      await advance(600);
      const second = await Promise.race([again, advance(100)]);
      assert.deepEqual([second?.allowed, second?.replayed], [true, true]);
      assert.deepEqual(
        waiting.map(({ hasBegun }) => hasBegun),
        [quota === 2, false],
      );
      if (first.allowed) await first.hold.release();
      for (const { end, ran } of waiting) {
        await turns();
        end();
        assert.equal(await ran, true);
      }
      await Promise.all([limiter.close(), other.close()]);
    });
  }

  it("waits in its order when it is the first of its key", async () => {
    const { open } = setUp();
    const limiter = open();
    const first = running(limiter);
    await turns();
    const calls = [CALL, { ...CALL, idempotencyKey: "k" }, CALL].map((call) => running(limiter, call, 60_000));
    await turns();
    first.end();
    for (const [i, { end }] of calls.entries()) {
      await turns();
      assert.deepEqual(
        calls.map(({ hasBegun }) => hasBegun),
        calls.map((_, n) => n <= i),
      );
      end();
    }
    await Promise.all(calls.map(({ ran }) => ran));
    await limiter.close();
  });
});

describe("a call that several limits deny", () => {
  const policy: PolicyInput = {
    version: 1,
    limits: [
      SLOT,
      { name: "rate", per: ["session"], algorithm: "token-bucket", window: "1s", quota: 1, burst: 1 },
      { name: "window", per: ["session"], unit: "tokens", algorithm: "fixed-window", window: "1m", quota: 10 },
    ],
  };

  it("is denied at once where one of them needs a longer wait than allowed", async () => {
    const { open, nowMs } = setUp(policy);
    const limiter = open();
    running(limiter, { ...CALL, cost: { tokens: 9 } });
    await turns();
    // Others wait for the slot, too.
    const waiting = running(limiter, { ...CALL, cost: { tokens: 0 } }, 10_000);
    await turns();
    for (const tokens of [2, 11]) {
      const denied = await limiter.reserve({ ...CALL, cost: { tokens } }, { maxWaitMs: 30_000 });
      assert.equal(denied.allowed, false);
    }
    const costly = await limiter.reserve({ ...CALL, cost: { calls: 2, tokens: 0 } }, { maxWaitMs: 30_000 });
    assert.deepEqual([costly.allowed, costly.retryAfterMs], [false, null]);
    assert.equal(nowMs(), 0);
    const closed = limiter.close();
    await assert.rejects(waiting.ran);
    await closed;
  });

  it("waits for the one that frees last", async () => {
    const { open, advance, nowMs } = setUp(policy);
    const limiter = open();
    const whole = { ...CALL, cost: { tokens: 10 } };
    await limiter.run(whole, () => {});
    await advance(1_000);
    const first = running(limiter, { ...CALL, cost: { tokens: 0 } });
    await turns();
    const waiting = running(limiter, whole, 120_000);
    await turns();
    first.end();
    await advance(58_900);
    assert.equal(waiting.hasBegun, false);
    for (let i = 0; i < 100 && !waiting.hasBegun; i++) await advance(50, 50);
    assert.equal(nowMs(), 60_000);
    waiting.end();
    assert.equal(await waiting.ran, true);
    await limiter.close();
  });

  it("gets a slot and a turn in the queue of a token bucket together", async () => {
    const { open, advance, nowMs } = setUp({ version: 1, limits: policy.limits.slice(0, 2) });
    const limiter = open();
    const first = running(limiter);
    await turns();
    const calls = [0, 1].map(() => running(limiter, CALL, 10_000));
    await turns();
    await advance(400);
    first.end();
    await turns();
    // It has the slot, and waits for its turn: no other call has the slot.
    assert.equal((await limiter.usage({ session: "s1" }))[0]?.used, 1);
    await advance(599, 1);
    assert.equal(calls[0]?.hasBegun, false);
    await advance(1);
    assert.equal(calls[0]?.hasBegun, true);
    calls[0]?.end();
    await advance(1_000);
    assert.deepEqual([calls[1]?.hasBegun, nowMs()], [true, 2_000]);
    calls[1]?.end();
    assert.deepEqual(await Promise.all(calls.map((each) => each.ran)), [true, true]);
    await limiter.close();
  });

  it("keeps its slot when it has a key and is aborted before its turn: the calls behind it do not ask the store", async () => {
    const { open, advance, count } = setUp({ version: 1, limits: policy.limits.slice(0, 2) });
    const limiter = open();
    await limiter.run(CALL, () => {});
    const stop = new AbortController();
    const keyed = { ...CALL, idempotencyKey: "k" };
    const aborted = limiter.reserve(keyed, { maxWaitMs: 10_000, signal: stop.signal });
    await turns();
    const behind = running(limiter, CALL, 60_000);
    await turns();
    count();
    stop.abort(new Error("enough"));
    await assert.rejects(aborted, /enough/);
    await turns();
    assert.deepEqual([count(), behind.hasBegun], [0, false]);
    const again = limiter.reserve(keyed, { maxWaitMs: 10_000 });
    await turns();
    await advance(1_000);
    const retried = await again;
    if (retried.allowed) await retried.hold.release();
    await advance(1_500);
    assert.deepEqual([retried.replayed, behind.hasBegun], [true, true]);
    behind.end();
    await behind.ran;
    await limiter.close();
  });

  it("counts among the 256 calls that sleep for the window, not for the slot", async () => {
    const window = { name: "window", per: ["user"], algorithm: "fixed-window", window: "1m", quota: 1 } as const;
    const { open } = setUp({ version: 1, limits: [SLOT, window] });
    const limiter = open();
    await limiter.run({ tool: "model", session: "s0", user: "u1" }, () => {});
    const first = running(limiter, { tool: "model", session: "s1", user: "u2" });
    await turns();
    const stop = new AbortController();
    const options = { maxWaitMs: 120_000, signal: stop.signal };
    const sleeping = Array.from({ length: 256 }, () => limiter.reserve({ ...CALL, user: "u1" }, options));
    await turns();
    const next = limiter.reserve({ tool: "model", session: "s2", user: "u1" }, options);
    const denied = await Promise.race([next, turns().then(() => null)]);
    assert.equal(denied?.allowed, false);
    stop.abort();
    await Promise.allSettled(sleeping);
    first.end();
    await first.ran;
    await limiter.close();
  });
});

/** What happens in a schedule. */
const act = fc.record({
  process: fc.nat(1),
  type: fc.constantFrom("call", "call", "call", "end", "end", "abort", "time"),
  which: fc.nat(20),
  maxWaitMs: fc.constantFrom(0, 500, 60_000, 60_000, 60_000),
});

it("never runs more calls than there are slots, and frees every slot, in 100 schedules", async () => {
  let waited = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 3 }),
      fc.boolean(),
      fc.array(act, { minLength: 15, maxLength: 35 }),
      async (quota, hasRate, acts) => {
        const rate = {
          name: "rate",
          per: ["session"],
          algorithm: "token-bucket",
          window: "1s",
          quota: 4,
          burst: 2,
        } as const;
        const policy = { version: 1, limits: [{ ...SLOT, quota }, ...(hasRate ? [rate] : [])] } as const;
        const { open, advance } = setUp(policy);
        const processes = [open(), open()];
        const calls: (ReturnType<typeof running> & { isOver: boolean; stop: AbortController; waits: boolean })[] = [];
        const atWork = () => calls.filter(({ hasBegun, isOver }) => hasBegun && !isOver);
        for (const { process, type, which, maxWaitMs } of acts) {
          const open = atWork();
          const pending = calls.filter(({ hasBegun, isOver }) => !hasBegun && !isOver);
          if (type === "call") {
            const stop = new AbortController();
            const call = running(processes[process] as Limiter, CALL, maxWaitMs, stop.signal);
            const state = Object.assign(call, { isOver: false, stop, waits: false });
            calls.push(state);
            const over = () => {
              state.isOver = true;
            };
            state.ran.then(over, over);
          } else if (type === "end") open[which % open.length]?.end();
          else if (type === "abort") pending[which % pending.length]?.stop.abort();
          else await advance(which * 50, 50);
          await turns();
          for (const each of calls) each.waits ||= !each.hasBegun && !each.isOver;
          assert.ok(atWork().length <= quota, `${atWork().length} at work, ${quota} slots`);
        }
        waited += calls.filter(({ waits, hasBegun }) => waits && hasBegun).length;
        // In the end every call has run, or was denied, and nothing is held.
        for (let i = 0; i < 200 && calls.some(({ isOver }) => !isOver); i++) {
          for (const each of atWork()) each.end();
          await advance(500, 500);
          assert.ok(atWork().length <= quota);
        }
        await Promise.allSettled(calls.map(({ ran }) => ran));
        assert.equal((await processes[0]?.usage({ session: "s1" }))?.[0]?.used, 0);
        await Promise.all(processes.map((each) => each.close()));
      },
    ),
    { numRuns: 100, seed: 20_270_311 },
  );
  assert.ok(waited > 150, `${waited} calls ran after they had waited`);
});
