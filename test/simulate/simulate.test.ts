// What a simulation adds up, in which order it plays calls, and where two policies differ.

import assert from "node:assert/strict";
import { basename } from "node:path";
import { describe, it } from "node:test";
import type { PolicyInput } from "tollgate";
import type { Judgement } from "../../src/kernel/answer.ts";
import { compiledPolicy } from "../../src/kernel/policy/parse.ts";
import { Comparing } from "../../src/simulate/comparison.ts";
import { simulate, timelineOf } from "../../src/simulate/simulate.ts";
import { Tally } from "../../src/simulate/tally.ts";
import { parseTrace } from "../../src/simulate/trace.ts";
import { countSequentially, readTrace, realTraces, syntheticTrace, type TraceLine } from "../e2e/traces.ts";
import { simulated } from "./simulated.ts";

const policyOf = (perTurn: number, perSession: number): PolicyInput => ({
  version: 1,
  limits: [
    { name: "tool-per-turn", per: ["session", "turn", "tool"], quota: perTurn },
    { name: "tool-per-session", per: ["session", "tool"], quota: perSession },
  ],
});
const callsOf = (lines: readonly object[]) => parseTrace(lines.map((line) => JSON.stringify(line)).join("\n"), "trace");

async function compare(first: PolicyInput, second: PolicyInput, lines: readonly object[]) {
  const policies = [compiledPolicy(first), compiledPolicy(second)];
  const tallies = policies.map((policy) => new Tally(policy));
  const comparing = new Comparing();
  /** Of each policy: how often each limit was the first in its order to deny. */
  const firstDenials = policies.map(({ limits }) => limits.map(() => 0));
  await simulate(policies, timelineOf(callsOf(lines)).calls, (traced, decisions) => {
    const [nth = 0] = tallies.map((tally, i) => tally.add(traced, decisions[i] as Judgement));
    comparing.add(traced, nth, decisions[0] as Judgement, decisions[1] as Judgement);
    for (const [i, { verdicts }] of decisions.entries()) {
      const first = verdicts.findIndex(({ allowed }) => !allowed);
      if (first !== -1) firstDenials[i]?.splice(first, 1, (firstDenials[i]?.[first] ?? 0) + 1);
    }
  });
  return { results: tallies.map((tally) => tally.result()), compared: comparing.result(), firstDenials };
}

/** The figures that come with the real trace: quotas, allowed calls, and denied ones by the first limit that denied them. */
const FIGURES: Readonly<Record<string, readonly (readonly number[])[]>> = {
  "tau-airline.jsonl": [
    [5, 50, 549, 23, 0],
    [3, 5, 498, 67, 7],
    [2, 4, 462, 104, 6],
  ],
};

/** Which calls a count denies, one after the other. */
function deniedLines(trace: readonly TraceLine[], perTurn: number, perSession: number): Set<number> {
  const denied = trace.map((_, i) => countSequentially(trace.slice(0, i + 1), perTurn, perSession).denied);
  return new Set(denied.flatMap((count, i) => (count > (denied[i - 1] ?? 0) ? [i + 1] : [])));
}

const traces: [name: string, trace: readonly TraceLine[]][] = [
  ["a synthetic trace", syntheticTrace(7, 60)],
  ...realTraces().map((file): [string, TraceLine[]] => [basename(file), readTrace(file)]),
];
const minus = (one: ReadonlySet<number>, other: ReadonlySet<number>) => [...one].filter((line) => !other.has(line));

for (const [name, trace] of traces) {
  describe(`a simulation of ${name}`, () => {
    const quotas: [perTurn: number, perSession: number][] = [
      [5, 50],
      [3, 5],
      [2, 4],
    ];
    for (const [i, first] of quotas.entries()) {
      for (const second of quotas.slice(i + 1)) {
        it(`finds where ${first} and ${second} differ, as a sequential count does`, async () => {
          const { results, compared, firstDenials } = await compare(policyOf(...first), policyOf(...second), trace);
          for (const [which, [perTurn, perSession]] of [first, second].entries()) {
            const { allowed, denied, byTurn, bySession } = countSequentially(trace, perTurn, perSession);
            const { deniedBy, ...result } = results[which] ?? assert.fail("no result");
            assert.deepEqual([result.calls, result.allowed, result.denied], [trace.length, allowed, denied]);
            assert.deepEqual(deniedBy, { "tool-per-turn": byTurn, "tool-per-session": bySession });
            const row = FIGURES[name]?.find(([turn, session]) => turn === perTurn && session === perSession);
            if (row !== undefined) assert.deepEqual([allowed, ...(firstDenials[which] ?? [])], row.slice(2));
          }
          const [ofFirst, ofSecond] = [deniedLines(trace, ...first), deniedLines(trace, ...second)];
          const { onlyFirst, onlySecond, deniedByBoth, allowedByBoth } = compared;
          assert.equal(onlyFirst.calls, minus(ofFirst, ofSecond).length);
          assert.equal(onlySecond.calls, minus(ofSecond, ofFirst).length);
          assert.equal(deniedByBoth, ofFirst.size - minus(ofFirst, ofSecond).length);
          assert.equal(allowedByBoth, trace.length - ofFirst.size - minus(ofSecond, ofFirst).length);
          const shown = onlySecond.examples.map(({ line }) => line);
          assert.deepEqual(shown, minus(ofSecond, ofFirst).slice(0, 20));
        });
      }
    }
  });
}

it("simulations of real traces", {
  skip: realTraces().length > 0 ? false : "TOLLGATE_TRACES names no folder of them",
}, () => {});

describe("a simulation", () => {
  const call = { session: "s", turn: 1, tool: "x" };

  it("plays calls in the order of their times, and one without a time after the call before it", async () => {
    const lines = [
      { ...call, at: "2026-11-30T12:00:05Z", tool: "third" },
      { ...call, tool: "fourth" },
      { ...call, at: "2026-11-30T13:00:01+01:00", tool: "first" },
      { ...call, at: Date.UTC(2026, 10, 30, 12, 0, 2), tool: "second" },
    ];
    const { calls, isTimed } = timelineOf(callsOf(lines));
    assert.deepEqual(
      calls.map((each) => each.call.tool),
      ["first", "second", "third", "fourth"],
    );
    assert.ok(isTimed);
  });

  it("spreads calls without times as far as it is asked to", () => {
    const lines = [call, call, call];
    const instants = (everyMs?: number) => timelineOf(callsOf(lines), everyMs).calls.map(({ atMs }) => atMs);
    assert.deepEqual(instants(), [null, null, null]);
    const [first = 0, ...others] = instants(1_000);
    assert.deepEqual(
      others.map((atMs) => Number(atMs) - Number(first)),
      [1_000, 2_000],
    );
  });

  it("leaves out dimensions and costs that a policy does not know", async () => {
    const lines = [{ ...call, dimensions: { plan: "free" }, cost: { euros: 3, tokens: 5 } }];
    const limits: PolicyInput["limits"] = [{ name: "tokens", per: ["session"], unit: "tokens", quota: 4 }];
    const [decision] = await simulated({ version: 1, limits }, callsOf(lines));
    assert.equal(decision?.deniedBy, "tokens");
    const ofPlan: PolicyInput["limits"] = [{ name: "plan", per: ["plan"], quota: 0 }];
    assert.equal((await simulated({ version: 1, limits: ofPlan }, callsOf(lines)))[0]?.deniedBy, "plan");
  });

  it("names the line of a call that the policy refuses", async () => {
    const limits: PolicyInput["limits"] = [{ name: "user", per: ["user"], quota: 4 }];
    await assert.rejects(simulated({ version: 1, limits }, callsOf([{ ...call, user: "u1" }, call])), {
      message: /^call:2: user: expected a string .*"onMissing: skip"\.$/,
    });
  });

  it("adds up what was spent, what would have been, and which sessions were denied", async () => {
    const policy: PolicyInput = {
      version: 1,
      tools: { pay: { cost: { usd_micros: 2_000_000 } } },
      limits: [
        { name: "money", per: ["session"], unit: "usd_micros", quota: 5_000_000 },
        { name: "money-of-turn", per: ["session", "turn"], unit: "usd_micros", quota: 9_000_000 },
        { name: "watched", per: ["session"], quota: 2, mode: "shadow" },
      ],
    };
    const pay = { ...call, tool: "pay", user: "u1" };
    const { results } = await compare(policy, policy, [pay, pay, pay, { ...pay, session: "other" }, pay]);
    const { deniedSessions, ...counts } = results[0] ?? assert.fail("no result");
    assert.deepEqual(counts, {
      calls: 5,
      sessions: 2,
      allowed: 3,
      denied: 2,
      sessionsDenied: 1,
      deniedBy: { money: 2, "money-of-turn": 0 },
      exceeded: { watched: 2 },
      deniedTools: { pay: 2 },
      spent: { usd_micros: 6_000_000 },
      wouldHaveSpent: { usd_micros: 10_000_000 },
    });
    const shown = { session: "s", turn: "1", tool: "pay", user: "u1" };
    const first = { line: 3, atMs: null, nthOfSession: 3, limit: "money", call: shown };
    assert.deepEqual(deniedSessions, [{ session: "s", calls: 4, denied: 2, first }]);
  });
});
