// The policies to copy (examples/policies) stay short, have no warnings, and have tests.

import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { loadPolicy } from "tollgate/policy";
import { type PolicyTest, testPolicy } from "tollgate/testing";
import { readPolicyText } from "../src/policy-file/text.ts";
import { readYaml } from "../src/policy-file/yaml-text.ts";
import { ROOT } from "./sources.ts";

const FOLDER = "examples/policies/";
const MOST_LINES = 20;
/** A product with plans, whose policy has to stay as small as its idea. */
const SMALLEST = { name: "chat-plans", mostLines: 8 };

const names = globSync(`${FOLDER}*.yaml`, { cwd: ROOT })
  .map((path) => path.slice(FOLDER.length, -".yaml".length))
  .filter((name) => !name.endsWith(".test"))
  .sort();
const read = (file: string) => readFileSync(`${ROOT}${FOLDER}${file}`, "utf8");
const README = read("README.md");

describe("a policy to copy", () => {
  it("is one of twelve", () => assert.equal(names.length, 12));

  for (const name of names) {
    it(`has at most ${MOST_LINES} lines, no warnings, tests, and a row in the README: ${name}`, () => {
      const text = read(`${name}.yaml`);
      const lines = text.trimEnd().split("\n").length;
      assert.ok(lines <= (name === SMALLEST.name ? SMALLEST.mostLines : MOST_LINES), String(lines));
      assert.deepEqual(readPolicyText(text, name).warnings(), []);
      assert.match(read(`${name}.test.yaml`), new RegExp(`^policy: ${name}\\.yaml$`, "m"));
      assert.ok(README.includes(`| [${name}](${name}.yaml) |`));
    });

    it(`does what its tests say: ${name}`, async () => {
      const file = `${name}.test.yaml`;
      const { tests } = readYaml(read(file), file, "invalid-option").value as { readonly tests: readonly PolicyTest[] };
      assert.ok(tests.length > 0);
      await testPolicy(loadPolicy(`${ROOT}${FOLDER}${name}.yaml`), tests);
    });
  }
});
