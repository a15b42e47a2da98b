// What docs/policy-tests.md shows is what a reader gets.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { STEP_WORDS, stepKeys, TEST_KEYS } from "../../src/testing/policy-test-schema.ts";
import { ROOT } from "../sources.ts";
import { temporaryFolder } from "../temporary.ts";
import { tollgate } from "./tollgate.ts";

const PAGE = readFileSync(`${ROOT}docs/policy-tests.md`, "utf8");
const texts = (pattern: RegExp) => [...PAGE.matchAll(pattern)].map(([, text = ""]) => text);

describe("the page on policy tests", () => {
  const [policy = "", tests = "", own = ""] = texts(/^```yaml\n([\s\S]*?)^```/gm);
  const shown = texts(/^```\n\$ npx tollgate test\n([\s\S]*?)^```/gm);
  const folder = temporaryFolder();
  writeFileSync(join(folder, "tollgate.test.yaml"), tests);

  it("prints its documented output", async () => {
    writeFileSync(join(folder, "tollgate.yaml"), policy);
    assert.deepEqual(await tollgate(["test"], folder), { status: 0, stdout: shown[0], stderr: "" });
    writeFileSync(join(folder, "tollgate.yaml"), policy.replace("quota: 25", "quota: 20"));
    assert.deepEqual(await tollgate(["test"], folder), { status: 1, stdout: shown[1], stderr: "" });
    writeFileSync(join(folder, "own.yaml"), own);
    assert.deepEqual(await tollgate(["test", "own.yaml"], folder), {
      status: 0,
      stdout: "own.yaml: 1 passed\n",
      stderr: "",
    });
  });

  it("names every key of a test and of its steps", () => {
    for (const key of [...TEST_KEYS, ...STEP_WORDS.flatMap(stepKeys)])
      assert.match(PAGE, new RegExp(`\`${key}[\`:]`), key);
  });
});
