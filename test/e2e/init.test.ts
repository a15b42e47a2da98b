import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { PRESETS, policyText, SHARED } from "../../src/cli/init-policy.ts";
import { readPolicyText } from "../../src/policy-file/text.ts";
import { readYaml } from "../../src/policy-file/yaml-text.ts";
import { type PolicyTest, testPolicy } from "tollgate/testing";
import { temporaryFolder } from "../temporary.ts";
import { tollgate } from "./tollgate.ts";

const folder = temporaryFolder();

describe("init", () => {
  for (const preset of Object.keys(PRESETS) as (keyof typeof PRESETS)[]) {
    for (const shared of Object.keys(SHARED) as (keyof typeof SHARED)[]) {
      for (const budget of [null, "$5"]) {
        it(`has a policy without warnings, whose tests pass: ${preset}, ${shared}, ${budget}`, async () => {
          const text = policyText({ preset, shared, budget });
          const { policy, warnings } = readPolicyText(text, "tollgate.yaml");
          assert.deepEqual(warnings(), []);
          const { tests } = readYaml(text, "tollgate.yaml", "invalid-policy").value as { tests: readonly PolicyTest[] };
          await testPolicy(policy, tests);
          const names = policy.limits.map(({ name }) => name);
          assert.equal(names.includes("money-per-day"), budget !== null);
          assert.equal(names.includes("calls-per-tenant"), shared === "tenants");
        });
      }
    }
  }

  it("writes tollgate.yaml, and never replaces it", async () => {
    const { status, stdout } = await tollgate(["init", "--preset", "chat", "--budget", "$2.50"], folder);
    assert.equal(status, 0);
    assert.match(stdout, /^Wrote tollgate\.yaml, for a chat agent\./);
    assert.match(stdout, /\n {6}tollgate serve --policy tollgate\.yaml\n$/);
    const written = readFileSync(join(folder, "tollgate.yaml"), "utf8");
    assert.match(written, /per: \[session\], unit: usd_micros, window: day, quota: \$2\.50/);
    assert.equal((await tollgate(["check", "--strict"], folder)).status, 0);
    assert.equal((await tollgate(["test"], folder)).status, 0);
    const again = await tollgate(["init", "--preset", "api"], folder);
    assert.match(again.stderr, /--out: expected a file that does not exist yet, got "tollgate\.yaml"/);
    assert.equal(again.status, 2);
  });

  it("says what each call has to say, and how an MCP server is put behind it", async () => {
    const saidIn = (preset: "chat" | "api", shared: "no" | "users" | "tenants") =>
      /each call also says (.*)\.\n/.exec(policyText({ preset, shared, budget: null }))?.[1];
    assert.deepEqual([saidIn("chat", "no"), saidIn("chat", "users")], [undefined, "its user"]);
    assert.deepEqual([saidIn("chat", "tenants"), saidIn("api", "tenants")], ["its user and its tenant", "its tenant"]);
    const { stdout } = await tollgate(["init", "--preset", "mcp", "--out", "mcp.yaml"], folder);
    assert.match(stdout, /\n {6}tollgate mcp --policy mcp\.yaml -- COMMAND\n$/);
  });

  it("suggests a policy from recorded calls", async () => {
    const lines = Array.from({ length: 24 }, (_, i) =>
      JSON.stringify({ session: `s${i % 12}`, turn: 1, tool: "x", ok: true }),
    );
    writeFileSync(join(folder, "trace.jsonl"), lines.join("\n"));
    const { status, stdout } = await tollgate(["init", "--from", "trace.jsonl", "--out", "own.yaml"], folder);
    assert.equal(status, 0);
    assert.match(stdout, /^Wrote own\.yaml: \d limits, learned from 12 sessions that succeeded\./);
    assert.ok(existsSync(join(folder, "own.yaml")));
  });

  const bad: [string, string[], RegExp][] = [
    [
      "to ask where there is no terminal",
      [],
      /--preset: expected one of chat, coding, mcp, api, because there is no terminal/,
    ],
    [
      "a budget that is no money",
      ["--preset", "chat", "--budget", "5"],
      /--budget: expected an amount of money such as \$5, or no/,
    ],
    [
      "answers beside a trace",
      ["--from", "trace.jsonl", "--preset", "chat"],
      /--preset and --from: expected one of them/,
    ],
    ["an unknown preset", ["--preset", "game"], /Allowed choices are chat, coding, mcp, api/],
  ];
  for (const [what, args, message] of bad) {
    it(`refuses ${what}`, async () => {
      const { status, stderr } = await tollgate(["init", ...args, "--out", "refused.yaml"], folder);
      assert.match(stderr, message);
      assert.equal(status, 2);
      assert.ok(!existsSync(join(folder, "refused.yaml")));
    });
  }
});
