// The rules of the Lua sources: each file says at its head what it is for, which names of which files it uses, which names it
// provides and which TypeScript it mirrors; files and functions stay short; and Lua's own bounds are far.

import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Declaration, type LuaFunction, namesOf } from "./names.ts";
import { ENTRIES, type Line, linesOf, luaFiles, type Replaced, textOf } from "./sources.ts";

const ROOT = join(import.meta.dirname, "../..");
const MOST_LINES = 300;
const MOST_FUNCTION_LINES = 60;
/** Lua 5.1 allows 200 locals and 60 upvalues in a function. */
const MOST_LOCALS = 160;
const MOST_UPVALUES = 55;
/** What Lua and Redis provide, and the first line of a script. */
const GLOBALS = new Set(
  "ARGV KEYS cjson ipairs math now_ms pairs pcall redis setmetatable string table tonumber type unpack".split(" "),
);
/** Its names are for all files, which need not list them. */
const STANDARD = "standard.lua";
const WIRE = "wire.gen.lua";

/** A head's section: which names of which file. */
type Section = ReadonlyMap<string, readonly string[]>;

interface Head {
  readonly purpose: string;
  readonly uses: Section;
  readonly mirrors: Section;
  readonly provides: readonly string[];
}

/** Everything that is wrong with the sources, some of which may be replaced. */
export function faultsIn(replaced: Replaced = new Map()): string[] {
  const found = new Map<string, Found>();
  const faults: string[] = [];
  for (const entry of ENTRIES) {
    const lines = linesOf(entry, replaced);
    const text = namesOf(lines.map((line) => line.text).join("\n"));
    for (const { token, declaration } of text.uses) {
      const file = fileAt(lines, token.line);
      const from = declaration === null ? null : fileAt(lines, declaration.token.line);
      if (declaration === null && !GLOBALS.has(token.text)) faults.push(`${file}: ${token.text} is declared nowhere`);
      if (declaration !== null && from !== null) note(found, file, from, declaration);
    }
    faults.push(...text.functions.flatMap((each) => functionFaults(each, lines)));
  }
  faults.push(...luaFiles().flatMap((file) => fileFaults(file, textOf(file, replaced), found.get(file))));
  return [...new Set(faults)];
}

/** Names that a file uses, by the file that they are of, and names of it that others use. */
interface Found {
  readonly uses: Map<string, Set<string>>;
  readonly provides: Set<string>;
}

function note(found: Map<string, Found>, file: string, from: string, { name }: Declaration): void {
  if (file === from || from === STANDARD) return;
  for (const each of [file, from]) if (!found.has(each)) found.set(each, noNames());
  const uses = found.get(file)?.uses;
  uses?.set(from, (uses.get(from) ?? new Set()).add(name));
  found.get(from)?.provides.add(name);
}

function noNames(): Found {
  return { uses: new Map(), provides: new Set() };
}

const fileAt = (lines: readonly Line[], line: number) => lines[line]?.file ?? "";

function functionFaults(
  { name, firstLine, lastLine, mostLocals, upvalues, parent }: LuaFunction,
  lines: readonly Line[],
) {
  const file = fileAt(lines, firstLine);
  const faults: string[] = [];
  const length = lastLine - firstLine + 1;
  // One that has includes in it is no function of its file alone.
  const isOwn = parent !== null && lines.slice(firstLine, lastLine).every((line) => line.file === file);
  if (isOwn && length > MOST_FUNCTION_LINES) {
    faults.push(`${file}: ${name} has ${length} lines; a function has at most ${MOST_FUNCTION_LINES}`);
  }
  // Constants are locals in the sources, and numbers in the script.
  const constants =
    parent === null ? lines.filter((line) => line.file === WIRE && line.text.startsWith("local ")).length : 0;
  if (mostLocals - constants > MOST_LOCALS) {
    const what = name === "" ? "the script" : name;
    faults.push(
      `${file}: ${what} has ${mostLocals - constants} locals; Lua allows 200, and our bound is ${MOST_LOCALS}`,
    );
  }
  const count = [...upvalues].filter((each) => fileAt(lines, each.token.line) !== WIRE).length;
  if (count > MOST_UPVALUES) {
    faults.push(`${file}: ${name} uses ${count} locals from outside; Lua allows 60, and our bound is ${MOST_UPVALUES}`);
  }
  return faults;
}

function fileFaults(file: string, text: string, found: Found = noNames()): string[] {
  const head = headOf(text);
  const { uses, provides } = found;
  const faults: string[] = [];
  const lines = text.split("\n").length - 1;
  if (lines > MOST_LINES) faults.push(`it has ${lines} lines; a file has at most ${MOST_LINES}`);
  if (head.purpose === "") faults.push("it must begin with a comment that says what it is for");
  for (const from of new Set([...uses.keys(), ...head.uses.keys()])) {
    faults.push(...differences(`from ${from}`, [...(uses.get(from) ?? [])], head.uses.get(from) ?? [], "uses"));
  }
  if (file !== STANDARD && file !== WIRE) {
    faults.push(...differences("", [...provides], head.provides, "provides"));
  }
  for (const [path, names] of head.mirrors) faults.push(...mirrorFaults(path, names));
  return faults.map((fault) => `${file}: ${fault}`);
}

/** Names that are and are not listed. */
function differences(of: string, actual: readonly string[], listed: readonly string[], verb: string): string[] {
  const missing = actual.filter((name) => !listed.includes(name)).sort();
  const unused = listed.filter((name) => !actual.includes(name));
  return [
    ...(missing.length === 0 ? [] : [`its head must list that it ${verb} ${missing.join(", ")} ${of}`.trimEnd()]),
    ...(unused.length === 0 ? [] : [`its head lists that it ${verb} ${unused.join(", ")} ${of}, and it does not`]),
  ];
}

function mirrorFaults(path: string, names: readonly string[]): string[] {
  const full = join(ROOT, path);
  const text = existsSync(full) ? readFileSync(full, "utf8") : "";
  return names.flatMap((name) => {
    if (isDeclared(text, name)) return [];
    const others = globSync(["src/kernel/**/*.ts", "src/store/*.ts"], { cwd: ROOT }).filter(
      (each) => !each.endsWith(".test.ts") && isDeclared(readFileSync(join(ROOT, each), "utf8"), name),
    );
    const where = others.length === 0 ? "" : `; ${others.join(", ")} does`;
    return [`it mirrors ${name} of ${path}, which declares no such function or algorithm${where}`];
  });
}

function isDeclared(text: string, name: string): boolean {
  return new RegExp(`^(export )?(async )?(function|const) ${name}\\b`, "m").test(text);
}

/** The comment that a file begins with: prose, then sections of indented lines. */
function headOf(text: string): Head {
  const comment = /^(?:--.*\n)+/.exec(text)?.[0] ?? "";
  const lines = comment.split("\n").map((line) => line.replace(/^-- ?/, ""));
  const sections = new Map<string, string[]>();
  let current = "purpose";
  for (const line of lines) {
    if (/^(Uses|Provides|Mirrors)$/.test(line)) current = line;
    else sections.set(current, [...(sections.get(current) ?? []), line.trim()]);
  }
  const textOfSection = (name: string) => (sections.get(name) ?? []).join(" ").trim();
  return {
    purpose: textOfSection("purpose"),
    uses: listsIn(textOfSection("Uses")),
    mirrors: listsIn(textOfSection("Mirrors")),
    provides: namesIn(textOfSection("Provides")),
  };
}

/** `a.lua: x, y b.lua: z` as names by file. */
function listsIn(text: string): Section {
  const found = text.matchAll(/([\w./-]+\.(?:lua|ts)): ([\w, ]+?)(?=\s+[\w./-]+\.(?:lua|ts):|$)/g);
  return new Map([...found].map(([, file = "", names = ""]) => [file, namesIn(names)]));
}

function namesIn(text: string): string[] {
  return text.split(",").flatMap((name) => (name.trim() === "" ? [] : [name.trim()]));
}
