// What a function of `run` reports. Whatever that is, its result is returned: in the process and through a service.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type AddUsage,
  type AddUsageOptions,
  type Call,
  createLimiter,
  type Limiter,
  type LimiterEvent,
  type RunContext,
} from "tollgate";
import { createRemoteLimiter } from "tollgate/client";
import { memoryStore } from "tollgate/stores/memory";
import { served } from "../service/served.ts";
import { POLICY } from "./fixture.ts";

const CALL: Call = { tool: "model", session: "s1", cost: { tokens: 400 } };

interface Side {
  readonly limiter: Limiter;
  readonly events: LimiterEvent[];
  readonly used: () => Promise<Record<string, number>>;
}

const sides: Record<string, (more?: object) => Promise<Side>> = {
  async "a limiter"(more = {}) {
    const events: LimiterEvent[] = [];
    const policy = { ...POLICY, ...more };
    return sideOf(createLimiter({ policy, store: memoryStore(), onEvent: (event) => events.push(event) }), events);
  },
  async "a client"(more = {}) {
    const events: LimiterEvent[] = [];
    const { url } = await served({ policy: { ...POLICY, ...more }, store: memoryStore() });
    return sideOf(createRemoteLimiter({ url, onEvent: (event) => events.push(event) }), events);
  },
};

function sideOf(limiter: Limiter, events: LimiterEvent[]): Side {
  const used = async () => {
    const usages = (await limiter.usage({ session: "s1", user: "u1" })).filter(({ quota }) => quota !== null);
    return Object.fromEntries(usages.map(({ limit, used }) => [limit, used]));
  };
  return { limiter, events, used };
}

/** What untyped code may add. */
type Anything = (usage: unknown, options?: AddUsageOptions) => void;

const throwing = {
  get tokens(): number {
    throw new Error("no count");
  },
};

for (const [name, make] of Object.entries(sides)) {
  describe(`usage that is reported to ${name}`, () => {
    const unusable: readonly [what: string, usage: unknown, unit: string | null, got: RegExp][] = [
      ["NaN", { tokens: Number.NaN }, "tokens", /^NaN$/],
      ["an infinite number", { tokens: Number.POSITIVE_INFINITY }, "tokens", /^Infinity$/],
      ["a fraction", { tokens: 2982.9 }, "tokens", /^2982\.9$/],
      ["a negative number", { tokens: -5 }, "tokens", /^-5$/],
      ["more than is exact", { tokens: 2 ** 53 }, "tokens", /^9007199254740992$/],
      ["a string", { tokens: "12" }, "tokens", /^"12"$/],
      ["a BigInt", { tokens: 12n }, "tokens", /^12n$/],
      ["null", { tokens: null }, "tokens", /^null$/],
      ["nothing", { tokens: undefined }, "tokens", /^nothing$/],
      ["a unit that no limit counts", { euros: 3 }, "euros", /^"euros"$/],
      ["a number alone", 12, null, /^12$/],
      ["no usage", undefined, null, /^nothing$/],
      ["a promise that is rejected", () => Promise.reject(new Error("no count")), null, /^\{\}$/],
      ["a promise for a unit", () => ({ tokens: Promise.reject(new Error("no count")) }), "tokens", /^\{\}$/],
      ["a list", [12], null, /^\[12\]$/],
      ["a map", new Map([["tokens", 12]]), null, /^\{\}$/],
      ["an error", new Error("no usage"), null, /^Error: no usage$/],
      ["a getter that throws", throwing, null, /^Error: no count$/],
    ];
    for (const [what, usage, unit, got] of unusable) {
      for (const onError of ["charge", "refund"] as const) {
        it(`charges the estimate, emits an event and returns the value: ${what}, onError ${onError}`, async () => {
          const { limiter, events, used } = await make({ onError });
          const ran = await limiter.run(CALL, ({ addUsage }) => {
            (addUsage as Anything)(typeof usage === "function" ? usage() : usage);
            return "answer";
          });
          assert.equal(ran.allowed && ran.value, "answer");
          assert.deepEqual(await used(), { calls: 1, tokens: 400, money: 0 });
          const [event, ...more] = events;
          assert.ok(event?.type === "usage.unusable", JSON.stringify(events));
          assert.deepEqual([event.unit, event.call.tool, more.length], [unit, "model", 0]);
          assert.match(event.got, got);
          assert.match(event.holdId, /^run-[\w-]{28,36}$/);
        });
      }
    }

    it("counts the good units of a usage beside a bad one", async () => {
      const { limiter, events, used } = await make();
      const call = { ...CALL, tool: "book", user: "u1" };
      await limiter.run(call, ({ addUsage }) => addUsage({ tokens: 30, usd_micros: -1, calls: 2, euros: 5 }));
      assert.deepEqual(await used(), { calls: 2, tokens: 30, money: 300 });
      assert.deepEqual(
        events.map((event) => event.type === "usage.unusable" && event.unit),
        ["usd_micros", "euros"],
      );
    });

    it("never charges less than the good figures beside a bad one, which lowers no total", async () => {
      const { limiter, used } = await make();
      await limiter.run(CALL, ({ addUsage }) => {
        addUsage({ tokens: 900 });
        addUsage({ tokens: -600 });
      });
      assert.equal((await used()).tokens, 900);
      const second = { ...CALL, cost: { tokens: 50 } };
      await limiter.run(second, ({ addUsage }) => {
        addUsage({ tokens: 20 });
        addUsage({ tokens: Number.NaN });
      });
      assert.equal((await used()).tokens, 950);
    });

    it("charges a failed call its estimate for a bad figure", async () => {
      const { limiter, used } = await make({ onError: "refund" });
      const failing = ({ addUsage }: RunContext) => {
        addUsage({ tokens: Number.NaN });
        throw new Error("tool broke");
      };
      await assert.rejects(limiter.run(CALL, failing), /tool broke/);
      assert.deepEqual(await used(), { calls: 0, tokens: 400, money: 0 });
    });

    it("charges nothing for a bad figure of a unit without a hold", async () => {
      const { limiter, events, used } = await make();
      const call = { tool: "search", session: "s1" };
      const ran = await limiter.run(call, ({ addUsage }) => addUsage({ tokens: -7 }));
      assert.ok(ran.allowed);
      assert.deepEqual([await used(), events.length], [{ calls: 1, tokens: 0, money: 0 }, 1]);
    });

    it("charges at least the estimate for partial usage, without an event", async () => {
      const { limiter, events, used } = await make();
      await limiter.run(CALL, ({ addUsage }) => addUsage({ tokens: 30 }, { atLeast: true }));
      assert.equal((await used()).tokens, 400);
      await limiter.run(CALL, ({ addUsage }) => addUsage({ tokens: 500 }, { atLeast: true }));
      assert.equal((await used()).tokens, 900);
      assert.deepEqual(events, []);
    });

    it("skips units that no limit counts without an event where the option says so", async () => {
      const { limiter, events, used } = await make();
      await limiter.run(CALL, ({ addUsage }) => addUsage({ tokens: 30, euros: 5 }, { skipUnknown: true }));
      assert.deepEqual([(await used()).tokens, events], [30, []]);
    });

    it("emits an event for a usage after the end, and does not throw", async () => {
      const { limiter, events, used } = await make();
      const added: AddUsage[] = [];
      await limiter.run({ ...CALL, cost: { tokens: 1 } }, ({ addUsage }) => added.push(addUsage));
      added[0]?.({ tokens: 70 });
      const [event] = events;
      assert.ok(event?.type === "usage.unusable");
      assert.deepEqual([event.unit, event.got, (await used()).tokens], [null, "one after it", 1]);
    });

    it("emits each fault once, and at most 16 for one call", async () => {
      const { limiter, events } = await make();
      await limiter.run(CALL, ({ addUsage }) => {
        for (let i = 0; i < 100; i++) addUsage({ tokens: -1 });
        assert.equal(events.length, 1);
        for (let i = 0; i < 100; i++) addUsage({ [`euros_${i}${"x".repeat(1_000)}`]: 1 });
      });
      assert.equal(events.length, 16);
      assert.ok(events.every((event) => JSON.stringify(event).length < 1_000));
    });
  });
}

describe("a policy that is reloaded while a call runs", () => {
  const { limits, ...rest } = POLICY;
  const CALLS_ALONE = { ...rest, tools: {}, limits: limits.filter(({ name }) => name === "calls") };

  it("does not cost a limiter's call its result", async () => {
    const events: LimiterEvent[] = [];
    const limiter = createLimiter({ policy: POLICY, store: memoryStore(), onEvent: (event) => events.push(event) });
    const run = () =>
      limiter.run({ tool: "model", session: "s1" }, ({ addUsage }) => {
        limiter.reload(CALLS_ALONE);
        addUsage({ tokens: 30 });
        return "answer";
      });
    for (const reports of [0, 1]) {
      events.length = 0;
      const ran = await run();
      assert.equal(ran.allowed && ran.value, "answer");
      assert.equal(events.filter(({ type }) => type === "usage.unusable").length, reports);
    }
  });

  it("does not cost a client's call its result, or the accounting of the remaining units", async () => {
    const events: LimiterEvent[] = [];
    const money = limits.filter(({ name }) => name !== "tokens");
    const { url, service } = await served({ policy: POLICY, store: memoryStore() });
    const limiter = createRemoteLimiter({ url, onEvent: (event) => events.push(event) });
    const call = { ...CALL, tool: "book", user: "u1" };
    const ran = await limiter.run(call, ({ addUsage }) => {
      service.reload({ ...POLICY, limits: money });
      addUsage({ tokens: 30, usd_micros: 120 });
      return "answer";
    });
    assert.equal(ran.allowed && ran.value, "answer");
    const usages = await limiter.usage({ user: "u1" });
    assert.deepEqual(
      usages.map(({ limit, used }) => [limit, used]),
      [["money", 120]],
    );
    assert.deepEqual(events, []);
  });
});
