import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { parseTrace } from "../../src/simulate/trace.ts";
import { wideRunOnly } from "../length.ts";
import { temporaryFolder } from "../temporary.ts";
import { tollgate } from "./tollgate.ts";
import { countSequentially, readTrace, realTraces, syntheticTrace } from "./traces.ts";

const folder = temporaryFolder();
const write = (name: string, text: string) => {
  writeFileSync(join(folder, name), text);
  return name;
};
const policyOf = (perTurn: number, perSession: number) =>
  write(
    `${perTurn}-${perSession}.yaml`,
    `version: 1
partition: session
limits:
  - { name: tool-per-turn, per: [session, turn, tool], quota: ${perTurn}, resetAfterIdle: 1h }
  - { name: tool-per-session, per: [session, tool], quota: ${perSession}, resetAfterIdle: 24h }
`,
  );

async function replay(...args: string[]) {
  const { status, stdout, stderr } = await tollgate(["replay", ...args, "--json"], folder);
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout);
}

const synthetic = syntheticTrace(7, 60);
const lines = synthetic.map((line, i) =>
  JSON.stringify({ seq: i, toolCallId: `call_${i % 9}`, args: { q: "x" }, ...line }),
);
const traces = [write("synthetic.jsonl", `${lines.join("\n")}\n`), ...realTraces()];

for (const file of traces) {
  const trace = file === "synthetic.jsonl" ? synthetic : readTrace(file);
  describe(`a replay of ${file}`, () => {
    for (const [perTurn, perSession] of [
      [3, 5],
      [5, 50],
      [2, 4],
    ] as const) {
      for (const instances of [1, 3]) {
        for (const kill of [[], ["--kill-after", "20"]]) {
          const how = `${instances} instances${kill.length > 0 ? ", one killed" : ""}`;
          const options = perTurn === 3 && (instances === 1) === (kill.length === 0) ? {} : wideRunOnly;
          it(
            `with ${perTurn} a turn and ${perSession} a session equals a sequential count: ${how}`,
            options,
            async () => {
              const policy = policyOf(perTurn, perSession);
              const ran = await replay(file, "--policy", policy, "--instances", String(instances), ...kill);
              const { p50Ms, p99Ms, store, ...counts } = ran;
              const { allowed, denied, byTurn, bySession } = countSequentially(trace, perTurn, perSession);
              assert.ok(denied > 0 && allowed > 0);
              const deniedBy = { "tool-per-turn": byTurn, "tool-per-session": bySession };
              assert.deepEqual(counts, { calls: trace.length, allowed, denied, deniedBy, instances });
              assert.ok(p50Ms > 0 && p99Ms >= p50Ms);
              assert.equal(store, "sqlite:(temporary)");
            },
          );
        }
      }
    }
  });
}

it("replays of real traces", {
  skip: realTraces().length > 0 ? false : "TOLLGATE_TRACES names no folder of them",
}, () => {});

describe("replay", () => {
  it("shows which processes decided, and which one was killed", async () => {
    const args = ["replay", "synthetic.jsonl", "--policy", policyOf(3, 5), "--instances", "3", "--kill-after", "20"];
    const { status, stdout, stderr } = await tollgate(args, folder);
    assert.equal(status, 0, stderr);
    const shares = [...(/^decided by +process (.*)$/m.exec(stdout)?.[1] ?? "").matchAll(/(\d+) \((\d+)\)/g)];
    assert.equal(shares.length, 4, stdout);
    assert.equal(
      shares.reduce((sum, [, , count]) => sum + Number(count), 0),
      synthetic.length,
    );
    const [, killed, started] = /^killed +process (\d+) with SIGKILL; (\d+) took its place$/m.exec(stdout) ?? [];
    assert.ok(shares.some(([, pid]) => pid === killed) && shares.some(([, pid]) => pid === started), stdout);
  });

  it("shows on memory, on purpose, that processes with separate counts admit more", async () => {
    const trace = write("one.jsonl", '{"session":"s","turn":1,"tool":"x"}\n'.repeat(30));
    const args = ["replay", trace, "--policy", policyOf(3, 5), "--instances", "3", "--store", "memory:", "--json"];
    const { stdout, stderr } = await tollgate(args, folder);
    assert.equal(JSON.parse(stdout).allowed, 9);
    assert.match(stderr, /counts for itself/);
  });

  it("continues the counts of an earlier run under the same prefix", async () => {
    const trace = write("two.jsonl", '{"session":"s","turn":1,"tool":"x"}\n'.repeat(2));
    const args = [trace, "--policy", policyOf(3, 5), "--store", "sqlite:shared.db"];
    assert.equal((await replay(...args, "--prefix", "mine")).allowed, 2);
    assert.equal((await replay(...args)).allowed, 2);
    assert.equal((await replay(...args, "--prefix", "mine")).allowed, 1);
  });

  it("reads agents and costs, and skips a byte order mark", async () => {
    const policy = write(
      "agents.yaml",
      `version: 1
limits:
  - { name: tokens-per-agent, per: [agent], onMissing: skip, quota: 100, unit: tokens }
`,
    );
    const call = { session: "s", turn: 1, tool: "x" };
    const calls = [
      { ...call, agent: "a", cost: { tokens: 60 } },
      { ...call, agent: "b", cost: { tokens: 60 } },
      { ...call, agent: "a", cost: { tokens: 60 } },
      { ...call, cost: { tokens: 200 } },
      { ...call, agent: null, cost: null },
    ];
    const trace = write("agents.jsonl", `\uFEFF${calls.map((each) => JSON.stringify(each)).join("\r\n")}`);
    const { allowed, deniedBy } = await replay(trace, "--policy", policy);
    assert.deepEqual([allowed, deniedBy], [4, { "tokens-per-agent": 1 }]);
  });

  const good = '{"session":"s","turn":1,"tool":"x"}';
  const bad: [string, string[], number, RegExp][] = [
    ["a line that is not JSON", ["bad.jsonl"], 2, /bad\.jsonl:2: call: expected an object in JSON, got "\{\\"session/],
    ["a line without a tool", ["no-tool.jsonl"], 2, /no-tool\.jsonl:1: tool: expected a string .*, got nothing/],
    ["a trace that is not there", ["nowhere.jsonl"], 2, /cannot read nowhere\.jsonl/],
    [
      "a store that is none",
      ["good.jsonl", "--store", "mongo:x"],
      2,
      /--store: expected memory:, sqlite:PATH, postgres:/,
    ],
    ["a file that is no store", ["good.jsonl", "--store", "sqlite:3-5.yaml"], 3, /no SQLite database/],
    ["0 instances", ["good.jsonl", "--instances", "0"], 2, /whole number from 1 to 64/],
    ["an unknown option", ["good.jsonl", "--instance", "2"], 2, /unknown option/],
    ["a policy that is wrong", ["good.jsonl", "--policy", "bad.yaml"], 2, /bad\.yaml:1:10: version: expected 1, got 2/],
    ["a prefix that is none", ["good.jsonl", "--prefix", "bad prefix!"], 2, /^tollgate: --prefix: expected 1 to 64/],
    ["to kill after the end", ["good.jsonl", "--kill-after", "2"], 2, /--kill-after: expected .* 1 call, got 2/],
    [
      "a call that lacks a dimension",
      ["good.jsonl", "--policy", "user.yaml"],
      2,
      /^tollgate: good\.jsonl:1: user: expected a string .*, got nothing\. Say it with each call .*"onMissing: skip"\.$/m,
    ],
    [
      "a unit that the policy lacks",
      ["unit.jsonl"],
      2,
      /^tollgate: unit\.jsonl:1: cost: expected units .*, got "euros"$/m,
    ],
  ];
  const value = "a string that is not empty, or a safe integer";
  const wrongs: [field: string, value: unknown, fault: string][] = [
    ["session", "", `session: expected ${value}, got ""`],
    ["session", 1e20, `session: expected ${value}, got 100000000000000000000`],
    ["turn", 1.5, `turn: expected ${value}, got 1.5`],
    ["agent", {}, `agent: expected ${value}, got {}`],
    ["cost", 4, "cost: expected an object of whole numbers by unit, got 4"],
    ["cost", { calls: -1 }, "cost.calls: expected a safe integer from 0, got -1"],
    ["cost", { calls: "1" }, 'cost.calls: expected a safe integer from 0, got "1"'],
  ];
  for (const [field, wrong, fault] of wrongs) {
    it(`refuses the ${field} ${JSON.stringify(wrong)}`, () => {
      const json = JSON.stringify({ session: "s", turn: 1, tool: "x", [field]: wrong });
      assert.throws(() => parseTrace(`\n${json}`, "trace.jsonl"), { message: `trace.jsonl:2: ${fault}` });
    });
  }
  write("unit.jsonl", '{"session":"s","turn":1,"tool":"x","cost":{"euros":1}}');
  write("bad.jsonl", `${good}\n{"session": "s", \n`);
  write("no-tool.jsonl", '{"session":"s","turn":1}');
  write("good.jsonl", good);
  write("bad.yaml", "version: 2\nlimits: [{ name: a, per: [], quota: 1 }]");
  write("user.yaml", "version: 1\nlimits: [{ name: a, per: [user], quota: 1 }]");
  for (const [what, args, status, message] of bad) {
    it(`refuses ${what}`, async () => {
      const policy = args.includes("--policy") ? [] : ["--policy", policyOf(3, 5)];
      const ran = await tollgate(["replay", ...args, ...policy], folder);
      assert.match(ran.stderr, message);
      assert.doesNotMatch(ran.stderr, /^ {4}at /m);
      assert.equal(ran.status, status);
    });
  }

  it("prints one object with --json and nothing else, also where it warns", async () => {
    const args = ["replay", "good.jsonl", "--policy", policyOf(3, 5), "--store", "memory:", "--instances", "2"];
    const { stdout } = await tollgate([...args, "--json"], folder);
    assert.equal(stdout, `${JSON.stringify(JSON.parse(stdout))}\n`);
    const { calls, store } = JSON.parse(stdout);
    assert.deepEqual([calls, store], [1, "memory:"]);
  });
});
