// What is wrong with a test is said before anything is run: where, what was expected, what was found, what was meant.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MisuseError } from "tollgate";
import { testPolicy } from "tollgate/testing";
import { formatFault } from "../../src/kernel/errors.ts";
import { compiledPolicy } from "../../src/kernel/policy/parse.ts";
import { readPolicyTests, readTestFile } from "../../src/testing/policy-test-faults.ts";

const policy = compiledPolicy({
  version: 1,
  limits: [
    { name: "calls-per-day", per: ["user"], window: "day", quota: 25 },
    { name: "tokens", per: ["session"], onMissing: "skip", unit: "tokens", quota: 100 },
  ],
});

function faultsOf(tests: unknown): string[] {
  const read = readPolicyTests(tests, policy);
  return "faults" in read ? read.faults.map(formatFault) : [];
}

const ofSteps = (...steps: readonly unknown[]) => faultsOf([{ name: "a", at: "2026-03-01T12:00:00Z", steps }]);
const ofTest = (more: object) => faultsOf([{ name: "a", steps: [{ call: "x" }], ...more }]);
const call = (more: object) => ofSteps({ call: "x", ...more });

describe("a wrong test", () => {
  const INSTANT = /expected an instant from 1970 to 9999, such as/;
  const DURATION = /expected a duration such as 250ms/;
  const cases: readonly [string, string[], RegExp][] = [
    ["no list", faultsOf({}), /^tests: expected a list of tests, got \{\}$/],
    ["none", faultsOf([]), /^tests: expected at least one test, got \[\]$/],
    ["no object", faultsOf([5]), /^tests\[0\]: expected a test, got 5$/],
    ["no name", ofTest({ name: undefined }), /^tests\[0\]\.name: expected a name of 1 to 200 characters, got nothing$/],
    ["a long name", ofTest({ name: "a".repeat(201) }), /expected a name of 1 to 200 characters/],
    [
      "an unknown key",
      ofTest({ stepps: [] }),
      /^tests\[0\]\.stepps: expected a known key, got "stepps"\. Did you mean "steps"\?$/,
    ],
    ["another key", ofTest({ xyz: 1 }), /^tests\[0\]\.xyz: expected only name, at, for, steps, got "xyz"$/],
    ["a wrong instant", ofTest({ at: "yesterday" }), INSTANT],
    ["an instant without a zone", ofTest({ at: "2026-03-01T12:00:00" }), INSTANT],
    ["an instant in no zone", ofTest({ at: "2026-03-01T12:00[Nowhere/City]" }), INSTANT],
    ["an instant before 1970", ofTest({ at: "1969-12-31T00:00:00Z" }), INSTANT],
    [
      "dimensions that are lists",
      ofTest({ for: { user: ["u1"] } }),
      /for\.user: expected a text that is not empty, or a whole number, got \["u1"\]$/,
    ],
    ["no steps", ofTest({ steps: [] }), /expected at least one step/],
    ["too many steps", ofTest({ steps: Array(1_001).fill({ call: "x" }) }), /steps: expected at most 1000, got/],
    [
      "too many tests",
      faultsOf(Array(1_001).fill({ name: "a", steps: [{ call: "x" }] })),
      /^tests: expected at most 1000/,
    ],
    [
      "a step that is none",
      ofSteps({ cal: "x" }),
      /steps\[0\]: expected a step with exactly one of call, wait, at, end, bucket, grant, reset, got \{"cal":"x"\}\. Did you mean "call"\?$/,
    ],
    ["a step of two kinds", ofSteps({ call: "x", wait: "1h" }), /expected a step with exactly one of call/],
    ["a step that is a text", ofSteps("x"), /expected a step with exactly one of call, .*, got "x"$/],
    [
      "an unknown key of a step",
      call({ retry: "1h" }),
      /steps\[0\]\.retry: expected only call, cost, .*, got "retry"$/,
    ],
    ["a key of another kind", ofSteps({ wait: "1h", times: 3 }), /steps\[0\]\.times: expected only wait, got "times"$/],
    ["expect: allow", call({ expect: "allow" }), /expect: expected allowed or denied, got "allow"\. Write allowed\.$/],
    ["expect: deny", call({ expect: "deny" }), /Write denied\.$/],
    ["expect with a typo", call({ expect: "denid" }), /expected allowed or denied, got "denid"\. Write denied\.$/],
    ["a fraction of an hour", ofSteps({ wait: "1.5h" }), /wait: expected a duration .*, got "1\.5h"\. Write 90m\.$/],
    ["a wait in words", call({ expect: "denied", retryAfter: "1 min 6 s" }), /retryAfter: .* Write 66s\.$/],
    ["a part of nothing", ofSteps({ wait: "0m" }), DURATION],
    ["parts in another order", ofSteps({ wait: "5s1m" }), /Write 65s\.$/],
    ["parts that are too long", ofSteps({ wait: "36500d1ms" }), DURATION],
    [
      "arguments of all calls",
      ofTest({ for: { args: { a: 1 } } }),
      /for\.args: .*, got \{"a":1\}\. It is no dimension\. Write it in the call: \{ tool: search, args: … \}\.$/,
    ],
    [
      "a call without a tool",
      ofSteps({ call: { user: "u1" } }),
      /call: expected a call with a tool, such as \{ tool: search \}, got \{"user":"u1"\}$/,
    ],
    ["a call whose tool is removed", ofTest({ for: { tool: "x" }, steps: [{ call: { tool: null } }] }), /with a tool/],
    ["no times", call({ times: 0 }), /times: expected a whole number from 1 to 100000, got 0$/],
    ["too many times", call({ times: 100_001 }), /times: expected a whole number from 1 to 100000/],
    [
      "too many calls",
      faultsOf(Array(11).fill({ name: "a", steps: [{ call: "x", times: 100_000 }] })),
      /^tests: expected at most 1000000 calls in all tests together, got 1100000$/,
    ],
    ["a wait without a unit", ofSteps({ wait: 12 }), DURATION],
    ["a retryAfter without one", call({ expect: "denied", retryAfter: "soon" }), /or never, got "soon"$/],
    [
      "a wait too long",
      ofSteps({ wait: "36500d" }, { wait: "1ms" }),
      /steps\[1\]\.wait: expected at most 36500d in one test, got "1ms"$/,
    ],
    [
      "time that runs back",
      ofSteps({ wait: "1h" }, { at: "2026-03-01T12:59:59Z" }),
      /steps\[1\]\.at: expected an instant from 2026-03-01T13:00:00.000Z on, which it is before/,
    ],
    ["by without a denial", call({ by: "tokens" }), /by: expected expect: denied beside by, got "allowed"$/],
    ["a message of an allowed call", call({ message: "x" }), /message: expected expect: denied beside message/],
    [
      "a notice of a denied call",
      call({ expect: "denied", notice: true }),
      /notice: expected no notice of a denied call/,
    ],
    [
      "usage of a denied call",
      call({ expect: "denied", usage: { calls: 1 } }),
      /usage: expected no usage of a denied call, which does not run/,
    ],
    [
      "usage of an open call",
      call({ as: "a", usage: { calls: 1 } }),
      /usage: expected usage in the step that ends the call/,
    ],
    [
      "a result of a failed call",
      call({ error: true, result: 1 }),
      /result: expected no result of a call that fails, got 1$/,
    ],
    [
      "two costs",
      ofSteps({ call: { tool: "x", cost: {} }, cost: { tokens: 1 } }),
      /cost: expected no cost here and in the call/,
    ],
    [
      "a name that is open",
      ofSteps({ call: "x", as: "a" }, { call: "x", as: "a" }),
      /steps\[1\]\.as: expected a name that no open call has, got "a"$/,
    ],
    [
      "an end of nothing",
      ofSteps({ end: "a" }),
      /end: expected the name of a call that is open \(as: NAME\), got "a"$/,
    ],
    ["an end twice", ofSteps({ call: "x", as: "a" }, { end: "a" }, { end: "a" }), /steps\[2\]\.end: expected the name/],
    [
      "a bucket without a limit",
      ofSteps({ bucket: { user: "u1" }, used: 1 }),
      /bucket\.limit: expected the name of a limit, got nothing$/,
    ],
    [
      "a bucket without a number",
      ofSteps({ bucket: { limit: "tokens" } }),
      /bucket: expected used, remaining or quota beside it/,
    ],
    [
      "a limit that there is not",
      call({ expect: "denied", by: "call-per-day" }),
      /by: expected one of the policy's limits: calls-per-day, tokens, got "call-per-day"\. Did you mean "calls-per-day"\?$/,
    ],
    [
      "a limit in remaining",
      call({ remaining: { token: 1 } }),
      /remaining\.token: expected one of the policy's limits: .*, got "token"\. Did you mean "tokens"\?$/,
    ],
    ["a limit in exceeded", call({ exceeded: ["x"] }), /exceeded\[0\]: expected one of the policy's limits/],
    [
      "a limit of a grant",
      ofSteps({ grant: { limit: "x" }, units: 1, duration: "1h" }),
      /grant\.limit: expected one of/,
    ],
    ["a limit of a reset", ofSteps({ reset: { limit: "x" } }), /reset\.limit: expected one of/],
    [
      "a unit that nothing counts",
      call({ usage: { token: 1 } }),
      /usage\.token: expected units that a limit of the policy counts: calls, tokens, got "token"\. Did you mean "tokens"\?$/,
    ],
    [
      "a unit of an end",
      ofSteps({ call: "x", as: "a" }, { end: "a", usage: { x: 1 } }),
      /steps\[1\]\.usage\.x: expected units/,
    ],
    [
      "an unknown dimension of a call",
      call({ call: { tool: "x", usr: "u1" } }),
      /steps\[0\]\.call\.usr: expected only tenant, user, .*, got "usr"\. Did you mean "user"\?$/,
    ],
    [
      "an unknown dimension of all calls",
      ofTest({ for: { plan: "pro" } }),
      /\.for\.plan: expected only tenant, user, .*/,
    ],
    [
      "an unknown dimension of a bucket",
      ofSteps({ bucket: { limit: "calls-per-day", usr: "u1" }, used: 1 }),
      /bucket\.usr: expected only limit, .*, got "usr"\. Did you mean "user"\?$/,
    ],
    [
      "an unknown unit of a call",
      call({ call: { tool: "x", cost: { token: 1 } } }),
      /call\.cost\.token: expected units .*, got "token"\. Did you mean "tokens"\?$/,
    ],
    [
      "dollars of another unit",
      call({ cost: { tokens: "$0.02" } }),
      /cost\.tokens: expected an amount of tokens, without \$, which is for usd_micros, got "\$0\.02"$/,
    ],
    [
      "dollars that are left of another unit",
      call({ remaining: { tokens: "$2" } }),
      /remaining\.tokens: expected an amount of tokens, without/,
    ],
    [
      "a duration of units",
      ofSteps({ bucket: { limit: "tokens" }, used: "1h" }),
      /used: expected an amount of tokens, and no duration, which is for limits of elapsed, got "1h"$/,
    ],
    [
      "an amount that is none",
      call({ usage: { tokens: "5 k" } }),
      /usage\.tokens: expected a whole number from 0 to 9007199254740991, or an amount such as 50k or \$0\.02, got "5 k"$/,
    ],
    [
      "quotas that no limit takes",
      call({ quotas: { tokens: 5 } }),
      /quotas\.tokens: expected a limit with quota: \{ from: call \}: there is none, got "tokens"$/,
    ],
    ["half a token", call({ cost: { tokens: 0.5 } }), /cost\.tokens: expected a whole number from 0 to/],
    [
      "a call that is a list",
      ofSteps({ call: ["x"] }),
      /call: expected a call such as \{ tool: search, user: u1 \}, or the name of a tool/,
    ],
  ];
  for (const [what, faults, expected] of cases) {
    it(`has one fault: ${what}`, () => {
      assert.equal(faults.length, 1, faults.join("\n"));
      assert.match(faults[0] ?? "", expected);
    });
  }

  it("is reported with all of its faults", () => {
    const faults = ofSteps({ call: "x", expect: "deny", times: 0 }, { wait: 1 });
    assert.equal(faults.length, 3);
  });

  it("is misuse of testPolicy", async () => {
    const error = await testPolicy(policy, [{ name: "a", steps: [] }]).catch((thrown: unknown) => thrown);
    assert.ok(MisuseError.isInstance(error));
    assert.equal(error.code, "invalid-option");
    assert.equal(error.faults[0]?.path, "tests[0].steps");
  });
});

describe("a right test", () => {
  it("may have every key", () => {
    const steps = [
      { call: { tool: "x", cost: { tokens: 5 }, args: { a: [1] } }, usage: { tokens: 4 }, result: null, notice: false },
      { call: "x", cost: { tokens: 5 }, times: 2, as: "a", expect: "allowed", remaining: { tokens: 1 }, exceeded: [] },
      { end: "a", error: true },
      { call: "x", as: "a" },
      { end: "a", usage: { tokens: 1 }, result: "y", error: false },
      { call: "x", expect: "denied", by: "tokens", retryAfter: "never", message: "z" },
      { wait: "36499d" },
      { at: "2126-02-05T00:00[Asia/Tokyo]" },
      { bucket: { limit: "tokens", session: 5 }, used: 1, remaining: "unlimited", quota: 5 },
      { grant: { limit: "tokens", session: 5 }, units: 1, duration: "1h" },
      { reset: { limit: "tokens", session: 5 } },
    ];
    assert.deepEqual(ofSteps(...steps), []);
    assert.deepEqual(ofTest({ for: { user: 5 }, at: "2026-03-01T12:00:00.5+05:30" }), []);
  });
});

describe("a file of tests", () => {
  const faultsIn = (file: unknown) => {
    const read = readTestFile(file);
    return "faults" in read ? read.faults.map(formatFault) : [];
  };

  it("names its policy and its tests, and keys that others use", () => {
    const tests = [{ name: "a", steps: [{ call: "x" }] }];
    assert.deepEqual(faultsIn({ $schema: "policy-test.schema.json", policy: "a.yaml", tests, "x-calls": 5 }), []);
    assert.deepEqual(faultsIn({ tests, polcy: "a.yaml" }), [
      "policy: expected the path of a policy, got nothing",
      'polcy: expected a known key, got "polcy". Did you mean "policy"?',
    ]);
    assert.deepEqual(faultsIn({ policy: "a.yaml", tests: 5 }), ["tests: expected a list of tests, got 5"]);
  });
});
