// Compiles the part of the kernel that the Redis script has, too: what decides any request, and what reads and writes states.
// TypeScriptToLua makes a module of each file; this makes one piece of Lua of them, with a local for each name that is
// imported somewhere.

import { readFileSync } from "node:fs";
import { createRequire, registerHooks } from "node:module";
import { dirname, join, relative } from "node:path";

const ROOT = join(import.meta.dirname, "../..");
const KERNEL = join(ROOT, "src/kernel");

/** What the Lua sources call, by the file that exports it. All that these files import is compiled with them. */
export const ENTRIES = {
  "algorithms/rules/registry.ts": ["decodeSpent", "encodeSpent", "rulesOfCode"],
  "bucket/expiry.ts": ["keptUntilMs"],
  "decide-any.ts": ["decideAny"],
  "encoding/held.ts": ["decodeHeld", "encodeHeld"],
  "encoding/once.ts": ["decodeOnce", "encodeOnce"],
} as const;

/** The file whose functions are Lua's own in the script. */
const SEAM = "lua.ts";
/** Its declarations for the compiler: a match returns several values in Lua. */
const SEAM_TYPES = `
type Text = string | undefined;
export declare function find(text: string, pattern: string, first?: number): LuaMultiReturn<[
  first: number | undefined, last: number | undefined, Text, Text, Text, Text, Text, Text, Text, Text]>;
export declare function codeAt(text: string, position: number): number;
export declare function partOf(text: string, first: number, last: number): string;
export declare function contains(text: string, other: string): boolean;
export declare function numberOf(digits: string): number;
export declare function textOf(number: number): string;
export declare function knownText(entry: object): string | undefined;
export declare function keepText(entry: object, text: string): void;
export declare function shortList<Item>(): Item[];
`;

/** A compiled file, by its path in the kernel. */
export interface LuaModule {
  readonly file: string;
  readonly text: string;
}

/** The files that are compiled, by their paths in the kernel: the entries, and all of which they import more than types. */
export function compiledFiles(): readonly string[] {
  const found = new Set<string>(Object.keys(ENTRIES));
  for (const file of found) {
    for (const [, names = "", path = ""] of readFileSync(join(KERNEL, file), "utf8").matchAll(IMPORT)) {
      const isOfTypes = names.split(",").every((name) => name.trim() === "" || name.trim().startsWith("type "));
      const imported = join(dirname(file), path);
      if (!isOfTypes && imported !== SEAM) found.add(imported);
    }
  }
  return [...found].sort();
}

const IMPORT = /^(?:import|export) \{([^}]*)\} from "(\.[^"]*)";$/gm;

/** Compiles the entries and all that they import. */
export function compiledModules(): LuaModule[] {
  const { ts, tstl } = compilers();
  const options = {
    target: ts.ScriptTarget.ESNext,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    rewriteRelativeImportExtensions: true,
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: true,
    types: ["@typescript-to-lua/language-extensions"],
    typeRoots: [join(ROOT, "node_modules")],
    noHeader: true,
    noImplicitSelf: true,
    luaTarget: tstl.LuaTarget.Lua51,
    luaLibImport: tstl.LuaLibImportKind.Require,
  };
  const host = ts.createCompilerHost(options);
  const { getSourceFile } = host;
  host.getSourceFile = (name: string, ...rest: unknown[]) =>
    relative(KERNEL, name) === SEAM
      ? ts.createSourceFile(name, SEAM_TYPES, ts.ScriptTarget.ESNext)
      : getSourceFile.call(host, name, ...rest);
  const roots = Object.keys(ENTRIES).map((file) => join(KERNEL, file));
  const program = ts.createProgram(roots, options, host);
  const files = compiledFiles().map((file) => program.getSourceFile(join(KERNEL, file)));
  const result = tstl.getProgramTranspileResult(ts.sys, () => {}, {
    program,
    sourceFiles: files,
    plugins: [{ printer: flatPrinter(tstl) }],
  });
  const diagnostics = [...files.flatMap((file) => ts.getPreEmitDiagnostics(program, file)), ...result.diagnostics];
  const faults = diagnostics.map((each) => {
    const place = each.file === undefined ? "" : `${relative(ROOT, each.file.fileName)}:`;
    const line = each.file?.getLineAndCharacterOfPosition(each.start ?? 0).line ?? 0;
    return `${place}${line + 1}: ${ts.flattenDiagnosticMessageText(each.messageText, "\n")}`;
  });
  if (faults.length > 0) throw new Error(`the kernel does not compile to Lua:\n${faults.join("\n")}`);
  return result.transpiledFiles.map(({ sourceFiles: [source], code }) => ({
    file: relative(KERNEL, source?.fileName ?? ""),
    text: code,
  }));
}

/** A node of the Lua that is printed. */
interface LuaNode {
  readonly kind: number;
  readonly operator?: number;
  readonly left?: LuaNode;
  readonly right?: LuaNode;
}

/** Prints `a .. b .. c` in place of `(a .. b) .. c`: Lua joins all parts at once then, and makes no text in between. */
function flatPrinter({ LuaPrinter, SyntaxKind }: Tstl) {
  class FlatPrinter extends LuaPrinter {
    override printBinaryExpression(expression: LuaNode): unknown {
      if (expression.operator !== SyntaxKind.ConcatOperator) return super.printBinaryExpression(expression);
      const parts = partsOf(expression).map((part) => this.printExpressionInParenthesesIfNeeded(part));
      return this.createSourceNode(
        expression,
        parts.flatMap((part, i) => (i === 0 ? [part] : [" .. ", part])),
      );
    }
  }
  const partsOf = (node: LuaNode): LuaNode[] =>
    node.operator === SyntaxKind.ConcatOperator && node.left !== undefined && node.right !== undefined
      ? [...partsOf(node.left), ...partsOf(node.right)]
      : [node];
  return (program: object, host: unknown, fileName: string, file: object) =>
    new FlatPrinter(host, program, fileName).print(file);
}

/** What is used of TypeScript's own types: its declarations are those of another version, without the compiler. */
interface Compilers {
  readonly ts: Ts;
  readonly tstl: Tstl;
}

interface Ts {
  readonly sys: unknown;
  readonly ScriptTarget: { readonly ESNext: number };
  readonly ModuleKind: { readonly ESNext: number };
  readonly ModuleResolutionKind: { readonly Bundler: number };
  createCompilerHost(options: object): { getSourceFile(name: string, ...rest: unknown[]): unknown };
  createSourceFile(name: string, text: string, target: number): unknown;
  createProgram(roots: readonly string[], options: object, host: object): { getSourceFile(name: string): unknown };
  getPreEmitDiagnostics(program: object, file: unknown): readonly Diagnostic[];
  flattenDiagnosticMessageText(text: unknown, newLine: string): string;
}

interface Tstl {
  readonly SyntaxKind: { readonly ConcatOperator: number };
  readonly LuaPrinter: new (
    host: unknown,
    program: object,
    fileName: string,
  ) => {
    print(file: object): unknown;
    printBinaryExpression(expression: LuaNode): unknown;
    printExpressionInParenthesesIfNeeded(expression: LuaNode): unknown;
    createSourceNode(node: LuaNode, chunks: readonly unknown[]): unknown;
  };
  readonly LuaTarget: { readonly Lua51: string };
  readonly LuaLibImportKind: { readonly Require: string };
  getProgramTranspileResult(
    host: unknown,
    writeFile: () => void,
    options: {
      readonly program: object;
      readonly sourceFiles: readonly unknown[];
      readonly plugins: readonly object[];
    },
  ): {
    readonly diagnostics: readonly Diagnostic[];
    readonly transpiledFiles: readonly {
      readonly sourceFiles: readonly { readonly fileName: string }[];
      readonly code: string;
    }[];
  };
}

interface Diagnostic {
  readonly file?: {
    readonly fileName: string;
    getLineAndCharacterOfPosition(start: number): { readonly line: number };
  };
  readonly start?: number;
  readonly messageText: unknown;
}

/** TypeScriptToLua takes the `typescript` that it finds for a compiler with an interface, which TypeScript 7 has not. */
function compilers(): Compilers {
  const require = createRequire(import.meta.url);
  const parentURL = import.meta.url;
  registerHooks({
    resolve: (specifier, context, next) =>
      specifier === "typescript" ? next("typescript-5.9", { ...context, parentURL }) : next(specifier, context),
  });
  return { ts: require("typescript-5.9"), tstl: require("typescript-to-lua") };
}
