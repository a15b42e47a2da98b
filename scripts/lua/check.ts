// The rules of the Lua sources: each file says at its head what it is for, which names of which files it uses, and which
// TypeScript it mirrors; files and functions stay short; and Lua's own bounds are far.

import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type LuaFunction, namesOf } from "./names.ts";
import { ENTRIES, KERNEL, type Line, linesOf, luaFiles, type Replaced, textOf, WIRE } from "./sources.ts";

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
/** Their names are for all files, which do not list them. */
const STANDARD = "standard.lua";
/** Columns of a line of the head. */
const MOST_COLUMNS = 120;

/** Names that a file uses, by the file that declares them. */
type Uses = Map<string, Set<string>>;

/** Everything that is wrong with the sources, some of which may be replaced. */
export function faultsIn(replaced: Replaced = new Map()): string[] {
  const uses = new Map(luaFiles().map((file): [string, Uses] => [file, new Map()]));
  const faults: string[] = [];
  for (const entry of ENTRIES) {
    const lines = linesOf(entry, replaced);
    const text = namesOf(lines.map((line) => line.text).join("\n"));
    for (const { token, declaration } of text.uses) {
      const file = fileAt(lines, token.line);
      if (declaration !== null) note(uses.get(file), file, fileAt(lines, declaration.token.line), token.text);
      else if (!GLOBALS.has(token.text)) faults.push(`${file}: ${token.text} is declared nowhere`);
    }
    faults.push(...text.functions.flatMap((each) => functionFaults(each, lines)));
  }
  for (const [file, own] of uses) faults.push(...fileFaults(file, textOf(file, replaced), own));
  return [...new Set(faults)];
}

function note(uses: Uses | undefined, file: string, from: string, name: string): void {
  if (uses === undefined || file === from || from === STANDARD || from === WIRE) return;
  uses.set(from, (uses.get(from) ?? new Set()).add(name));
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
  const isOwn =
    parent !== null && file !== KERNEL && lines.slice(firstLine, lastLine).every((line) => line.file === file);
  if (isOwn && length > MOST_FUNCTION_LINES) {
    faults.push(`${file}: ${name} has ${length} lines; a function has at most ${MOST_FUNCTION_LINES}`);
  }
  // Constants are locals in the sources, and numbers in the script.
  const constants = lines.slice(firstLine, lastLine + 1).filter((line) => isConstant(line)).length;
  if (mostLocals - constants > MOST_LOCALS) {
    const what = name === "" ? "the script" : name;
    faults.push(
      `${file}: ${what} has ${mostLocals - constants} locals; Lua allows 200, and our bound is ${MOST_LOCALS}`,
    );
  }
  const count = [...upvalues].filter((each) => !isConstant(lines[each.token.line])).length;
  if (count > MOST_UPVALUES) {
    faults.push(`${file}: ${name} uses ${count} locals from outside; Lua allows 60, and our bound is ${MOST_UPVALUES}`);
  }
  return faults;
}

function isConstant(line: Line | undefined): boolean {
  const isShared = line?.file === WIRE || line?.file === KERNEL;
  return isShared && /^local [A-Z][A-Z0-9_]* = -?\d+$/.test(line.text);
}

function fileFaults(file: string, text: string, uses: Uses): string[] {
  const [head = ""] = /^(?:--.*\n)+/.exec(text) ?? [];
  const faults: string[] = [];
  const lines = text.split("\n").length - 1;
  if (lines > MOST_LINES) faults.push(`it has ${lines} lines; a file has at most ${MOST_LINES}`);
  if (!/^-- (?!Mirrors |Uses )/.test(head)) faults.push("it must begin with a comment that says what it is for");
  const expected = usesLines(uses);
  const [listed = ""] = /^-- Uses .*\n(?:-- {3}.*\n)*/m.exec(head) ?? [];
  if (listed !== expected) faults.push(`its head must ${expected === "" ? "list no uses" : `end with\n${expected}`}`);
  for (const [path, names] of mirrorsIn(head)) faults.push(...mirrorFaults(path, names));
  return faults.map((fault) => `${file}: ${fault}`);
}

/** The end of a head: which names of which files it uses. */
function usesLines(uses: Uses): string {
  const files = [...uses].sort(([one], [other]) => (one < other ? -1 : 1));
  const lists = files.map(([file, names]) => `${file.replace(/\.lua$/, "")}: ${[...names].sort().join(", ")}`);
  if (lists.length === 0) return "";
  const lines = ["-- Uses"];
  for (const word of lists.join("; ").split(" ")) {
    const longer = `${lines.at(-1)} ${word}`;
    if (longer.length > MOST_COLUMNS) lines.push(`--   ${word}`);
    else lines[lines.length - 1] = longer;
  }
  return `${lines.join("\n")}\n`;
}

/** `Mirrors decide: booked, judge; store/batch: decideBatch`, as names by file. */
function mirrorsIn(head: string): [path: string, names: string[]][] {
  const [, text = ""] = /^-- Mirrors (.*\n(?:-- {3}.*\n)*)/m.exec(head) ?? [];
  const lists = text.replace(/\n(--)?/g, " ").split(";");
  return lists.flatMap((list) => {
    const [, path = "", names = ""] = /^\s*(\S+): (.*)$/.exec(list) ?? [];
    return path === "" ? [] : [[path, names.split(",").map((name) => name.trim())]];
  });
}

/** @param path a file of the kernel, or a path in `src` */
function mirrorFaults(path: string, names: readonly string[]): string[] {
  const file = [`src/kernel/${path}.ts`, `src/${path}.ts`].find((each) => existsSync(join(ROOT, each)));
  const text = file === undefined ? "" : readFileSync(join(ROOT, file), "utf8");
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
