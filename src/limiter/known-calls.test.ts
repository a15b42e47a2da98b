import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Call, Dimensions } from "../kernel/call.ts";
import { compiledPolicy } from "../kernel/policy/parse.ts";
import type { PolicyInput } from "../kernel/policy/input.ts";
import { KnownCalls, MAX_KNOWN } from "./known-calls.ts";

const PER_SESSION: PolicyInput["limits"][number] = { name: "per-session", per: ["session", "tool"], quota: 5 };
const REQUEST = { mode: "judge", steps: [] } as const;

function knownCalls(...limits: PolicyInput["limits"]) {
  const known = new KnownCalls(compiledPolicy({ version: 1, limits: limits.length === 0 ? [PER_SESSION] : limits }));
  const keep = (call: Call, bound: Dimensions = {}) => known.keep(bound, call, REQUEST, []);
  const find = (call: object, bound: Dimensions = {}) => known.find(bound, call as Call);
  return { keep, find };
}

describe("calls that were resolved before", () => {
  it("are found by what their limits look at, and by nothing else", () => {
    const { keep, find } = knownCalls();
    const call = { tool: "search", session: "s1", user: "u1" };
    const kept = keep(call);
    assert.equal(find(call), kept);
    assert.equal(find({ user: "u2", session: "s1", tool: "search", turn: 9 }), kept);
    assert.equal(find({ tool: "search", session: "s1", toolCallId: "call_1", args: undefined, cost: null }), kept);
    for (const other of [
      { ...call, session: "s2" },
      { ...call, tool: "fetch" },
      { ...call, session: 1 },
      { tool: "search" },
      { session: "s1" },
    ]) {
      assert.equal(find(other), undefined, JSON.stringify(other));
    }
  });

  it("bound dimensions count, and a call's own come before them", () => {
    const { keep, find } = knownCalls();
    const kept = keep({ tool: "search" }, { session: "s1" });
    assert.equal(find({ tool: "search", session: "s1" }), kept);
    assert.equal(find({ tool: "search", session: undefined }, { session: "s1" }), kept);
    assert.equal(find({ tool: "search" }, { session: "s2" }), undefined);
    assert.equal(find({ tool: "search", session: "s1" }, { session: "s2" }), kept);
    assert.equal(find({ tool: "search" }, {}), undefined);
  });

  it("what is a call of its own, or wrong, is never found", () => {
    const { keep, find } = knownCalls();
    const call = { tool: "search", session: "s1" };
    keep(call);
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
    for (const other of hostile) assert.equal(find(other), undefined, JSON.stringify(other));
  });

  it("dimensions that overrides look at, or whose values are counted, are looked at", () => {
    const { keep, find } = knownCalls(
      { ...PER_SESSION, name: "plans", overrides: [{ when: { plan: "pro" }, quota: 9 }] },
      { name: "turns", per: ["session"], algorithm: "fixed-window", window: "1h", distinct: "turn", quota: 5 },
    );
    const call = { tool: "search", session: "s1", turn: "t1", plan: "pro" };
    const kept = keep(call);
    assert.equal(find(call), kept);
    assert.equal(find({ ...call, plan: "free" }), undefined);
    assert.equal(find({ ...call, turn: "t2" }), undefined);
  });

  it("tools that no limit tells apart, at the same cost, are one", () => {
    const limits: PolicyInput["limits"] = [
      { name: "all", per: ["session"], quota: 5 },
      { name: "writes", per: ["session"], when: { tool: ["write_*"] }, quota: 5 },
      { name: "group", per: ["session", "group"], when: { tool: ["t_*"] }, quota: 5 },
    ];
    const tools = { t_one: { group: "T1" }, t_two: { group: "T2" }, dear: { cost: { calls: 2 } } };
    const known = new KnownCalls(compiledPolicy({ version: 1, tools, limits }));
    const keep = (tool: string) => known.keep({}, { tool, session: "s1" }, REQUEST, []);
    const find = (tool: string) => known.find({}, { tool, session: "s1" });
    const kept = keep("search");
    keep("fetch");
    assert.equal(find("fetch"), find("search"));
    assert.notEqual(find("fetch"), kept);
    for (const tool of ["write_file", "t_one", "t_two", "dear"]) {
      keep(tool);
      assert.notEqual(find(tool), undefined);
      for (const other of ["search", "write_file", "t_one", "t_two", "dear"]) {
        if (other !== tool) assert.notEqual(find(tool), find(other), `${tool} and ${other}`);
      }
    }
  });

  it("tools without end are forgotten, too", () => {
    const { keep, find } = knownCalls({ name: "all", per: ["session"], quota: 5 });
    for (let i = 0; i < MAX_KNOWN; i++) keep({ tool: `made-up-${i}`, session: "s1" });
    assert.notEqual(find({ tool: "made-up-0", session: "s1" }), undefined);
    keep({ tool: "one-more", session: "s1" });
    assert.equal(find({ tool: "made-up-0", session: "s1" }), undefined);
  });

  it("a limit that is not for a tool has no say in its calls; a tool may have none", () => {
    const { keep, find } = knownCalls({ ...PER_SESSION, when: { tool: ["fetch"] } });
    const kept = keep({ tool: "search", session: "s1" });
    assert.equal(find({ tool: "search", session: "s2" }), kept);
    keep({ tool: "fetch", session: "s1" });
    assert.equal(find({ tool: "fetch", session: "s2" }), undefined);
  });

  it("keeps no more than it may, whatever is made up, and then few newcomers", () => {
    const { keep, find } = knownCalls();
    const call = (i: number) => ({ tool: `tool-${i % 100}`, session: `s${i}` });
    for (let i = 0; i < MAX_KNOWN; i++) keep(call(i));
    assert.notEqual(find(call(0)), undefined);
    keep(call(MAX_KNOWN));
    assert.equal(find(call(0)), undefined);
    for (let i = 0; i < 100; i++) keep(call(MAX_KNOWN + 1 + i));
    const found = Array.from({ length: 101 }, (_, i) => find(call(MAX_KNOWN + i))).filter((each) => each !== undefined);
    assert.equal(found.length, 8);
    const long = { tool: "search", session: "x".repeat(1_000_000) };
    for (let i = 0; i < 100; i++) keep(long);
    assert.equal(find(long), undefined);
  });

  it("calls that are charged alike share what they are charged", () => {
    const policy = compiledPolicy({ version: 1, limits: [PER_SESSION] });
    const known = new KnownCalls(policy);
    const [limit] = policy.limits;
    assert.ok(limit?.allotment);
    const charges = () => [
      { limit, allotment: limit.allotment as NonNullable<typeof limit.allotment>, cost: 1, tool: null },
    ];
    const one = known.keep({}, { tool: "search", session: "s1" }, REQUEST, charges());
    const other = known.keep({}, { tool: "search", session: "s2" }, REQUEST, charges());
    assert.equal(one.charges, other.charges);
    assert.deepEqual(one.charges, charges());
  });
});
