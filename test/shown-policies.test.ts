// Every policy that the repository shows or uses is free of warnings.

import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { runInNewContext } from "node:vm";
import type { PolicyInput } from "tollgate";
import { readPolicy } from "../src/kernel/policy/parse.ts";
import { readPolicyText } from "../src/policy-file/text.ts";
import { policyWarnings } from "../src/policy-warnings/warnings.ts";
import { POLICY as BORROWING } from "./chaos/borrowing-policy.ts";
import { POLICY as HOLD } from "./chaos/hold-policy.ts";
import { POLICY as KILL } from "./chaos/kill-policy.ts";
import { POLICY as WAIT } from "./chaos/wait-policy.ts";
import { policyText } from "./load/service/policy.ts";
import { ROOT } from "./sources.ts";

const read = (path: string) => readFileSync(ROOT + path, "utf8");
const files = (...patterns: string[]) => globSync(patterns, { cwd: ROOT }).sort();

interface Shown {
  readonly where: string;
  readonly warnings: () => readonly object[];
}

const shownText = (where: string, text: string): Shown => ({
  where,
  warnings: () => readPolicyText(text, where).warnings(),
});
const shownObject = (where: string, input: PolicyInput): Shown => ({ where, warnings: () => policyWarnings(input) });

/** Policies in YAML on pages, and in files. */
function inYaml(): Shown[] {
  const pages = files("*.md", "docs/**/*.md").flatMap((path) =>
    [...read(path).matchAll(/```(?:yaml|yml|json)\n([\s\S]*?)\n```/g)]
      .map(([, text = ""]) => text)
      .filter((text) => /^\s*"?limits"?:/m.test(text))
      .map((text, i) => shownText(`${path} policy ${i + 1}`, /version"?: 1/.test(text) ? text : `version: 1\n${text}`)),
  );
  const own = ["sample-policy.yaml", "deploy/policy.yaml"].map((path) => shownText(path, read(path)));
  const [, block = ""] = /^ {2}policy\.yaml: \|\n((?: {4}.*\n|\n)+)/m.exec(read("deploy/kubernetes.yaml")) ?? [];
  return [...pages, ...own, shownText("deploy/kubernetes.yaml", block.replace(/^ {4}/gm, ""))];
}

/** Policies in texts of programs. */
function inTexts(): Shown[] {
  return files("test/**/*.ts", "bench/**/*.ts", "src/**/*.ts")
    .filter((path) => !/policy|commands\.test/.test(path))
    .flatMap((path) =>
      [...read(path).matchAll(/`([^`]*\bversion: 1\n[^`]*\blimits:[^`]*)`/g)]
        .map(([, text = ""]) => text)
        .filter((text) => !text.includes("${"))
        .map((text, i) => shownText(`${path} text ${i + 1}`, text.replace(/^ \* ?/gm, ""))),
    );
}

/** Policies as objects on pages, in docstrings and in benchmarks, where they are literals. */
function inObjects(): Shown[] {
  return (
    files("*.md", "docs/**/*.md", "src/**/*.ts", "bench/**/*.ts")
      // The example of a warning has one.
      .filter((path) => !path.endsWith(".test.ts") && path !== "src/policy-warnings/warnings.ts")
      .flatMap((path) => {
        const text = read(path).replace(/^ \* ?/gm, "");
        return [...text.matchAll(/\{\s*version: 1,/g)].flatMap(({ index }, i) => {
          const input = literalAt(text, index);
          return input === null ? [] : [shownObject(`${path} object ${i + 1}`, input)];
        });
      })
  );
}

function literalAt(text: string, start: number): PolicyInput | null {
  let depth = 0;
  let end = start;
  do {
    const sign = text[end++];
    if (sign === "{") depth++;
    else if (sign === "}") depth--;
  } while (depth > 0 && end < text.length);
  try {
    const input = JSON.parse(JSON.stringify(runInNewContext(`(${text.slice(start, end)})`)));
    return "policy" in readPolicy(input) ? input : null;
  } catch {
    return null;
  }
}

const quotas = { "tool-per-turn": 5, "tool-per-session": 50, "tenant-budget": 500 };
const all = [
  ...inYaml(),
  ...inTexts(),
  ...inObjects(),
  shownText("test/load/service/policy.ts", policyText(quotas)),
  ...Object.entries({ BORROWING, HOLD, KILL, WAIT }).map(([name, input]) => shownObject(name, input)),
];

describe("a policy of the repository has no warnings", () => {
  for (const { where, warnings } of all) it(where, () => assert.deepEqual(warnings(), []));

  it("exist of each kind", () => {
    for (const kind of [inYaml(), inTexts(), inObjects()]) assert.ok(kind.length >= 5, String(kind.length));
  });
});
