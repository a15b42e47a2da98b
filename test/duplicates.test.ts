// No part of src is a copy of another part: what two places need is a function that both call.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import ts from "typescript-5.9";
import { type SourceFile, sources } from "./sources.ts";

/** This many equal tokens in a row are a copy: about 7 lines. Comments, layout and imports do not count. */
const MOST_EQUAL = 60;
/** This many tokens that differ in names and literals alone are a copy, too: about 12 lines. */
const MOST_ALIKE = 100;

/** Copies that stay, as `path path`, with the reason. */
const ALLOWED: Readonly<Record<string, string>> = {};

interface Token {
  readonly text: string;
  /** The text, or one letter for any name or literal. */
  readonly shape: string;
  readonly line: number;
}

interface Tokens {
  readonly path: string;
  readonly tokens: readonly Token[];
}

function tokensOf({ path, text }: SourceFile): Tokens {
  return { path, tokens: path.endsWith(".lua") ? luaTokens(text) : typescriptTokens(path, text) };
}

function typescriptTokens(path: string, text: string): Token[] {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const tokens: Token[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node) || ts.isJSDoc(node)) return;
    const children = node.getChildren(source);
    for (const child of children) visit(child);
    const word = node.getText(source);
    if (children.length > 0 || word === "") return;
    const shape =
      ts.isIdentifier(node) || ts.isPrivateIdentifier(node) ? "n" : ts.isLiteralExpression(node) ? "l" : word;
    tokens.push({ text: word, shape, line: source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1 });
  };
  visit(source);
  return tokens;
}

const LUA_WORDS =
  /^(and|break|do|else|elseif|end|false|for|function|if|in|local|nil|not|or|repeat|return|then|true|until|while)$/;

function luaTokens(text: string): Token[] {
  return text.split("\n").flatMap((line, index) => {
    const words = line.replace(/--.*$/, "").match(/"[^"]*"|'[^']*'|\w+|[^\s\w]/g) ?? [];
    return words.map((word) => {
      const shape = /^["'\d]/.test(word) ? "l" : /^\w/.test(word) && !LUA_WORDS.test(word) ? "n" : word;
      return { text: word, shape, line: index + 1 };
    });
  });
}

const PRIMES = [2_147_483_647, 2_147_483_629] as const;
const BASE = 1_048_573;

/** A number for each `least` words in a row: that of other words is another one. Each is made from the one before. */
function windowsOf(words: readonly number[], least: number): number[] {
  const hashes = PRIMES.map((prime) => {
    let drop = 1;
    for (let i = 1; i < least; i++) drop = (drop * BASE) % prime;
    let hash = 0;
    return words.map((word, at) => {
      const gone = at < least ? 0 : (drop * (words[at - least] ?? 0)) % prime;
      hash = ((hash - gone + prime) * BASE + word) % prime;
      return hash;
    });
  });
  const [first = [], second = []] = hashes;
  return first.slice(least - 1).map((hash, at) => hash * 4_194_304 + ((second[at + least - 1] ?? 0) % 4_194_304));
}

/** Where files repeat `least` or more tokens in a row, as `path:line path:line (tokens)`. */
function copiesIn(files: readonly Tokens[], least: number, of: "text" | "shape"): string[] {
  const firsts = new Map<number, readonly [file: number, at: number]>();
  const numbers = new Map<string, number>();
  const numberOf = (word: string) => {
    const known = numbers.get(word) ?? numbers.size + 1;
    numbers.set(word, known);
    return known;
  };
  return files.flatMap(({ path, tokens }, own) => {
    const words = tokens.map((token) => numberOf(token[of]));
    const windows = windowsOf(words, least);
    const copies: string[] = [];
    for (let at = 0; at < windows.length; at++) {
      const window = windows[at] as number;
      const first = firsts.get(window);
      if (first === undefined) {
        firsts.set(window, [own, at]);
        continue;
      }
      const [file, from] = first;
      if (file === own && from + least > at) continue;
      const other = files[file] as Tokens;
      let length = least;
      while (at + length < words.length && tokens[at + length]?.[of] === other.tokens[from + length]?.[of]) length++;
      copies.push(`${other.path}:${other.tokens[from]?.line} ${path}:${tokens[at]?.line} (${length} tokens)`);
      at += length - 1;
    }
    return copies;
  });
}

function isAllowed(copy: string): boolean {
  return Object.hasOwn(ALLOWED, copy.replaceAll(/:\d+| \(.*/g, ""));
}

describe("the search for copies", () => {
  const [sum, product] = ["total", "product"].map(
    (name) => `export function ${name}Of(prices: readonly number[]): number {
      let ${name} = 0; // of all
      for (const price of prices) ${name} = Math.min(${name} + price * 2, MAX);
      return ${name} > 100 && prices.length > 3 ? Math.round(${name}) : -1;
    }`,
  );
  const file = (path: string, text = "") => tokensOf({ path, text });

  it("finds equal functions with other comments and layout", () => {
    const other = sum?.replace("// of all", "").replaceAll(/\n +/g, "\n");
    assert.deepEqual(copiesIn([file("a.ts", sum), file("b.ts", other)], 60, "text"), ["a.ts:1 b.ts:1 (63 tokens)"]);
  });

  it("finds functions that differ in their names, by their shape alone", () => {
    const files = [file("a.ts", sum), file("b.ts", product)];
    assert.deepEqual(copiesIn(files, 60, "text"), []);
    assert.equal(copiesIn(files, 60, "shape").length, 1);
  });

  it("finds copies in Lua", () => {
    const text = "local function f(a, b)\n  return a + b -- sum\nend\n";
    assert.deepEqual(copiesIn([file("a.lua", text), file("b.lua", text)], 10, "text"), ["a.lua:1 b.lua:1 (13 tokens)"]);
  });
});

describe("src", () => {
  const files = sources("src/**/*.{ts,lua}").flatMap((each) =>
    /\.gen\.(ts|lua)$/.test(each.path) ? [] : [tokensOf(each)],
  );

  it("repeats nothing", () => {
    assert.deepEqual(
      copiesIn(files, MOST_EQUAL, "text").filter((copy) => !isAllowed(copy)),
      [],
    );
  });

  it("repeats nothing under other names", () => {
    assert.deepEqual(
      copiesIn(files, MOST_ALIKE, "shape").filter((copy) => !isAllowed(copy)),
      [],
    );
  });
});
