// Units that are borrowed ahead: never over, given back, and what they spare.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import fc from "fast-check";
import { createLimiter, type Limiter, MisuseError, type PolicyInput } from "tollgate";
import type { Store } from "tollgate/store";
import { slowStore } from "./slow-store.ts";

const WINDOW_MS = 60_000;
const GLOBAL = {
  name: "global",
  per: ["tool"],
  algorithm: "fixed-window",
  window: `${WINDOW_MS}ms`,
  align: "first-use",
  lease: "auto",
} as const;
const CALL = { tool: "search", session: "s1" };

function limiterOn(store: Store, quota: number, ...others: PolicyInput["limits"]): Limiter {
  return createLimiter({ policy: { version: 1, limits: [{ ...GLOBAL, quota }, ...others] }, store, denyCacheMs: 0 });
}

async function usedOf(limiter: Limiter): Promise<number | undefined> {
  return (await limiter.usage({ tool: "search" }))[0]?.used;
}

/** Lets what goes on beside calls come to its end. */
const settled = async () => {
  for (let i = 0; i < 6; i++) await new Promise(setImmediate);
};

async function admitted(limiter: Limiter, calls: number, call = CALL): Promise<number> {
  let count = 0;
  for (let i = 0; i < calls; i++) if ((await limiter.consume(call)).allowed) count++;
  return count;
}

describe("units that are borrowed ahead", () => {
  it("are decided on here: thousands of calls in a few requests, all counted, all verdicts right", async () => {
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

  it("one instance alone gets exactly the quota, and asks for each call near the end", async () => {
    for (const quota of [1, 2, 7, 8, 100, 1_000]) {
      const { store } = slowStore();
      assert.equal(await admitted(limiterOn(store, quota), quota + 50), quota);
    }
  });

  it("are not borrowed for calls that come seldom", async () => {
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

  it("are given back when nobody has wanted them for a second", async () => {
    const { store, clock } = slowStore();
    const limiter = limiterOn(store, 1_000_000);
    await admitted(limiter, 1_000);
    clock.advance(1_000);
    await sleep(700);
    assert.equal(await usedOf(limiterOn(store, 1_000_000)), 1_000);
    assert.equal(await admitted(limiter, 10), 10);
  });

  it("end with their window, and a reset takes them along", async () => {
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
      apply: async (requests, ...more) => {
        if (requests[0]?.steps[0]?.bucket.includes("{held}")) await gate.promise;
        return store.apply(requests, ...more);
      },
    };
    const none = { name: "none", per: ["session"], quotas: { held: 0 }, otherwise: "allow" } as const;
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

  it("are left alone by calls with a key, waits, holds, peeks and records", async () => {
    const { store } = slowStore();
    const limiter = limiterOn(store, 1_000);
    await admitted(limiter, 100);
    const key = { ...CALL, idempotencyKey: "k" };
    assert.deepEqual([(await limiter.consume(key)).replayed, (await limiter.consume(key)).replayed], [false, true]);
    assert.equal((await limiter.consume(CALL, { maxWaitMs: 5 })).allowed, true);
    assert.equal((await limiter.peek(CALL)).allowed, true);
    const held = await limiter.reserve(CALL);
    assert.ok(held.allowed);
    await held.settle();
    await limiter.record(CALL);
    assert.equal(await usedOf(limiter), 104);
    await limiter.close();
    assert.equal(await usedOf(limiterOn(store, 1_000)), 104);
  });

  it("are not spent under another policy, nor under the quota of another call", async () => {
    const { store } = slowStore();
    const limiter = limiterOn(store, 10_000);
    const reload = (more: object) =>
      limiter.reload({ version: 1, limits: [{ ...GLOBAL, quota: 10_000, ...more } as PolicyInput["limits"][number]] });
    const stop = { overrides: [{ when: { plan: "none" }, quota: 0 }] };
    for (const stopped of [{ quota: 0 }, { quota: 50 }, { quota: 0, lease: undefined }]) {
      reload({});
      assert.equal(await admitted(limiter, 500), 500);
      reload(stopped);
      assert.equal(await admitted(limiter, 20), 0, JSON.stringify(stopped));
    }
    reload(stop);
    assert.equal(await admitted(limiter, 100), 100);
    assert.equal(await admitted(limiter, 20, { ...CALL, plan: "none" } as typeof CALL), 0);
    assert.equal(await admitted(limiter, 100), 100);
    reload({ mode: "shadow", quota: 0, lease: undefined });
    const { allowed, verdicts } = await limiter.consume(CALL);
    assert.deepEqual([allowed, verdicts[0]?.allowed, verdicts[0]?.shadow], [true, false, true]);
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

  it("never over, whatever the instances, the times and the deaths; and what is given back is counted once", async () => {
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
        const limiters = [0, 1, 2].map(() => limiterOn(store, quota));
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
          if (after !== "goes on") limiters[who] = limiterOn(store, quota);
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

  it("a policy that lends what cannot be lent is refused", () => {
    const refused = (limit: object, expected: string) => {
      const { store } = slowStore();
      const limits = [{ ...GLOBAL, quota: 5, ...limit }] as PolicyInput["limits"];
      assert.throws(
        () => createLimiter({ policy: { version: 1, limits }, store }),
        (error) => MisuseError.isInstance(error) && error.message.includes(expected),
      );
    };
    refused({ count: "session" }, "no lease where values are counted");
    refused({ mode: "shadow" }, "no lease in mode shadow");
    refused({ lease: "1m" }, "limits[0].lease: expected auto");
    refused({ algorithm: "gcra", align: undefined, window: "1m" }, "limits[0].lease: expected only");
  });
});
