import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Call, Dimensions } from "../kernel/call.ts";
import type { PolicyInput } from "../kernel/policy/input.ts";
import { compiledPolicy } from "../kernel/policy/parse.ts";
import type { StoreReply, StoreRequest } from "../kernel/request.ts";
import { CallCache, MAX_CALLS } from "./call-cache.ts";

const PER_SESSION: PolicyInput["limits"][number] = { name: "per-session", per: ["session", "tool"], quota: 5 };
const REQUEST: StoreRequest = { mode: "judge", steps: [] };

function cacheOf(...limits: PolicyInput["limits"]) {
  const policy = compiledPolicy({ version: 1, limits: limits.length === 0 ? [PER_SESSION] : limits });
  const cache = new CallCache(policy);
  const set = (call: Call, bound: Dimensions = {}) => cache.prepare(bound, call, { ...REQUEST }, []);
  const get = (call: object, bound: Dimensions = {}) => cache.get(bound, call as Call);
  return { cache, policy, set, get };
}

describe("the cache of prepared calls", () => {
  it("finds a call by the dimensions that limits use, and by nothing else", () => {
    const { set, get } = cacheOf();
    const call = { tool: "search", session: "s1", user: "u1" };
    const resolved = set(call);
    assert.equal(get(call), resolved);
    assert.equal(get({ user: "u2", session: "s1", tool: "search", turn: 9 }), resolved);
    assert.equal(get({ tool: "search", session: "s1", toolCallId: "call_1", args: undefined, cost: null }), resolved);
    for (const other of [
      { ...call, session: "s2" },
      { ...call, tool: "fetch" },
      { ...call, session: 1 },
      { tool: "search" },
      { session: "s1" },
    ]) {
      assert.equal(get(other), undefined, JSON.stringify(other));
    }
  });

  it("lets a call's own dimensions override those that are bound", () => {
    const { set, get } = cacheOf();
    const resolved = set({ tool: "search" }, { session: "s1" });
    assert.equal(get({ tool: "search", session: "s1" }), resolved);
    assert.equal(get({ tool: "search", session: undefined }, { session: "s1" }), resolved);
    assert.equal(get({ tool: "search" }, { session: "s2" }), undefined);
    assert.equal(get({ tool: "search", session: "s1" }, { session: "s2" }), resolved);
    assert.equal(get({ tool: "search" }, {}), undefined);
  });

  it("finds no call under bound dimensions that the policy does not know", () => {
    const { set, get } = cacheOf();
    set({ tool: "search", session: "s1" });
    assert.equal(get({ tool: "search", session: "s1" }, { region: "eu" }), undefined);
    assert.notEqual(get({ tool: "search", session: "s1" }, {}), undefined);
  });

  it("never finds a call with arguments, a cost or a key, nor one with a typo, nor what is no object", () => {
    const { set, get } = cacheOf();
    const call = { tool: "search", session: "s1" };
    set(call);
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
    for (const other of hostile) assert.equal(get(other), undefined, JSON.stringify(other));
  });

  it("keeps sessions apart whose names contain a separator", () => {
    const { set, get } = cacheOf({ name: "pairs", per: ["session", "turn"], quota: 5 });
    set({ tool: "search", session: "a\0b", turn: "c" });
    for (const [session, turn] of [
      ["a", "b\0c"],
      ["a\0b\0c", undefined],
      ["a", "b"],
    ]) {
      assert.equal(get({ tool: "search", session, turn }), undefined);
    }
  });

  it("uses dimensions of overrides, and dimensions whose values are counted", () => {
    const { set, get } = cacheOf(
      { ...PER_SESSION, name: "plans", overrides: [{ when: { plan: "pro" }, quota: 9 }] },
      { name: "turns", per: ["session"], algorithm: "fixed-window", window: "1h", distinct: "turn", quota: 5 },
    );
    const call = { tool: "search", session: "s1", turn: "t1", plan: "pro" };
    const resolved = set(call);
    assert.equal(get(call), resolved);
    assert.equal(get({ ...call, plan: "free" }), undefined);
    assert.equal(get({ ...call, turn: "t2" }), undefined);
  });

  it("is off for a policy whose requests change with time", () => {
    assert.equal(cacheOf().cache.isOn, true);
    const calendar = { name: "daily", per: ["session"], window: "day", quota: 5 } as const;
    const fromCall = { name: "monthly", per: ["session"], quota: { from: "call", default: 5, max: 9 } } as const;
    for (const limit of [calendar, fromCall]) assert.equal(cacheOf(PER_SESSION, limit).cache.isOn, false, limit.name);
  });

  it("forgets all calls when it is full, and then caches few of the new ones", () => {
    const { set, get } = cacheOf();
    const call = (i: number) => ({ tool: `tool-${i % 100}`, session: `s${i}` });
    for (let i = 0; i < MAX_CALLS; i++) set(call(i));
    assert.notEqual(get(call(0)), undefined);
    set(call(MAX_CALLS));
    assert.equal(get(call(0)), undefined);
    for (let i = 0; i < 100; i++) set(call(MAX_CALLS + 1 + i));
    const found = Array.from({ length: 101 }, (_, i) => get(call(MAX_CALLS + i))).filter((each) => each !== undefined);
    assert.equal(found.length, 8);
  });

  it("does not cache long values", () => {
    const { set, get } = cacheOf();
    const long = { tool: "search", session: "x".repeat(1_000_000) };
    set(long);
    assert.equal(get(long), undefined);
  });

  it("caches a call with any length of values that no limit uses", () => {
    const { set, get } = cacheOf();
    const labelled = { tool: "search", session: "s1", toolCallId: "x".repeat(1_000) };
    const plain = { tool: "search", session: "s2" };
    for (const call of [labelled, plain]) set(call);
    for (const call of [labelled, plain]) assert.notEqual(get(call), undefined);
  });

  it("shares the charges of calls of one tool with equal charges", () => {
    const { cache, policy } = cacheOf();
    const [limit] = policy.limits;
    assert.ok(limit);
    const charges = (cost = 1) => [{ limit, allotment: limit.allotment, cost, tool: null }];
    const one = cache.prepare({}, { tool: "search", session: "s1" }, REQUEST, charges());
    cache.prepare({}, { tool: "fetch", session: "s1" }, REQUEST, charges(2));
    const other = cache.prepare({}, { tool: "search", session: "s2" }, REQUEST, charges());
    assert.equal(one.charges, other.charges);
    assert.deepEqual(one.charges, charges());
    assert.deepEqual(cache.prepare({}, { tool: "search", session: "s3" }, REQUEST, charges(2)).charges, charges(2));
  });

  it("repeats the decision for a denial that is repeated, and for no other reply or call", () => {
    const { cache, policy } = cacheOf();
    const [limit] = policy.limits;
    assert.ok(limit);
    const charges = [{ limit, allotment: limit.allotment, cost: 1, tool: null }];
    const [one, other] = ["s1", "s2"].map((session) =>
      cache.prepare({}, { tool: "search", session }, REQUEST, charges),
    );
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
    assert.notEqual(cache.decide(other, reply), decision);
  });
});
