// Suggested policies: they deny nothing in successful sessions that they have not seen, and cut runaways.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { describe, it } from "node:test";
import { compiledPolicy } from "../../src/kernel/policy/parse.ts";
import { readPolicyText } from "../../src/policy-file/text.ts";
import { playRunaways, runawaysFor } from "../../src/simulate/runaways.ts";
import { simulate } from "../../src/simulate/simulate.ts";
import { crossCheck } from "../../src/simulate/suggest/cross-check.ts";
import { sessionsOf, type TracedSession } from "../../src/simulate/suggest/sessions.ts";
import { effectsOn, policyOf, suggest, type Suggestion } from "../../src/simulate/suggest/suggest.ts";
import { yamlOf } from "../../src/simulate/suggest/yaml.ts";
import { parseTrace } from "../../src/simulate/trace.ts";
import type { TracedCall } from "../../src/simulate/traced-call.ts";
import { realTraces } from "../e2e/traces.ts";
import { cases } from "../length.ts";
import { Random } from "../simulation/random.ts";
import { DOMAINS, domainTrace } from "./domains.ts";

const callsOf = (sessions: readonly TracedSession[]) => sessions.flatMap(({ calls }) => calls);
const suggested = (calls: readonly TracedCall[]) => suggest(calls, "trace");

/** How many calls of successful sessions are denied. */
async function wrongDenials({ limits }: Suggestion, sessions: readonly TracedSession[]): Promise<number> {
  let denied = 0;
  const policy = compiledPolicy(policyOf({ limits, mode: "enforce" }));
  await simulate([policy], callsOf(sessions.filter(({ isOk }) => isOk === true)), (_, [decision]) => {
    if (decision?.allowed === false) denied++;
  });
  return denied;
}

async function cutShare({ limits }: Suggestion, calls: readonly TracedCall[]): Promise<number> {
  const policy = compiledPolicy(policyOf({ limits, mode: "enforce" }));
  const results = await playRunaways(policy, runawaysFor(calls, 1_000));
  const admitted = results.reduce((sum, each) => sum + each.admitted, 0);
  return 1 - admitted / (1_000 * results.length);
}

/** Two random halves. */
function halves(sessions: readonly TracedSession[], seed: number): [TracedSession[], TracedSession[]] {
  const random = new Random(`half ${seed}`);
  const mixed = sessions.map((session) => ({ session, place: random.next() })).sort((a, b) => a.place - b.place);
  const half = sessions.length >> 1;
  const of = (part: typeof mixed) => part.map(({ session }) => session);
  return [of(mixed.slice(0, half)), of(mixed.slice(half))];
}

async function yamlFor(calls: readonly TracedCall[]): Promise<{ yaml: string; suggestion: Suggestion }> {
  const suggestion = suggested(calls);
  return { yaml: yamlOf(suggestion, await effectsOn(suggestion, calls), "trace.jsonl"), suggestion };
}

/** Of each kind of agent: the least share of runaways that is cut, and in how many of 20 halves something is denied. */
const BOUNDS: Readonly<Record<string, { readonly cut: number; readonly wrong: number }>> = {
  service: { cut: 0.98, wrong: 0 },
  programming: { cut: 0.95, wrong: 1 },
  jobs: { cut: 0.92, wrong: 1 },
  research: { cut: 0.95, wrong: 1 },
  pipeline: { cut: 0.99, wrong: 0 },
};

for (const domain of Object.keys(DOMAINS)) {
  describe(`a suggestion for ${domain}`, () => {
    const rounds = cases(4, 20);
    const bounds = BOUNDS[domain] ?? assert.fail("no bounds");

    it("fits sessions that it has not seen, and cuts runaways", async () => {
      let wrong = 0;
      for (let round = 0; round < rounds; round++) {
        const sessions = sessionsOf(domainTrace(domain, 100, String(round % 5)));
        const [seen, unseen] = halves(sessions, round);
        const suggestion = suggested(callsOf(seen));
        if ((await wrongDenials(suggestion, unseen)) > 0) wrong++;
        const cut = await cutShare(suggestion, callsOf(unseen));
        assert.ok(cut >= bounds.cut, `round ${round} cuts ${cut}`);
      }
      assert.ok(wrong <= bounds.wrong, `${wrong} of ${rounds} halves have a wrong denial`);
    });

    it("is a policy without warnings that reads as it was meant", async () => {
      const { yaml, suggestion } = await yamlFor(domainTrace(domain, 60, "yaml"));
      const { policy, warnings } = readPolicyText(yaml, "out.yaml");
      assert.deepEqual(warnings(), []);
      assert.equal(policy.version, compiledPolicy(policyOf(suggestion)).version);
      for (const { limit } of suggestion.limits) assert.match(yaml, /In this trace it denies 0 of/, limit.name);
      for (const line of yaml.split("\n").filter((each) => /^ *#/.test(each))) assert.ok(line.length <= 120, line);
    });
  });
}

for (const file of realTraces()) {
  const sessions = sessionsOf(parseTrace(readFileSync(file, "utf8"), file));
  if (!sessions.some(({ isOk }) => isOk === true)) continue;
  const half = sessions.length >> 1;
  const splits: [TracedSession[], TracedSession[]][] = [
    [sessions.slice(0, half), sessions.slice(half)],
    [sessions.filter((_, i) => i % 2 === 0), sessions.filter((_, i) => i % 2 === 1)],
    ...Array.from({ length: cases(10, 100) }, (_, seed) => halves(sessions, seed)),
  ];
  describe(`a suggestion for one half of ${basename(file)}`, () => {
    for (const [i, [one, other]] of splits.entries()) {
      for (const [seen, unseen] of [
        [one, other],
        [other, one],
      ] as const) {
        it(`denies nothing in the other half and cuts runaways, split ${i}`, async () => {
          const suggestion = suggested(callsOf(seen));
          assert.equal(await wrongDenials(suggestion, unseen), 0);
          const cut = await cutShare(suggestion, callsOf(unseen));
          assert.ok(cut >= 0.98, `it cuts ${cut}`);
        });
      }
    }
  });
}

it("suggestions for real traces", {
  skip: realTraces().length > 0 ? false : "TOLLGATE_TRACES names no folder of them",
}, () => {});

describe("a suggestion", () => {
  const traceOf = (sessions: number, line: (session: number) => readonly object[]) => {
    const lines = Array.from({ length: sessions }, (_, i) =>
      line(i).map((each) => JSON.stringify({ session: `s${i}`, turn: 1, tool: "x", ...each })),
    );
    return parseTrace(lines.flat().join("\n"), "trace");
  };
  const quotaOf = ({ limits }: Suggestion, name: string) =>
    limits.find(({ limit }) => limit.name === name)?.limit.quota;

  it("does not learn from sessions that failed", () => {
    const calls = (count: number, ok: boolean) => Array.from({ length: count }, (_, n) => ({ args: { n }, ok }));
    const good = traceOf(20, () => calls(4, true));
    const bad = traceOf(40, (i) => (i < 20 ? calls(4, true) : calls(300, false)));
    assert.deepEqual(suggested(bad).limits, suggested(good).limits);
  });

  it("only warns with few sessions, and only counts without knowing which succeeded", async () => {
    const few = await yamlFor(traceOf(5, () => [{ ok: true }]));
    assert.match(few.yaml, /^defaults: \{ mode: warn \}$/m);
    const unknown = await yamlFor(traceOf(30, (i) => Array.from({ length: i === 7 ? 500 : 3 }, () => ({}))));
    assert.match(unknown.yaml, /^defaults: \{ mode: shadow \}$/m);
    assert.match(unknown.yaml, /longer than the others: s7\./);
    assert.ok(Number(quotaOf(unknown.suggestion, "calls-per-turn")) < 20);
    for (const { yaml } of [few, unknown]) assert.deepEqual(readPolicyText(yaml).warnings(), []);
  });

  it("refuses a trace in which no session succeeded", () => {
    assert.throws(() => suggested(traceOf(3, () => [{ ok: false }])), {
      message:
        "trace: trace: expected a trace with calls of a session that succeeded, got only sessions with ok: false",
    });
    assert.throws(() => suggested([]), { code: "invalid-option" });
  });

  it("limits what sessions spend, where calls have costs", async () => {
    const { suggestion, yaml } = await yamlFor(
      traceOf(20, (i) => [{ ok: true, cost: { usd_micros: 10_000 * (i + 1), tokens: 100 } }]),
    );
    assert.equal(quotaOf(suggestion, "tokens-per-session"), 150);
    assert.ok(Number(quotaOf(suggestion, "usd-micros-per-session")) >= 300_000);
    assert.match(yaml, /At most \$0\.20 in a session that succeeded/);
    readPolicyText(yaml);
  });

  it("ends a turn in which one call after the other fails, where the trace has outcomes", async () => {
    const calls = traceOf(20, (i) =>
      Array.from({ length: 8 }, (_, n) => ({ ok: true, args: { n }, error: n < i % 3 })),
    );
    const suggestion = suggested(calls);
    assert.equal(quotaOf(suggestion, "failures-in-a-row"), 8);
    const results = await playRunaways(compiledPolicy(policyOf(suggestion)), runawaysFor(calls, 100));
    assert.deepEqual(
      results.filter(({ kind }) => kind === "retry-storm").map(({ admitted }) => admitted),
      // The session before it has taken 8 of the 12 calls of the turn.
      [8, 4],
    );
  });

  it("gives tools that are called again and again a quota of their own", () => {
    const { limits } = suggested(domainTrace("jobs", 60, "polled"));
    const [same] = limits.map(({ limit }) => limit).filter(({ name }) => name === "same-call-again");
    assert.equal(same?.quota, 3);
    assert.deepEqual(Object.keys((same?.quotas?.tool ?? {}) as object), ["status"]);
  });

  it("writes names of any kind so that nothing but a name is read", async () => {
    const tools = ['a"b', "x: y }", "line\nbreak # comment", "true", "1h", "{braces}", "ünïcode", "*"];
    const calls = traceOf(20, () => tools.flatMap((tool) => Array.from({ length: 5 }, () => ({ tool, ok: true }))));
    const { yaml, suggestion } = await yamlFor(calls);
    assert.equal(readPolicyText(yaml).policy.version, compiledPolicy(policyOf(suggestion)).version);
  });

  it("is checked on halves of its sessions", async () => {
    const calls = domainTrace("service", 100, "halves");
    const checked = (await crossCheck(calls, "trace")) ?? assert.fail("not checked");
    assert.deepEqual([checked.halves, checked.denied], [10, 0]);
    assert.ok(checked.calls > 1_000);
    assert.equal(await crossCheck(domainTrace("service", 12, "few"), "trace"), null);
  });
});
