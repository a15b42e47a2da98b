import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { argsDigest, KnownArgs } from "../kernel/args.ts";
import type { Call, Dimensions } from "../kernel/call.ts";
import type { PolicyInput } from "../kernel/policy/input.ts";
import { compiledPolicy } from "../kernel/policy/parse.ts";
import type { StoreReply } from "../kernel/request.ts";
import { CallCache } from "./call-cache.ts";
import { HALF_FULL } from "./step-cache.ts";

type LimitInput = PolicyInput["limits"][number];

const PER_SESSION: LimitInput = { name: "per-session", per: ["session", "tool"], quota: 5 };

function cacheOf(limits: readonly LimitInput[] = [PER_SESSION], tools: PolicyInput["tools"] = {}) {
  const cache = new CallCache(compiledPolicy({ version: 1, limits: [...limits], tools }), "rate");
  const steps = (call: object, bound: Dimensions = {}) => cache.prepare(bound, call as Call)?.request.steps ?? null;
  const step = (call: object, bound?: Dimensions) => steps(call, bound)?.[0];
  return { cache, steps, step };
}

describe("the cache of prepared calls", () => {
  it("finds the step of a limit by the dimensions that the limit looks at, and by nothing else", () => {
    const { step } = cacheOf();
    const call = { tool: "search", session: "s1", user: "u1" };
    const first = step(call);
    assert.deepEqual(
      { ...first, limit: 0 },
      { bucket: "rate:1:{s1}:per-session:search", limit: 0, event: { type: "charge", cost: 1 } },
    );
    assert.equal(step(call), first);
    assert.equal(step({ user: "u2", session: "s1", tool: "search", turn: 9 }), first);
    assert.equal(step({ tool: "search", session: "s1", toolCallId: "call_1", args: undefined, cost: null }), first);
    for (const other of [
      { ...call, session: "s2" },
      { ...call, tool: "fetch" },
      { ...call, session: 1 },
    ]) {
      assert.notEqual(step(other)?.bucket, first?.bucket, JSON.stringify(other));
    }
  });

  it("finds the step of a limit that does not look at tools whatever the tool, unless the tool has a price or a group", () => {
    const { step } = cacheOf([{ name: "own", per: ["session"], quota: 9 }], { dear: { cost: { calls: 3 } } });
    const first = step({ tool: "search", session: "s1" });
    assert.equal(step({ tool: "fetch", session: "s1" }), first);
    assert.deepEqual(step({ tool: "dear", session: "s1" })?.event, { type: "charge", cost: 3 });
    assert.equal(step({ tool: "search", session: "s1" }), first);
  });

  it("makes only the steps that are new", () => {
    const { steps } = cacheOf([PER_SESSION, { name: "per-user", per: ["user"], quota: 9 }]);
    const [, ofUser] = steps({ tool: "search", session: "s1", user: "u1" }) ?? [];
    const [ofSession, again] = steps({ tool: "search", session: "s2", user: "u1" }) ?? [];
    assert.equal(again, ofUser);
    assert.equal(ofSession?.bucket, "rate:1:{s2}:per-session:search");
  });

  it("lets a call's own dimensions override those that are bound", () => {
    const { step } = cacheOf();
    const first = step({ tool: "search" }, { session: "s1" });
    assert.notEqual(first, undefined);
    assert.equal(step({ tool: "search", session: "s1" }), first);
    assert.equal(step({ tool: "search", session: undefined }, { session: "s1" }), first);
    assert.notEqual(step({ tool: "search" }, { session: "s2" }), first);
    assert.equal(step({ tool: "search", session: "s1" }, { session: "s2" }), first);
    assert.throws(() => step({ tool: "search" }, {}), { code: "missing-dimension" });
  });

  it("reads the words of calls in any order, and those that say nothing", () => {
    const { step } = cacheOf();
    const first = step({ tool: "search", session: "s1" });
    for (const call of [
      { session: "s1", tool: "search" },
      { cost: undefined, tool: "search", idempotencyKey: null, session: "s1", user: null },
      { tool: "search", session: "s1" },
    ]) {
      assert.equal(step(call), first, JSON.stringify(call));
    }
  });

  it("prepares no call under bound dimensions that the policy does not know", () => {
    const { step } = cacheOf();
    assert.equal(step({ tool: "search", session: "s1" }, { region: "eu" }), undefined);
    assert.notEqual(step({ tool: "search", session: "s1" }, {}), undefined);
  });

  it("prepares a call with arguments that no limit looks at, or that were hashed before", () => {
    const call = { tool: "search", session: "s1" };
    const { step } = cacheOf();
    assert.equal(step({ ...call, args: { page: 1 } }), step(call));
    const ofArgs = cacheOf([{ name: "same-call", per: ["session", "args"], quota: 5 }]);
    const known = new KnownArgs(argsDigest({ page: 1 }));
    assert.equal(ofArgs.step({ ...call, args: { page: 1 } }), undefined);
    assert.equal(ofArgs.step({ ...call, args: known })?.bucket, `rate:1:{s1}:same-call:${known.digest}`);
    assert.equal(ofArgs.step({ ...call, args: known }), ofArgs.step({ ...call, args: known }));
    assert.notEqual(ofArgs.step({ ...call, args: new KnownArgs("other") }), ofArgs.step({ ...call, args: known }));
    assert.notEqual(ofArgs.step(call), undefined);
  });

  it("prepares no call with arguments that a limit looks at, a cost or a key, nor one with a typo, nor what is no object", () => {
    const { step } = cacheOf([PER_SESSION, { name: "same-call", per: ["session", "args"], quota: 5 }]);
    const call = { tool: "search", session: "s1" };
    step(call);
    const inherited = Object.create({ session: "s1" }, { tool: { value: "search", enumerable: true } });
    const hostile = [
      { ...call, args: {} },
      { ...call, cost: { calls: 2 } },
      { ...call, idempotencyKey: "k" },
      { ...call, sesion: "s1" },
      JSON.parse('{ "tool": "search", "session": "s1", "__proto__": {} }'),
      inherited,
      "search",
      7,
      null,
      [],
    ];
    for (const other of hostile) assert.equal(step(other), undefined, JSON.stringify(other));
  });

  it("throws for a call that lacks its tool, or has a wrong value", () => {
    const { step } = cacheOf();
    assert.throws(() => step({ session: "s1" }), { code: "missing-dimension" });
    assert.throws(() => step({ tool: {}, session: "s1" }), { code: "invalid-dimension" });
    assert.throws(() => step({ tool: "search", session: {} }), { code: "invalid-dimension" });
  });

  it("keeps sessions apart whose names contain a separator", () => {
    const { step } = cacheOf([{ name: "pairs", per: ["session", "turn"], quota: 5 }]);
    const pairs = [
      ["a\0b", "c"],
      ["a", "b\0c"],
      ["a", "b"],
    ];
    const buckets = pairs.map(([session, turn]) => step({ tool: "search", session, turn })?.bucket);
    assert.equal(new Set(buckets).size, 3);
  });

  it("uses dimensions of overrides, and dimensions whose values are counted", () => {
    const { cache, steps } = cacheOf([
      { ...PER_SESSION, name: "plans", overrides: [{ when: { plan: "pro" }, quota: 9 }] },
      { name: "turns", per: ["session"], algorithm: "fixed-window", window: "1h", distinct: "turn", quota: 5 },
    ]);
    const call = { tool: "search", session: "s1", turn: "t1", plan: "pro" };
    const [plan, turn] = steps(call) ?? [];
    assert.deepEqual(steps(call), [plan, turn]);
    assert.equal(cache.prepare({}, call as Call)?.charges[0]?.allotment.quota, 9);
    const [free] = steps({ ...call, plan: "free" }) ?? [];
    assert.notDeepEqual(free?.limit, plan?.limit);
    const [, later] = steps({ ...call, turn: "t2" }) ?? [];
    assert.notDeepEqual(later?.event, turn?.event);
  });

  it("remembers that a limit is not for a call", () => {
    const { steps } = cacheOf([
      { ...PER_SESSION, when: { user: "u1" } },
      { name: "skips", per: ["user"], quota: 9, onMissing: "skip" },
    ]);
    for (const round of [1, 2]) {
      assert.equal(steps({ tool: "search", session: "s1", user: "u1" })?.length, 2, `round ${round}`);
      assert.deepEqual(steps({ tool: "search", session: "s1" }), [], `round ${round}`);
      assert.deepEqual(steps({ tool: "search", session: "s1", user: "u2" })?.length, 1, `round ${round}`);
    }
  });

  it("prepares no call of a tool whose calls have to be reserved", () => {
    const { step } = cacheOf([{ name: "slots", per: ["session"], algorithm: "concurrency", quota: 2 }]);
    for (const _ of [1, 2]) assert.equal(step({ tool: "search", session: "s1" }), undefined);
  });

  it("is off for a policy whose requests change with time", () => {
    assert.equal(cacheOf().cache.isOn, true);
    const calendar = { name: "daily", per: ["session"], window: "day", quota: 5 } as const;
    const fromCall = { name: "monthly", per: ["session"], quota: { from: "call", default: 5, max: 9 } } as const;
    for (const limit of [calendar, fromCall]) {
      assert.equal(cacheOf([PER_SESSION, limit]).cache.isOn, false, limit.name);
    }
  });

  it("forgets the steps that were not used for longest", () => {
    const { step } = cacheOf();
    const call = (i: number) => ({ tool: "search", session: `s${i}` });
    const [first, second] = [step(call(0)), step(call(1))];
    for (let i = 2; i <= HALF_FULL; i++) step(call(i));
    assert.equal(step(call(0)), first);
    for (let i = 1; i < HALF_FULL; i++) step(call(HALF_FULL + i));
    assert.equal(step(call(0)), first);
    assert.notEqual(step(call(1)), second);
  });

  it("keeps no step with long values, but steps of calls with long values that no limit uses", () => {
    const { step } = cacheOf();
    const long = { tool: "search", session: "x".repeat(1_000) };
    assert.notEqual(step(long), step(long));
    const labelled = { tool: "search", session: "s1", toolCallId: "x".repeat(1_000) };
    assert.equal(step(labelled), step(labelled));
  });

  it("forgets what limits a tool has when it has seen very many tools", () => {
    const { step } = cacheOf();
    for (let i = 0; i < 2_001; i++) assert.notEqual(step({ tool: `t${i}`, session: "s1" }), undefined);
    assert.equal(step({ tool: "t0", session: "s1" }), step({ tool: "t0", session: "s1" }));
  });

  it("shares what calls are charged that are charged the same", () => {
    const { cache } = cacheOf([PER_SESSION], { dear: { cost: { calls: 3 } } });
    const chargesOf = (tool: string, session: string) => cache.prepare({}, { tool, session })?.charges[0];
    assert.equal(chargesOf("search", "s1"), chargesOf("search", "s2"));
    assert.deepEqual(Object.keys(chargesOf("search", "s1") ?? {}), ["limit", "allotment", "cost", "tool"]);
    assert.equal(chargesOf("dear", "s1")?.cost, 3);
    assert.equal(chargesOf("search", "s3")?.cost, 1);
  });

  it("gives a store nothing but what a step has", () => {
    const { step } = cacheOf([{ ...PER_SESSION, mode: "shadow", onStoreError: "allow" }]);
    const found = step({ tool: "search", session: "s1" });
    assert.deepEqual(Object.keys(found ?? {}).toSorted(), ["bucket", "event", "hints", "limit", "shadow"]);
  });

  it("repeats the decision for a denial that is repeated, and for no other reply or call", () => {
    const { cache } = cacheOf();
    const [one, other] = ["search", "fetch"].map((tool) => cache.prepare({}, { tool, session: "s1" }));
    assert.ok(one && other);
    const denial = (): StoreReply => ({
      allowed: false,
      nowMs: 1,
      steps: [{ allowed: false, used: 5, resetAfterMs: 9, retryAfterMs: 9 }],
    });
    const reply = denial();
    const decision = cache.decide(one, reply);
    assert.equal(decision.allowed, false);
    assert.equal(cache.decide(one, reply), decision);
    assert.notEqual(cache.decide(one, denial()), decision);
    const dear = { ...other, charges: other.charges.map((each) => ({ ...each, cost: 2 })) };
    assert.notEqual(cache.decide(dear, reply), decision);
  });
});
