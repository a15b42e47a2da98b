// What users can import, read by the compiler from the sources behind each subpath of package.json: names, the fields of types,
// the words of unions, and the parameters of functions.

import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import {
  API,
  type Checker,
  isStringLiteralType,
  isUnionType,
  SignatureKind,
  SymbolFlags,
  type Symbol as SymbolOf,
  type Type,
  TypeFlags,
} from "typescript/unstable/sync";
import { ROOT } from "../sources.ts";

/** A field or a method of a public type. */
export interface Field {
  readonly name: string;
  readonly isMethod: boolean;
  readonly isOptional: boolean;
  /** The parts of its type, as the compiler shows them; aliases of words are the words. */
  readonly types: readonly string[];
  /** Where the field is an object written in place: its own fields. */
  readonly fields: readonly Field[];
  /** Its doc comment as one line, empty without one. */
  readonly comment: string;
}

/** One name that a subpath exports. */
export interface PublicName {
  readonly subpath: string;
  readonly name: string;
  readonly kind: "class" | "constant" | "function" | "type";
  readonly fields: readonly Field[];
  /** Of a union of words. */
  readonly words: readonly string[];
  readonly parameters: readonly string[];
}

interface Manifest {
  readonly exports: Readonly<Record<string, string | { readonly "tollgate-source": string }>>;
}

let known: Promise<PublicName[]> | undefined;

/** Every name of every subpath, sorted. They are read once: that takes seconds. */
export function publicNames(): Promise<PublicName[]> {
  known ??= readNames();
  return known;
}

async function readNames(): Promise<PublicName[]> {
  const { exports } = JSON.parse(readFileSync(`${ROOT}package.json`, "utf8")) as Manifest;
  // What is exported as a type alone is not there at run time, whatever it is.
  const subpaths = await Promise.all(
    Object.entries(exports).map(async ([path, target]) => {
      if (typeof target === "string") return [];
      const subpath = path.replace(/^\./, "tollgate");
      const values = new Set(Object.keys(await import(subpath)));
      return [{ subpath, file: resolve(ROOT, target["tollgate-source"]), values }];
    }),
  );
  const api = new API({ cwd: ROOT });
  try {
    const config = resolve(ROOT, "tsconfig.build.json");
    const project = api.updateSnapshot({ openProject: config }).getProject(config);
    if (project === undefined) throw new Error(`${config} is no project`);
    const { checker, program } = project;
    return subpaths.flat().flatMap(({ subpath, file, values }) => {
      const source = program.getSourceFile(file);
      const module = source === undefined ? undefined : checker.getSymbolAtLocation(source);
      if (module === undefined) throw new Error(`${subpath} is no module of the project`);
      const names = checker.getExportsOfModule(module).map((each) => nameOf(checker, subpath, each, values));
      return names.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    });
  } finally {
    api.close();
  }
}

function nameOf(checker: Checker, subpath: string, exported: SymbolOf, values: ReadonlySet<string>): PublicName {
  const { name } = exported;
  const symbol = (exported.flags & SymbolFlags.Alias) === 0 ? exported : checker.getAliasedSymbol(exported);
  const value = values.has(name) ? checker.getTypeOfSymbol(symbol) : undefined;
  const declared = (symbol.flags & SymbolFlags.Type) === 0 ? undefined : checker.getDeclaredTypeOfSymbol(symbol);
  const [signature] = value === undefined ? [] : checker.getSignaturesOfType(value, SignatureKind.Call);
  const kind =
    value === undefined ? "type" : signature !== undefined ? "function" : declared === undefined ? "constant" : "class";
  return {
    subpath,
    name,
    kind,
    fields: declared === undefined ? [] : fieldsOf(checker, declared, 0),
    words: declared === undefined ? [] : wordsOf(declared),
    // One that is taken apart in place has no name.
    parameters: (signature?.getParameters() ?? []).map(({ name: each }) => (each.startsWith("__") ? "{}" : each)),
  };
}

/** The fields that a type has by its own declaration: none of a class of the language, and none that is private. */
function fieldsOf(checker: Checker, type: Type, depth: number): Field[] {
  if (isUnionType(type) || (!type.isObjectType() && !type.isIntersectionType())) return [];
  const symbols = checker.getPropertiesOfType(type).filter((each) => isOwn(each) && !each.name.startsWith("__"));
  const fields = symbols.map((symbol): Field => {
    const of = checker.getTypeOfSymbol(symbol) as Type;
    const present = checker.getNonNullableType(of) ?? of;
    const inner = (isUnionType(of) ? of.getTypes() : [of]).filter((each) => (each.flags & TypeFlags.Undefined) === 0);
    const isMethod = checker.getSignaturesOfType(present, SignatureKind.Call).length > 0;
    return {
      name: symbol.name,
      isMethod,
      isOptional: (symbol.flags & SymbolFlags.Optional) !== 0,
      types: shownTypes(inner.map((each) => shownType(checker, each))),
      fields: !isMethod && depth < 2 && isInPlace(present) ? fieldsOf(checker, present, depth + 1) : [],
      comment: commentOf(symbol),
    };
  });
  return fields.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function commentOf(symbol: SymbolOf): string {
  const node = symbol.declarations[0]?.resolve();
  const text = node?.getSourceFile().text.slice(node.pos, node.end) ?? "";
  const [, comment = ""] = /^\s*\/\*\*(.*?)\*\//s.exec(text) ?? [];
  return comment.replaceAll(/\s*\n\s*\*? */g, " ").trim();
}

/** Sorted, and with the two values of a boolean as the boolean. */
function shownTypes(types: readonly string[]): string[] {
  const isBoolean = types.includes("true") && types.includes("false");
  const others = isBoolean ? types.filter((type) => type !== "true" && type !== "false") : types;
  return [...others, ...(isBoolean ? ["boolean"] : [])].toSorted();
}

function shownType(checker: Checker, type: Type): string {
  if (isStringLiteralType(type)) return JSON.stringify(type.value);
  return checker.typeToString(type);
}

/** Whether an object's type is written where it is used, so that it has no name of its own. */
function isInPlace(type: Type): boolean {
  return type.getAliasSymbol() === undefined && ((type.getSymbol()?.flags ?? 0) & SymbolFlags.TypeLiteral) !== 0;
}

function isOwn(symbol: SymbolOf): boolean {
  const from = symbol.declarations.map(({ path }) => String(path));
  return from.length === 0 || from.some((path) => path.startsWith(`${ROOT}src/`));
}

function wordsOf(type: Type): string[] {
  if (!isUnionType(type)) return [];
  return type
    .getTypes()
    .flatMap((each) => (isStringLiteralType(each) ? [each.value] : []))
    .toSorted();
}
