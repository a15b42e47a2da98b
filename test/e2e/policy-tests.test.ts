// `tollgate test`: files of tests, tests in a policy, what is printed, and the exit codes.

import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { temporaryFolder } from "../temporary.ts";
import { tollgate } from "./tollgate.ts";

const folder = temporaryFolder();
const write = (name: string, text: string) => writeFileSync(join(folder, name), text);

const LIMITS = `version: 1
limits:
  - { name: per-session, per: [session], quota: 2, quotas: { tool: { send_email: 1 } } }
  - { name: per-tenant, per: [tenant], onMissing: skip, quota: 9 }
`;

for (const name of ["own", "both", "none", "empty", "strict", "wrong", "deep", "deep/policies"])
  mkdirSync(join(folder, name));
write(
  "own/tollgate.yaml",
  `${LIMITS}tests:\n  - name: two calls\n    steps: [{ call: { tool: x, session: s1 }, times: 2 }]\n`,
);
write("none/tollgate.yaml", LIMITS);
write(
  "strict/tollgate.yaml",
  `${LIMITS}tests:\n  - name: all\n    steps: [{ call: { tool: x, session: s1, tenant: t1 } }, { call: { tool: send_email, session: s2 } }]\n`,
);
write(
  "both/tollgate.yaml",
  `${LIMITS}tests:\n  - name: two calls\n    steps:\n      - { call: { tool: x, session: s1 }, times: 3 }\n`,
);
write(
  "both/mail.test.yaml",
  `# Emails.
policy: ./tollgate.yaml
x-anchors: { mail: &mail { tool: send_email } }
tests:
  - name: one email
    for: { session: s1 }
    steps:
      - { call: *mail }
      - { call: *mail, expect: denied, by: per-session, retryAfter: never }
  - name: two emails
    for: { session: s1 }
    steps:
      - call: *mail
        times: 2
`,
);
write("deep/policies/main.yaml", LIMITS);
write(
  "deep/a.test.yml",
  "policy: policies/main.yaml\ntests: [{ name: a, steps: [{ call: { tool: x, session: s } }] }]\n",
);
write(
  "deep/b.test.yaml",
  '{"policy":"policies/main.yaml","tests":[{"name":"b","steps":[{"call":{"tool":"x","session":"s"}}]}]}',
);
write(
  "wrong/a.test.yaml",
  "policy: tollgate.yaml\ntests:\n  - name: a\n    steps:\n      - { call: x, expct: denied }\n",
);
write(
  "wrong/b.test.yaml",
  "policy: tollgate.yaml\ntests:\n  - { name: b, steps: [{ call: x, expect: denied, by: per-sesion }] }\n",
);
write("wrong/c.test.yaml", "policy: gone.yaml\ntests: [{ name: c, steps: [{ call: x }] }]\n");
write("wrong/tollgate.yaml", `${LIMITS}tests:\n  - { name: a, step: [] }\n`);

const run = (name: string, ...args: string[]) => tollgate(["test", ...args], join(folder, name));

describe("tollgate test", () => {
  it("runs the tests of tollgate.yaml, and lists what they did not reach", async () => {
    assert.deepEqual(await run("own"), {
      status: 0,
      stdout: [
        "tollgate.yaml: 1 passed",
        "tollgate.yaml: No test reached: per-session: quotas.tool.send_email, per-tenant",
        "tollgate.yaml: No test exceeded: per-session",
        "",
      ].join("\n"),
      stderr: "",
    });
  });

  it("runs all tests of a folder, shows what failed, and exits with 1", async () => {
    const { status, stdout, stderr } = await run("both");
    assert.deepEqual([status, stderr], [1, ""]);
    assert.equal(
      stdout,
      [
        "FAILED: two emails",
        "  mail.test.yaml:13:9: step 1, call 2 of 2, at 2030-01-01T00:00:00Z",
        "  { session: s1, tool: send_email }",
        "    expect: expected allowed, got denied",
        "  The call was denied, retryAfter never:",
        "    per-session  denied  cost 1 call  0 of 1 call left  resets after 30d",
        "",
        "FAILED: two calls",
        "  tollgate.yaml:8:9: step 1, call 3 of 3, at 2030-01-01T00:00:00Z",
        "  { tool: x, session: s1 }",
        "    expect: expected allowed, got denied",
        "  The call was denied, retryAfter never:",
        "    per-session  denied  cost 1 call  0 of 2 calls left  resets after 30d",
        "",
        "mail.test.yaml: 1 passed, 1 failed",
        "tollgate.yaml: 0 passed, 1 failed",
        "tollgate.yaml: No test reached: per-tenant",
        "1 passed, 2 failed",
        "",
      ].join("\n"),
    );
  });

  it("exits with 1 with --strict where no test reached a part of the policy", async () => {
    const { stdout } = await run("own");
    assert.deepEqual(await run("own", "--strict"), { status: 1, stdout, stderr: "" });
    assert.equal((await run("own", "--strict", "--json")).status, 1);
    assert.equal((await run("strict", "--strict")).status, 0);
  });

  it("prints one object with --json", async () => {
    const { status, stdout } = await run("both", "--json", "mail.test.yaml");
    assert.equal(status, 1);
    const { tests, ...rest } = JSON.parse(stdout);
    assert.deepEqual(rest, {
      passed: 1,
      failed: 1,
      policies: [
        {
          file: "tollgate.yaml",
          limits: [
            { limit: "per-session", reached: true, exceeded: true, unreached: [] },
            { limit: "per-tenant", reached: false, exceeded: false, unreached: [] },
          ],
        },
      ],
    });
    assert.deepEqual(tests[0], { file: "mail.test.yaml", name: "one email", passed: true, failure: null });
    const { verdicts, ...failure } = tests[1].failure;
    assert.deepEqual(failure, {
      step: 1,
      at: "mail.test.yaml:13:9",
      atMs: Date.UTC(2030, 0, 1),
      did: { session: "s1", tool: "send_email" },
      call: 2,
      mismatches: [{ word: "expect", expected: "allowed", got: "denied" }],
    });
    assert.equal(verdicts[0].limit, "per-session");
  });

  it("finds a policy by its path from the file of tests, and adds up what files with one policy reach", async () => {
    const { status, stdout } = await tollgate(["test", "deep/a.test.yml", "deep/b.test.yaml"], folder);
    assert.equal(status, 0);
    assert.equal(
      stdout,
      [
        "deep/a.test.yml: 1 passed",
        "deep/b.test.yaml: 1 passed",
        "deep/policies/main.yaml: No test reached: per-session: quotas.tool.send_email, per-tenant",
        "deep/policies/main.yaml: No test exceeded: per-session",
        "2 passed",
        "",
      ].join("\n"),
    );
    assert.match((await run("deep")).stdout, /^2 passed$/m);
  });

  it("exits with 2 for files that cannot be used", async () => {
    const { status, stdout, stderr } = await run("wrong", "a.test.yaml", "b.test.yaml", "tollgate.yaml");
    assert.deepEqual([status, stdout], [2, ""]);
    assert.equal(
      stderr,
      [
        'tollgate: a.test.yaml:5:20: tests[0].steps[0].expct: expected a known key, got "expct". Did you mean "expect"?',
        `b.test.yaml:3:55: tests[0].steps[0].by: expected one of the policy's limits: per-session, per-tenant, got "per-sesion". Did you mean "per-session"?`,
        "tollgate.yaml:6:5: tests[0].steps: expected a list of steps, got nothing",
        'tollgate.yaml:6:16: tests[0].step: expected a known key, got "step". Did you mean "steps"?',
        "",
      ].join("\n"),
    );
    for (const [args, expected] of [
      [["c.test.yaml"], /^tollgate: c\.test\.yaml:1:9: cannot read gone\.yaml: there is no such file/],
      [["gone.test.yaml"], /^tollgate: cannot read gone\.test\.yaml: /],
    ] as const) {
      const { status, stderr } = await run("wrong", ...args);
      assert.equal(status, 2);
      assert.match(stderr, expected);
    }
    const { status: ofNone, stderr: saidOfNone } = await run("none", "tollgate.yaml");
    assert.equal(ofNone, 2);
    assert.match(
      saidOfNone,
      /^tollgate: tollgate\.yaml: tests: expected tests in the policy, or a file such as .*, got nothing/,
    );
    for (const name of ["none", "empty"]) {
      const { status, stderr } = await run(name);
      assert.equal(status, 2);
      assert.match(stderr, /^tollgate: there are no tests here: write tollgate\.test\.yaml/);
    }
  });
});

describe("tollgate check", () => {
  const check = (name: string, ...args: string[]) => tollgate(["check", ...args], join(folder, name));

  it("finds faults in the tests of a policy, and in files of tests", async () => {
    const own = await check("wrong", "tollgate.yaml");
    assert.deepEqual(
      [own.status, own.stdout.split("\n")[0]],
      [1, "tollgate.yaml:6:5: tests[0].steps: expected a list of steps, got nothing"],
    );
    const json = await check("wrong", "--json", "a.test.yaml");
    assert.equal(json.status, 1);
    assert.deepEqual(JSON.parse(json.stdout), [
      {
        level: "error",
        code: "invalid-policy",
        path: "tests[0].steps[0].expct",
        line: 5,
        column: 20,
        message: 'expected a known key, got "expct"',
        hint: 'Did you mean "expect"?',
      },
    ]);
  });

  it("reports that tests are valid, whether they pass or not", async () => {
    assert.deepEqual(await check("both", "mail.test.yaml"), {
      status: 0,
      stdout: "mail.test.yaml: fine, 2 tests\n",
      stderr: "",
    });
    assert.equal((await check("both", "tollgate.yaml")).status, 0);
    assert.equal((await check("both", "--json", "mail.test.yaml")).stdout, "[]\n");
  });
});
