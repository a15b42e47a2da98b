// An algorithm is one file: no other source may name it. A source that needs to know something about an algorithm asks it
// (src/kernel/algorithms/algorithm.ts), so that a new algorithm needs no change there.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ALGORITHMS } from "../src/kernel/algorithms/registry.ts";
import { sources } from "./sources.ts";

const HOME = /^src\/kernel\/algorithms\//;

/** Sources that may name algorithms, and why. */
const EXCEPTIONS: readonly (readonly [files: RegExp, why: string])[] = [
  [/^src\/kernel\/policy\/(schema|input|typed|typed-keys)\.ts$/, "the keys and types of a policy, by algorithm"],
  [/^src\/index\.ts$/, "it exports the types of policies"],
  [/^src\/store\/kept-answer\.ts$/, "a limit that nothing fits"],
  [
    /^src\/kernel\/policy\/(old-words|foreign|hints|value-hints|amount-hints|place)\.ts$/,
    "hints that say which algorithm was meant",
  ],
  [/^src\/simulate\/suggest\/limits\.ts$/, "it writes policies"],
  [/^src\/testing\/[a-z-]+-cases\.ts$|^src\/testing\/limits\.ts$/, "the cases of the store contract are about limits"],
];

const names = Object.keys(ALGORITHMS);
const kinds = Object.values(ALGORITHMS).map(({ kind }) => kind);
const camel = (name: string) => name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
const pascal = (name: string) => camel(name).replace(/^[a-z]/, (letter) => letter.toUpperCase());

/** How code names an algorithm: as a text, by an import of its file, or by an identifier. */
const PATTERNS = [
  ...[...new Set([...names, ...kinds])].map((name) => new RegExp(`(["'\`])${name}\\1`)),
  ...names.map((name) => new RegExp(`algorithms/${name}\\.ts`)),
  ...names.map((name) => new RegExp(`\\b\\w*${pascal(name)}(?:Limit|State|Level)?(?:Input)?\\b|\\b${camel(name)}\\.`)),
];

/** Sources that have a text which is also an algorithm's, with another meaning. */
const OTHER_MEANINGS: ReadonlyMap<string, string> = new Map([
  ["src/service/prometheus.ts", '"counter"'],
  ["src/stores/counter.ts", '"counter"'],
  ["src/metrics/table.ts", '"counter"'],
  ["src/otel/exporter.ts", '"counter"'],
  ["src/cli/init.ts", '"budget"'],
  ["src/stores/counter.ts", '"counter"'],
]);

describe("an algorithm", () => {
  for (const { path, text } of sources("src/**/*.ts").filter((file) => !HOME.test(file.path))) {
    if (EXCEPTIONS.some(([files]) => files.test(path)) || path.endsWith(".gen.ts")) continue;
    it(`is not named in ${path}`, () => {
      const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, "").replaceAll(OTHER_MEANINGS.get(path) ?? /$^/g, "");
      const found = PATTERNS.flatMap((pattern) => pattern.exec(code)?.[0] ?? []);
      assert.deepEqual(found, [], "ask the algorithm of the limit for what you need, as algorithmOf(limit)");
    });
  }

  it("has exceptions that are needed", () => {
    for (const [files, why] of EXCEPTIONS)
      assert.ok(
        sources("src/**/*.ts").some(({ path, text }) => files.test(path) && PATTERNS.some((each) => each.test(text))),
        why,
      );
  });
});
