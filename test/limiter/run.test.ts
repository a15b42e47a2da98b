// Calls that run here: held while their function runs, settled however it ends.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import { type Call, type RunContext, StoreError } from "tollgate";
import type { Store } from "tollgate/store";
import { memoryStore } from "tollgate/stores/memory";
import { fakeClock } from "tollgate/testing";
import { isMisuse, limiterFor, POLICY, watchable } from "./fixture.ts";

const call: Call = { tool: "model", session: "s1", cost: { tokens: 400 } };

describe("run", () => {
  it("holds while the function runs, and settles the reported usage", async () => {
    const { limiter, used } = limiterFor();
    const ran = await limiter.run(call, async ({ signal, addUsage }) => {
      assert.equal(signal.aborted, false);
      assert.deepEqual(await used(), { calls: 1, tokens: 400, money: 0 });
      addUsage({ tokens: 30 });
      addUsage({ tokens: 12 });
      return "value";
    });
    assert.ok(ran.allowed);
    assert.equal(ran.value, "value");
    assert.equal(ran.verdicts[1]?.remaining, 600);
    assert.deepEqual(await used(), { calls: 1, tokens: 42, money: 0 });
  });

  it("charges the estimate where nothing was reported", async () => {
    const { limiter, used } = limiterFor();
    await limiter.run(call, () => "value");
    assert.deepEqual(await used(), { calls: 1, tokens: 400, money: 0 });
  });

  it("books the reported usage of a unit without an estimate", async () => {
    const { limiter, used } = limiterFor();
    await limiter.run({ tool: "search", session: "s1" }, ({ addUsage }) => addUsage({ tokens: 2_000, calls: 3 }));
    assert.deepEqual(await used(), { calls: 3, tokens: 2_000, money: 0 });
    const ran = await limiter.run({ tool: "search", session: "s1" }, () => assert.fail("ran"));
    assert.equal(ran.allowed, false);
    assert.equal("value" in ran, false);
  });

  it("asks the store once where nothing is held and nothing reported", async () => {
    const store = memoryStore();
    let asked = 0;
    const counting: Store = {
      ...store,
      apply(requests) {
        asked++;
        return store.apply(requests);
      },
      close: () => store.close(),
    };
    const { limiter } = limiterFor({ store: counting });
    await limiter.run({ tool: "search", session: "s1" }, () => 1);
    assert.equal(asked, 1);
  });

  for (const [onError, expected] of [
    ["charge", { calls: 1, tokens: 400, money: 300 }],
    ["refund", { calls: 0, tokens: 70, money: 0 }],
  ] as const) {
    it(`throws what the function threw, after it was settled: onError ${onError}`, async () => {
      const { limiter, used } = limiterFor({ policy: { ...POLICY, onError } });
      const failing = async ({ addUsage }: RunContext) => {
        if (onError === "refund") addUsage({ tokens: 70 });
        throw new Error("tool broke");
      };
      await assert.rejects(limiter.run({ ...call, tool: "book", user: "u1" }, failing), /tool broke/);
      assert.deepEqual(await used(), expected);
    });
  }

  it("frees its hold when it is aborted before the function starts", async () => {
    const store = watchable(memoryStore());
    const { limiter, used } = limiterFor({ store });
    const controller = new AbortController();
    const { apply } = store;
    store.apply = (requests) => {
      controller.abort(new Error("too late"));
      return apply(requests);
    };
    const { signal } = controller;
    await assert.rejects(
      limiter.run(call, () => assert.fail("ran"), { signal }),
      /too late/,
    );
    assert.deepEqual(await used(), { calls: 1, tokens: 0, money: 0 });
  });

  it("never exceeds a concurrency limit", async () => {
    const { limiter } = limiterFor();
    const inSession = { tool: "search", session: "s2" };
    let running = 0;
    const results = await Promise.all(
      Array.from({ length: 4 }, () =>
        limiter.run(inSession, async () => {
          assert.equal(++running, 1);
          await sleep(5);
          running--;
        }),
      ),
    );
    assert.deepEqual(
      results.map(({ allowed }) => allowed),
      [true, false, false, false],
    );
    assert.ok((await limiter.run(inSession, () => 1)).allowed);
  });

  it("extends its hold at a third of the lease", async () => {
    const clock = fakeClock(0);
    const store = { ...watchable(memoryStore({ clock })), clock };
    const { limiter } = limiterFor({ store });
    const extendedAtMs: number[] = [];
    const { apply } = store;
    store.apply = (requests) => {
      for (const { steps } of requests) if (steps[0]?.event.type === "extend") extendedAtMs.push(clock.nowMs());
      return apply(requests);
    };
    const pass = async (ms: number) => {
      for (let passedMs = 0; passedMs < ms; passedMs += 10) {
        clock.advance(10);
        await turn();
      }
    };
    const ran = await limiter.run(call, () => pass(110), { leaseMs: 60 });
    assert.ok(ran.allowed);
    const [, tokens] = await limiter.usage({ session: "s1" });
    assert.equal(tokens?.used, 400);
    await pass(60);
    assert.deepEqual(extendedAtMs, [20, 40, 60, 80, 100]);
  });

  it("has a hold that another process can settle by its id, which charges the call no second time", async () => {
    const store = watchable(memoryStore());
    const { limiter, events, used } = limiterFor({ store });
    const { apply } = store;
    const cut: Store["apply"] = async () => {
      throw new StoreError("unavailable", "gone", { transient: true });
    };
    await limiter.run(call, ({ addUsage }) => {
      addUsage({ tokens: 42 });
      store.apply = cut;
    });
    store.apply = apply;
    const [event] = events;
    assert.ok(event?.type === "hold.unsettled");
    await limiter.getHold(event.holdId, call).settle({ tokens: 42 });
    assert.deepEqual(await used(), { calls: 1, tokens: 42, money: 0 });
  });

  it("emits an event when a hold could not be extended or settled, and returns the function's result", async () => {
    const store = watchable(memoryStore());
    const { limiter, events } = limiterFor({ store });
    const { apply } = store;
    store.apply = async (requests) => {
      if (requests[0]?.mode === "force") throw new StoreError("unavailable", "gone", { transient: true });
      return apply(requests);
    };
    const ran = await limiter.run(call, () => sleep(60, "value"), { leaseMs: 30 });
    assert.equal(ran.allowed && ran.value, "value");
    const types = new Set(events.map(({ type }) => type));
    assert.deepEqual([...types], ["hold.lost", "hold.unsettled"]);
    const event = events.at(-1);
    assert.ok(
      event?.type === "hold.unsettled" && StoreError.isInstance(event.error) && /^run-[\w-]{36}$/.test(event.holdId),
    );
  });

  it("emits one event for an expired hold, and settles late", async () => {
    // The store's time moves while this process's timers stand still.
    const clock = fakeClock();
    const { limiter, events, used } = limiterFor({ store: watchable(memoryStore({ clock })) });
    await limiter.run(
      call,
      async ({ addUsage }) => {
        clock.advance(30);
        addUsage({ tokens: 500 });
        await sleep(60);
      },
      { leaseMs: 30 },
    );
    assert.deepEqual(
      events.map((event) => [event.type, "error" in event && event.error]),
      [["hold.lost", null]],
    );
    assert.deepEqual(await used(), { calls: 1, tokens: 500, money: 0 });
  });

  it("refuses a value that is no function, and wrong options", async () => {
    const { limiter } = limiterFor();
    await assert.rejects(limiter.run(call, 5 as never), isMisuse("invalid-option", "work"));
    for (const [options, path] of [
      [{ lease: 5 }, "options"],
      [{ leaseMs: 0 }, "leaseMs"],
      [{ isActive: true }, "isActive"],
      [new AbortController().signal, "options"],
    ] as const) {
      const refused = limiter.run(call, () => assert.fail("ran"), options as never);
      await assert.rejects(refused, isMisuse("invalid-option", path));
    }
  });
});
