// The part of the kernel that is compiled for the Redis script keeps to the subset that TypeScriptToLua compiles right.

import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import ts from "typescript-5.9";
import { compiledFiles } from "../scripts/lua/compile.ts";
import { subsetFaults } from "../scripts/lua/subset.ts";

const KERNEL = join(import.meta.dirname, "../src/kernel");
const BAD = join(KERNEL, "bad.ts");

/** Each line has a fault. */
const FAULTS = [
  "export const a = /x/.test('x');",
  "export function b(list: number[]) { const { length } = list; return length; }",
  "export const c = (n: number) => String(n);",
  "export const d = (n: number) => `$" + "{n}`;",
  "export const e = (n: number) => Number.isSafeInteger(n);",
  "export const f = () => new Array<number>(3);",
  "export const g = (o: object) => Object.hasOwn(o, 'x');",
  "export const h = (list: number[]) => list.findLast((n) => n > 1);",
  "export const i = (list: number[]) => [...list];",
  "export const j = (o: { x: number }) => ({ ...o });",
  "export const k = (list: (number | undefined)[]) => list.length;",
  "export const l = (x: string | null | undefined) => x === null;",
  "export const m = (list: number[]) => list.join();",
  "export const n = (text: string) => text.split(',');",
  "export const o = (n: number) => 'a' + n;",
  "export const p = (n: number) => (n ? 1 : 2);",
  "export function q(list: number[]) { if (list.length) return 1; return 2; }",
  "export const r = (text: string | undefined) => !text;",
  "export const s = (x: number | undefined, y: number) => x || y;",
  "export function t(n: number): string | null | undefined { if (n === 1) return null; return undefined; }",
  "export const u = '^a|b$';",
  "export const v = '^a-b';",
  "export const w = '^(ab)+$';",
  "export const x = '^[%w]+$';",
  "export const y = '^a.b';",
];

describe("the compiled part of the kernel", () => {
  const options = { target: ts.ScriptTarget.ESNext, strict: true, noUncheckedIndexedAccess: true, noEmit: true };
  const host = ts.createCompilerHost(options);
  const read = host.getSourceFile;
  host.getSourceFile = (name, ...rest) =>
    name === BAD ? ts.createSourceFile(name, FAULTS.join("\n"), ts.ScriptTarget.ESNext, true) : read(name, ...rest);
  const files = compiledFiles().map((file) => join(KERNEL, file));
  const resolution = { module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler };
  const extensions = { allowImportingTsExtensions: true, types: [] };
  const program = ts.createProgram([...files, BAD], { ...options, ...resolution, ...extensions }, host);
  const faultsIn = (file: string) => {
    const source = program.getSourceFile(file);
    return source === undefined ? [`${file} is missing`] : subsetFaults(source, program.getTypeChecker());
  };

  it("is in the subset", () => assert.deepEqual(files.flatMap(faultsIn), []));

  it("may not have what is compiled to something else", () => {
    const lines = new Set(faultsIn(BAD).map((fault) => Number(/:(\d+): /.exec(fault)?.[1])));
    const missed = FAULTS.filter((_, i) => !lines.has(i + 1));
    assert.deepEqual(missed, []);
  });
});
