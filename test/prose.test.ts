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
  [/\banybody\b/, "any caller, or the name of the thing"],
  [/\bbeforehand\b/i, "in advance"],
  [/\bin vain\b/i, "without effect"],
  [/\bone's own\b/i, "your own, or its own"],
  [/\b(by himself|himself|thereof|hereby|whereof|wherein)\b/, "the name of the thing"],
];

/** Words for persons, which processes, requests and callers are not. Names of tests are without them. */
const NOT_IN_NAMES = /\b(who|whom|told|hears?|somehow)\b/i;

/** The most words of one sentence. */
const MOST_WORDS = 40;
/** Pages that are written by hand. */
const PAGES = ["*.md", "docs/**/*.md", "examples/**/*.md"];
const GENERATED = /^docs\/reference\/(?!README)/;

/** Each unplain word of a text, with its line. */
function unplain(text: string): { line: number; word: string; instead: string }[] {
  return text.split("\n").flatMap((line, index) =>
    WORDS.flatMap(([pattern, instead]) => {
      const word = pattern.exec(line)?.[0];
      return word === undefined ? [] : [{ line: index + 1, word, instead }];
    }),
  );
}

/** The names of the tests of a file. */
function testNames(text: string): string[] {
  const names = text.matchAll(/\b(?:it|describe)\(\s*(?:"((?:[^"\\]|\\.)*)"|`([^`]*)`)/g);
  return [...names].map(([, plain, template = ""]) => plain ?? template.replace(/\$\{[^}]*\}/g, ""));
}

/** The paragraphs, list items and table cells of a page, without code. */
function paragraphs(page: string): { line: number; text: string }[] {
  const all: { line: number; text: string }[] = [];
  let current: { line: number; text: string } | undefined;
  let isCode = false;
  for (const [index, line] of page.split("\n").entries()) {
    if (line.trimStart().startsWith("```")) isCode = !isCode;
    const [, cells] = /^\s*\|(.*)/.exec(line) ?? [];
    const [, item] = /^\s*(?:[-*]|\d+\.)\s+(.*)/.exec(line) ?? [];
    if (isCode || /^\s*(?:$|#|```|<!--)/.test(line) || cells !== undefined) {
      current = undefined;
      if (!isCode) for (const text of cells?.split(/(?<!\\)\|/) ?? []) all.push({ line: index + 1, text });
    } else if (current === undefined || item !== undefined) {
      current = { line: index + 1, text: item ?? line };
      all.push(current);
    } else current.text += ` ${line.trim()}`;
  }
  return all;
}

/** The sentences of a page with more words than one may have. Code counts as one word; a colon or a semicolon ends a sentence. */
function longSentences(page: string): { line: number; words: number; start: string }[] {
  return paragraphs(page).flatMap(({ line, text }) => {
    const plain = text.replace(/``.+?``|`[^`]*`/g, "code").replace(/\]\([^)]*\)/g, "]");
    return plain.split(/(?<=[.!?:;])\**\s+/).flatMap((sentence) => {
      const words = sentence.match(/[\p{L}\p{N}][\p{L}\p{N}'’-]*/gu)?.length ?? 0;
      return words > MOST_WORDS ? [{ line, words, start: sentence.trim().slice(0, 60) }] : [];
    });
  });
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

  it("names tests without persons", () => {
    assert.deepEqual(testNames('it("denies who waits", () => {})'), ["denies who waits"]);
    const names = globSync("{src,test}/**/*.test.ts", { cwd: ROOT }).flatMap((path) =>
      LEFT_OUT.test(path) ? [] : testNames(readFileSync(ROOT + path, "utf8")),
    );
    assert.ok(names.length > 2000);
    assert.deepEqual(
      names.filter((name) => NOT_IN_NAMES.test(name)),
      [],
    );
  });

  it("finds a sentence that is long", () => {
    const sentence = `${Array(41).fill("word").join(" ")}.`;
    const found = { line: 3, words: 41, start: sentence.slice(0, 60) };
    assert.deepEqual(longSentences(`# Title\n\n- ${sentence}\n  Short.\n`), [found]);
    assert.deepEqual(longSentences(`| a | ${sentence} |`), [{ ...found, line: 1, start: sentence.slice(0, 60) }]);
    assert.deepEqual(longSentences(`\`\`\`\n${sentence}\n\`\`\``), []);
  });

  it("has no long sentences in pages", () => {
    const paths = globSync(PAGES, { cwd: ROOT }).filter((path) => !LEFT_OUT.test(path) && !GENERATED.test(path));
    const found = paths
      .sort()
      .flatMap((path) =>
        longSentences(readFileSync(ROOT + path, "utf8")).map(
          ({ line, words, start }) => `${path}:${line}: ${words} words, at most ${MOST_WORDS}: "${start}…"`,
        ),
      );
    assert.deepEqual(found, []);
  });
});
