// How large files and functions of src may be, so that a reader sees one as a whole.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import ts from "typescript-5.9";
import { type SourceFile, sources } from "./sources.ts";

const MOST_LINES = 300;
const MOST_LINES_OF_MEDIAN = 100;
const MOST_LINES_OF_FUNCTION = 60;

/** Files and functions that are larger, with the reason. */
const LARGE: Readonly<Record<string, string>> = {};

interface Length {
  readonly name: string;
  readonly lines: number;
}

/** Source files of src, generated ones excepted. */
function files(): SourceFile[] {
  return sources("src/**/*.{ts,lua}").filter(({ path }) => !/\.gen\.(ts|lua)$/.test(path));
}

function linesOf(text: string): number {
  return text.trimEnd().split("\n").length;
}

/**
 * The functions of a file with their lines, each as `path name`. Tables do not count: objects and lists without functions, and
 * functions that only return a list, such as a list of cases. The functions in such a list count by themselves.
 */
function functionsOf({ path, text }: SourceFile): Length[] {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const lineAt = (position: number) => source.getLineAndCharacterOfPosition(position).line;
  const height = (node: ts.Node) => lineAt(node.end) - lineAt(node.getStart(source)) + 1;
  const tableLines = (node: ts.Node): number => {
    if (isLiteral(node) && !hasFunction(node)) return height(node) - 1;
    let lines = 0;
    ts.forEachChild(node, (child) => {
      lines += tableLines(child);
    });
    return lines;
  };
  const lengths: Length[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && !isListOfCases(node)) {
      lengths.push({ name: `${path} ${nameOf(node, source)}`, lines: height(node) - tableLines(node) });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return lengths;
}

function isLiteral(node: ts.Node): boolean {
  return ts.isArrayLiteralExpression(node) || ts.isObjectLiteralExpression(node);
}

function hasFunction(node: ts.Node): boolean {
  return ts.isFunctionLike(node) || ts.forEachChild(node, (child) => hasFunction(child) || undefined) === true;
}

function isListOfCases(node: ts.SignatureDeclaration): boolean {
  const { body } = node as ts.FunctionLikeDeclaration;
  if (body === undefined) return false;
  const [only, ...others] = ts.isBlock(body) ? body.statements : [body];
  const value = only !== undefined && ts.isReturnStatement(only) ? only.expression : only;
  return others.length === 0 && value !== undefined && ts.isArrayLiteralExpression(value);
}

function nameOf(node: ts.SignatureDeclaration, source: ts.SourceFile): string {
  const named = [node, node.parent].find((each) => "name" in each && each.name !== undefined) as ts.NamedDeclaration;
  return named?.name?.getText(source) ?? `of line ${source.getLineAndCharacterOfPosition(node.pos).line + 1}`;
}

/** The functions of a Lua file. */
function luaFunctionsOf({ path, text }: SourceFile): Length[] {
  const functions = text.matchAll(/^(?:local )?function ([\w.:]+)[\s\S]*?^end$/gm);
  return [...functions].map(([whole, name]) => ({ name: `${path} ${name}`, lines: linesOf(whole) }));
}

/** What is larger than it may be, as text. */
function over(lengths: readonly Length[], most: number): string[] {
  const large = lengths.filter(({ name, lines }) => lines > most && !Object.hasOwn(LARGE, name));
  return large.map(({ name, lines }) => `${name} has ${lines} lines, and may have ${most}`);
}

describe("the house", () => {
  it("measures functions without tables", () => {
    const text = ["function f() {", "  const t = [", "    1,", "    2,", "  ];", "  return t.map((n) => n);", "}"].join(
      "\n",
    );
    assert.deepEqual(functionsOf({ path: "a.ts", text }), [
      { name: "a.ts f", lines: 4 },
      { name: "a.ts of line 6", lines: 1 },
    ]);
    const cases = "export const cases = () => [\n  {\n    run() {\n      go();\n    },\n  },\n];";
    assert.deepEqual(functionsOf({ path: "b.ts", text: cases }), [{ name: "b.ts run", lines: 3 }]);
  });

  it("has no large file", () => {
    const lengths = files().map(({ path, text }) => ({ name: path, lines: linesOf(text) }));
    assert.deepEqual(over(lengths, MOST_LINES), []);
  });

  it("has small files for the most part", () => {
    const lines = files().map(({ text }) => linesOf(text));
    const median = lines.toSorted((a, b) => a - b)[Math.floor(lines.length / 2)] ?? 0;
    assert.ok(median <= MOST_LINES_OF_MEDIAN, `the median is ${median}`);
  });

  it("has no large function", () => {
    const lengths = files().flatMap((file) => (file.path.endsWith(".lua") ? luaFunctionsOf(file) : functionsOf(file)));
    assert.ok(lengths.length > 3000);
    assert.deepEqual(over(lengths, MOST_LINES_OF_FUNCTION), []);
  });
});
