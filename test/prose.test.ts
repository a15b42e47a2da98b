// Plain English: words that engineers do not use, and what to write instead. docs/glossary.md has the project's own words.

import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { ROOT } from "./sources.ts";

const FILES = [
  "*.md",
  "bench/**/*.{md,ts}",
  "deploy/**/*.{md,yaml}",
  "docs/**/*.md",
  "examples/**/*.{md,ts,js,yaml}",
  "scripts/**/*.{ts,js}",
  "src/**/*.{ts,lua,sql}",
  "test/**/*.ts",
];
const LEFT_OUT = /\.gen\.(ts|lua)$|^test\/prose\.test\.ts$|node_modules/;

/** What is not plain, and what to write instead. */
const WORDS: readonly [pattern: RegExp, instead: string][] = [
  [/\banew\b/i, "again"],
  [/\bbef[ae]ll?s?\b/i, "happens to"],
  [/\breckon/i, "count, or calculate"],
  [/\blikewise\b/i, "also, or in the same way"],
  [/\ball the same\b/i, "anyway, or nevertheless"],
  [/\bas ever\b/i, "as before"],
  [/\bas many as may\b/i, "the maximum"],
  [/\bwhat is none\b/i, "something that is not …"],
  [/\bin all(?=[.,;:)|])/i, "in total"],
  [/\b(whoever|whomever)\b/i, "any caller that …, or the name of the thing"],
  [/\b(nobody|somebody|everybody)\b/i, "no caller, a process, all clients: name it"],
  [/\b(by himself|himself|thereof|hereby|whereof|wherein)\b/, "the name of the thing"],
];

/** Each unplain word of a text, with its line. */
function unplain(text: string): { line: number; word: string; instead: string }[] {
  return text.split("\n").flatMap((line, index) =>
    WORDS.flatMap(([pattern, instead]) => {
      const word = pattern.exec(line)?.[0];
      return word === undefined ? [] : [{ line: index + 1, word, instead }];
    }),
  );
}

describe("prose", () => {
  it("finds a word that is not plain", () => {
    assert.deepEqual(unplain("Fine.\nIt begins anew."), [{ line: 2, word: "anew", instead: "again" }]);
  });

  it("is plain English in sources, tests and pages", () => {
    const paths = globSync(FILES, { cwd: ROOT }).filter((path) => !LEFT_OUT.test(path));
    assert.ok(paths.length > 500);
    const found = paths
      .sort()
      .flatMap((path) =>
        unplain(readFileSync(ROOT + path, "utf8")).map(
          ({ line, word, instead }) => `${path}:${line}: "${word}": write ${instead}`,
        ),
      );
    assert.deepEqual(found, []);
  });
});
