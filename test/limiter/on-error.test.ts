// What a failed call costs in each limit: what the limit says, else its tool, else the policy.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type Call, createLimiter, definePolicy, type Limiter, type LimitInput, type PolicyInput } from "tollgate";
import { createRemoteLimiter } from "tollgate/client";
import type { Store } from "tollgate/store";
import { memoryStore } from "tollgate/stores/memory";
import { sqliteStore } from "tollgate/stores/sqlite";
import { fakeClock } from "tollgate/testing";
import { served } from "../service/served.ts";
import { temporaryFolder } from "../temporary.ts";
import { isMisuse, limiterFor, watchable } from "./fixture.ts";

type Rule = "charge" | "refund" | undefined;

const SAYS = fc.constantFrom<Rule>("charge", "refund", undefined);
const KINDS = fc.constantFrom<Partial<LimitInput>>(
  {},
  { algorithm: "fixed-window", window: "1h" },
  { algorithm: "sliding-window", window: "1h" },
  { algorithm: "token-bucket", window: "1h" },
  { borrow: "auto" },
  { mode: "shadow" },
);
const UNITS = ["calls", "tokens", "usd_micros"] as const;
const CALL: Call = { tool: "book", session: "s1" };
const TOOLS = { book: { cost: { tokens: 40, usd_micros: 7 } }, search: { cost: { tokens: 40 } } };
const broken = () => new RangeError("broken");

function policyOf(limits: readonly object[], rest: object = {}): PolicyInput {
  const named = limits.map((limit, i) => ({ name: `limit-${i}`, per: ["session"], quota: 100_000, ...limit }));
  return { version: 1, tools: TOOLS, limits: named, ...rest } as PolicyInput;
}

const policies = fc
  .record({
    limits: fc.array(fc.tuple(KINDS, fc.constantFrom(...UNITS), SAYS), { minLength: 1, maxLength: 6 }),
    ofTool: SAYS,
    ofPolicy: SAYS,
  })
  .map(({ limits, ofTool, ofPolicy }) => ({
    ofTool,
    ofPolicy,
    units: limits.map(([, unit]) => unit),
    says: limits.map(([, , onError]) => onError),
    policy: policyOf(
      limits.map(([kind, unit, onError]) => ({ ...kind, unit, ...(onError && { onError }) })),
      {
        tools: { ...TOOLS, book: { ...TOOLS.book, ...(ofTool && { onError: ofTool }) } },
        ...(ofPolicy && { onError: ofPolicy }),
      },
    ),
  }));

const ends = fc.record({
  tool: fc.constantFrom("book", "search"),
  end: fc.constantFrom("returns", "throws", "never begins"),
  reported: fc.option(fc.integer({ min: 0, max: 90 })),
});
type End = typeof ends extends fc.Arbitrary<infer Each> ? Each : never;

/** Runs a call to its end. */
async function runToEnd(limiter: Limiter, { tool, end, reported }: End): Promise<void> {
  const stop = new AbortController();
  const run = limiter.run(
    { ...CALL, tool },
    ({ addUsage }) => {
      if (reported !== null) addUsage({ tokens: reported });
      if (end === "throws") throw broken();
    },
    { signal: stop.signal },
  );
  if (end === "never begins") stop.abort(broken());
  await run.catch((error) => assert.ok(error instanceof RangeError, String(error)));
}

async function usedIn(limiter: Limiter): Promise<number[]> {
  return (await limiter.usage({ session: "s1" })).map(({ used }) => used);
}

describe("onError of a limit, a tool and a policy", () => {
  const stores: Record<string, { readonly runs: number; readonly newStore: () => Store }> = {
    memory: { runs: 60, newStore: () => memoryStore({ clock: fakeClock() }) },
    "a store that takes a while": { runs: 60, newStore: () => watchable(memoryStore({ clock: fakeClock() })) },
    SQLite: { runs: 15, newStore: () => sqliteStore(`${temporaryFolder()}/limits.db`, { clock: fakeClock() }) },
  };
  for (const [name, { runs, newStore }] of Object.entries(stores)) {
    it(`decides what a call costs, for any end, on ${name} and for a client`, async () => {
      const property = fc.asyncProperty(policies, ends, async ({ policy, units, says, ofTool, ofPolicy }, end) => {
        let isDecided = false;
        const store = newStore();
        // Closing gives back what was borrowed.
        const answer = store.answer?.bind(store);
        const open: Store = { ...watchable(store), ...(answer && { answer }), close: async () => {} };
        const limiter = createLimiter({ policy, store: open, onDecision: () => (isDecided = true) });
        await runToEnd(limiter, end);
        await limiter.close();
        const price = (unit: string) => ({ calls: 1, tokens: 40 })[unit] ?? (end.tool === "book" ? 7 : 0);
        const expected = units.map((unit, i) => {
          const rule = says[i] ?? (end.tool === "book" ? ofTool : undefined) ?? ofPolicy ?? "charge";
          if (end.end === "never begins") return unit === "calls" && rule === "charge" && isDecided ? 1 : 0;
          if (unit === "tokens" && end.reported !== null) return end.reported;
          return end.end === "throws" && rule === "refund" ? 0 : price(unit);
        });
        const reader = createLimiter({ policy, store });
        assert.deepEqual(await usedIn(reader), expected);
        await reader.close();
        // An abort reaches a client before it has asked.
        if (end.end === "never begins") return;
        const server = await served({ policy, store: memoryStore({ clock: fakeClock() }) });
        const client = createRemoteLimiter({ url: server.url });
        await runToEnd(client, end);
        assert.deepEqual(await usedIn(client), expected);
        await client.close();
        await server.close();
      });
      await fc.assert(property, { numRuns: runs });
    });
  }

  it("refunds the same in a full bucket", async () => {
    const { limiter } = limiterFor({ policy: policyOf([{ quota: 1, onError: "refund" }, { quota: 3 }]) });
    const fail = () => limiter.run(CALL, () => Promise.reject(broken()));
    for (let i = 0; i < 3; i++) await assert.rejects(fail(), RangeError);
    const denied = await fail();
    assert.deepEqual(
      denied.verdicts.map(({ allowed }) => allowed),
      [true, false],
    );
  });

  it("holds `calls` only where a failed call gets them back", async () => {
    const policy = policyOf([{ onError: "refund" }, {}, { algorithm: "concurrency", quota: 2 }, { unit: "tokens" }]);
    const { limiter } = limiterFor({ policy });
    const { running } = await limiter.begin(CALL, {});
    assert.ok(running);
    await running.hold.release();
    const usages = await limiter.usage({ session: "s1" });
    assert.deepEqual(
      usages.map(({ used }) => used),
      [0, 1, 0, 0],
    );
  });

  it("charges the hold of a call at its limit, for any later end", async () => {
    const { clock, limiter } = limiterFor({ policy: policyOf([{ onError: "refund" }], { maxHold: "1m" }) });
    let fail = (_: Error) => {};
    const ran = limiter.run(CALL, () => new Promise((_, reject) => (fail = reject)));
    for (let i = 0; i < 8; i++) {
      await new Promise(setImmediate);
      clock.advance(10_000);
    }
    fail(broken());
    await assert.rejects(ran, RangeError);
    assert.equal((await limiter.usage({ session: "s1" }))[0]?.used, 1);
  });

  it("finds by its id what a call holds, also after a policy that says otherwise, and for 30 limits", async () => {
    const ways: readonly Rule[] = ["charge", "refund"];
    for (const before of ways) {
      for (const after of ways) {
        for (const many of [1, 30]) {
          const limits = (onError: Rule) => [
            ...Array.from({ length: many }, () => ({ onError })),
            { onError: "charge" },
            { per: ["session", "args"], onError },
          ];
          const { limiter } = limiterFor({ policy: policyOf(limits(before)) });
          const used = async () => (await limiter.usage({ session: "s1", args: {} })).map((usage) => usage.used);
          for (const [hasFailed, expected] of [
            [false, 1],
            [true, before === "refund" && after === "refund" ? 0 : 1],
          ] as const) {
            const { running } = await limiter.begin(CALL, {});
            assert.ok(running && running.hold.id.length <= 43, running?.hold.id);
            limiter.reload(policyOf(limits(after)));
            const earlier = hasFailed ? 1 : 0;
            await limiter.end(running.hold.id, CALL, { usage: {}, hasFailed, outcome: null });
            const all = [...Array(many).fill(earlier + expected), earlier + 1, earlier + expected];
            assert.deepEqual(await used(), all, `${before} then ${after}, ${many} limits, failed: ${hasFailed}`);
            limiter.reload(policyOf(limits(before)));
          }
        }
      }
    }
  });

  it("recognises a retried call by its first hold", async () => {
    const once = { ...CALL, idempotencyKey: "k" };
    for (const [before, after, left] of [
      ["charge", "refund", 1],
      ["refund", "charge", 1],
      ["refund", "refund", 0],
    ] as const) {
      const { limiter } = limiterFor({ policy: policyOf([{ onError: before }, { unit: "tokens" }]) });
      await limiter.begin({ ...CALL, idempotencyKey: "done" }, {});
      await limiter.begin(once, {});
      limiter.reload(policyOf([{ onError: after }, { unit: "tokens" }]));
      await limiter.run({ ...CALL, idempotencyKey: "done" }, () => "value");
      await assert.rejects(
        limiter.run(once, () => Promise.reject(broken())),
        RangeError,
      );
      const usages = await limiter.usage({ session: "s1" });
      assert.deepEqual(
        usages.map(({ used }) => used),
        [1 + left, 80],
      );
    }
  });

  it("is sent to a service with the end of a call that began there, and of no other", async () => {
    const server = await served({ policy: policyOf([{ onError: "refund" }, { unit: "tokens" }]) });
    const begun = await server.post("/v1/begin", { call: CALL });
    const body = { holdId: begun.json.holdId, call: CALL, failed: true };
    const settled = await server.post("/v1/settle", body);
    assert.deepEqual(
      settled.json.usages.map(({ used }: { used: number }) => used),
      [0, 40],
    );
    assert.equal((await server.post("/v1/settle", body)).json.replayed, true);
    const reserved = await server.post("/v1/reserve", { call: CALL });
    const refused = await server.post("/v1/settle", { ...body, holdId: reserved.json.holdId });
    assert.deepEqual([refused.status, refused.json.faults[0].path], [400, "failed"]);
  });

  it("is refused where it would change nothing", () => {
    for (const [limit, path] of [
      [{ algorithm: "concurrency" }, "limits[0].onError"],
      [{ algorithm: "elapsed", quota: "1h" }, "limits[0].onError"],
      [{ algorithm: "streak", of: "errors" }, "limits[0].onError"],
      [{ distinct: "turn", quota: 5 }, "limits[0].onError"],
    ] as const) {
      assert.throws(() => definePolicy(policyOf([{ ...limit, onError: "refund" }])), isMisuse("invalid-policy", path));
    }
    const wrong = { tools: { book: { onError: "maybe" } } };
    assert.throws(() => definePolicy(policyOf([{}], wrong)), isMisuse("invalid-policy", "tools.book.onError"));
  });
});
