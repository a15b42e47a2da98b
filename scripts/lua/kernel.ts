// The compiled kernel as one piece of Lua for the script: modules become blocks, and what they export locals around them.

import { dirname, join } from "node:path";
import { compiledModules, ENTRIES, type LuaModule } from "./compile.ts";

/** Lua's functions for those of the kernel's lua.ts that only have another name there. */
const SEAM_NAMES = { codeAt: "byte", numberOf: "tonumber", partOf: "sub" };
/** The names that standard.lua gives to functions of Lua. */
const STANDARD_NAMES = {
  "math.huge": "INFINITY",
  "math.ceil": "ceil",
  "math.floor": "floor",
  "math.max": "max",
  "math.min": "min",
};

let made: string | undefined;

/** The Lua of the compiled kernel. */
export function kernelLua(): string {
  made ??= linked(inOrder(compiledModules()));
  return made;
}

/** Modules behind those that they require. */
function inOrder(modules: readonly LuaModule[]): readonly LuaModule[] {
  const byFile = new Map(modules.map((module) => [module.file, module]));
  const ordered = new Set<LuaModule>();
  const visit = (module: LuaModule): void => {
    if (ordered.has(module)) return;
    for (const [, path = ""] of module.text.matchAll(/require\("([^"]+)"\)/g)) {
      const required = byFile.get(join(dirname(module.file), path));
      if (required !== undefined) visit(required);
    }
    ordered.add(module);
  };
  for (const module of modules) visit(module);
  return [...ordered];
}

function linked(modules: readonly LuaModule[]): string {
  for (const { file, text } of modules) {
    if (text.includes("lualib")) throw new Error(`${file} needs the runtime library of TypeScriptToLua`);
  }
  const exported = modules.map(({ text }) => [
    ...new Set(Array.from(text.matchAll(/____exports\.(\w+)/g), ([, name]) => name as string)),
  ]);
  const all = exported.flat();
  const repeated = all.filter((name, i) => all.indexOf(name) !== i);
  if (repeated.length > 0) throw new Error(`the compiled kernel exports ${repeated.join(", ")} twice`);
  const texts = withoutUnused(modules.map(({ text }) => inlined(withoutModules(text))));
  const whole = texts.join("\n");
  const outside = new Set<string>(Object.values(ENTRIES).flat());
  const constants = new Map<string, string>();
  const blocks = texts.map((text, i) => {
    const own = (exported[i] as string[]).filter((name) => new RegExp(`^(function )?${name}\\b`, "m").test(text));
    const shared = own.filter((name) => outside.has(name) || uses(whole, name) > uses(text, name));
    const rest = withoutConstants(text, constants);
    const isLeft = (name: string) => new RegExp(`^(function )?${name}\\b`, "m").test(rest);
    const locals = (names: readonly string[]) => (names.length === 0 ? "" : `local ${names.join(", ")}\n`);
    const inside = own.filter((name) => !shared.includes(name) && isLeft(name));
    return `${locals(shared.filter(isLeft))}do\n${locals(inside)}${rest}\nend\n`;
  });
  return [...Array.from(constants, ([name, number]) => `local ${name} = ${number}\n`), ...blocks].join("");
}

/** A module without its constants that are numbers, which are for all modules: minified, numbers stand in their places. */
function withoutConstants(text: string, constants: Map<string, string>): string {
  const own = new Set<string>();
  const rest = text.replace(/^(?:local )?([A-Z][A-Z0-9_]*) = ([0-9^ -]+)$/gm, (_, name: string, value: string) => {
    const number = numberIn(value);
    if ((constants.get(name) ?? number) !== number) throw new Error(`the compiled kernel has two constants ${name}`);
    constants.set(name, number);
    own.add(name);
    return "";
  });
  return rest.replace(/^local ((?:\w+, )*\w+)\n/gm, (_, list: string) => {
    const others = list.split(", ").filter((name) => !own.has(name));
    return others.length === 0 ? "" : `local ${others.join(", ")}\n`;
  });
}

const uses = (text: string, name: string) => text.match(new RegExp(`\\b${name}\\b`, "g"))?.length ?? 0;

/** A number that TypeScript writes as a power: `2 ^ 53 - 1`. */
function numberIn(value: string): string {
  const [, base, exponent, less = "0"] = /^(\d+)(?: \^ (\d+))?(?: - (\d+))?$/.exec(value) ?? [];
  if (base === undefined) throw new Error(`${value} is no number`);
  return String((exponent === undefined ? Number(base) : Number(base) ** Number(exponent)) - Number(less));
}

/** A module without what makes it one. Nothing is imported under another name, so names stay as they are. */
function withoutModules(text: string): string {
  return text
    .replace(/^ *---?.*\n/gm, "")
    .replace(/^local ____exports = \{\}\n|^return ____exports\n?/gm, "")
    .replace(/^local ____\w+ = require\("[^"]+"\)\n/gm, "")
    .replace(/^local (\w+) = ____\w+_2Ets\.(\w+)\n/gm, (line, name: string, from: string) => {
      if (name !== from) throw new Error(`the compiled kernel imports under another name: ${line}`);
      return "";
    })
    .replace(/____exports\./g, "");
}

/** What is shorter and faster in Lua: destructured names as fields, and functions of the seam in their places. */
function inlined(text: string): string {
  let rest = text.replace(
    /^( *)local (____\w+) = (\w+)\n((?:\1local \w+ = \2\.\w+\n)+)/gm,
    (_, _indent, alias: string, name: string, lines: string) => lines.replaceAll(`${alias}.`, `${name}.`),
  );
  for (const [name, other] of Object.entries(SEAM_NAMES))
    rest = rest.replace(new RegExp(`\\b${name}\\(`, "g"), `${other}(`);
  for (const [name, other] of Object.entries(STANDARD_NAMES)) rest = rest.replaceAll(name, other);
  rest = rest
    .replace(/(?<!function )\brulesOf\(([\w.]+)\)/g, "$1.rules")
    .replace(/\bshortList\(\)/g, "{ nil, nil, nil, nil }")
    .replace(/\bknownText\((\w+)\)/g, "$1.text");
  rest = withCalls(rest, "keepText", (args) => args.replace(/^([\w.]+), /, "$1.text = "));
  return withCalls(rest, "textOf", (argument) => `text_of[${argument}]`);
}

/** The text with something else for each call of a function. */
function withCalls(text: string, name: string, instead: (args: string) => string): string {
  let rest = text;
  for (let at = rest.indexOf(`${name}(`); at >= 0; at = rest.indexOf(`${name}(`, at)) {
    const first = at + name.length + 1;
    let last = first;
    for (let depth = 1; depth > 0; last++) depth += rest[last] === "(" ? 1 : rest[last] === ")" ? -1 : 0;
    rest =
      rest.slice(0, at) +
      instead(
        rest
          .slice(first, last - 1)
          .trim()
          .replace(/\s+/g, " "),
      ) +
      rest.slice(last);
  }
  return rest;
}

/** Modules without functions that only other parts of the project call. */
function withoutUnused(texts: readonly string[]): readonly string[] {
  const outside = new Set<string>(Object.values(ENTRIES).flat());
  for (let rest = texts; ; ) {
    const whole = rest.join("\n");
    const shorter = rest.map((text) =>
      text.replace(/^function (\w+)\([^)]*\)\n(?:(?: .*)?\n)*?end\n/gm, (body, name: string) =>
        outside.has(name) || uses(whole, name) > uses(body, name) ? body : "",
      ),
    );
    if (shorter.join("\n") === whole) return rest;
    rest = shorter;
  }
}
