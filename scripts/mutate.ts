// Mutation testing: changes one comparison or one 1 at a time in a copy of the tree, and expects a unit test to fail.
// It knows where operators stand (the formatter puts spaces around them) and which mutants are proven to change nothing
// (mutate-equivalents.json); it does not know what the code means.
//
//     node scripts/mutate.ts [file ...]      default: the kernel, and its mirror in Lua

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { cpSync, globSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { extname, join, resolve } from "node:path";

const COPIED = ["bin", "src", "test", "scripts", "package.json", "tsconfig.json"];
const SOURCES = ["src/kernel/**/*.ts", "src/stores/redis/**/*.lua"];
const EQUIVALENTS = "scripts/mutate-equivalents.json";
/** A test run takes 3 s, or 30 for Lua; a mutant that never ends is killed by this. */
const TIMEOUT_MS = 120_000;

interface Language {
  /** What is no code, where it begins: a comment, a string, a regular expression. */
  readonly text: RegExp;
  /** What is changed, and into what. */
  readonly operators: readonly (readonly [operator: RegExp, ...replacements: string[]])[];
  /** What has to fail. */
  readonly tests: string;
  /** Node's arguments and environment for them. */
  readonly flags: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** What has to run after a source was changed. */
  readonly prepare?: string;
}

const LANGUAGES: Record<string, Language> = {
  ".ts": {
    text: anyOf(
      /\/\/.*/,
      /\/\*[\s\S]*?\*\//,
      /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/,
      // A slash begins a regular expression where no operand stands before it.
      /(?<=[(,=:[!&|?{};>]\s*)\/(?:[^\\[/]|\\.|\[(?:[^\\\]]|\\.)*\])+\//,
    ),
    operators: [
      [binary("<"), "<=", ">="],
      [binary("<="), "<", ">"],
      [binary(">"), ">=", "<="],
      [binary(">="), ">", "<"],
      [binary("==="), "!=="],
      [binary("!=="), "==="],
      [/(?<=\S )\+ 1(?![\w.])/g, "- 1", "+ 0"],
      [/(?<=\S )- 1(?![\w.])/g, "+ 1", "- 0"],
      [/Math\.max(?=\()/g, "Math.min"],
      [/Math\.min(?=\()/g, "Math.max"],
      [/Math\.ceil(?=\()/g, "Math.floor"],
      [/Math\.floor(?=\()/g, "Math.ceil"],
    ],
    tests: "src/kernel/**/*.test.ts",
    flags: [],
    env: {},
  },
  ".lua": {
    text: anyOf(/--.*/, /"(?:[^"\\]|\\.)*"/),
    operators: [
      [binary("<"), "<=", ">="],
      [binary("<="), "<", ">"],
      [binary(">"), ">=", "<="],
      [binary(">="), ">", "<"],
      [binary("=="), "~="],
      [binary("~="), "=="],
      [/(?<=\S )\+ 1(?![\w.])/g, "- 1", "+ 0"],
      [/(?<=\S )- 1(?![\w.])/g, "+ 1", "- 0"],
      [/\bmax(?=\()/g, "min"],
      [/\bmin(?=\()/g, "max"],
      [/\bceil(?=\()/g, "floor"],
      [/\bfloor(?=\()/g, "ceil"],
    ],
    tests: "test/{stores/redis,stores/redis-holds,stores/redis-mirror,properties/stores-agree}.test.ts",
    flags: [
      "--conditions=tollgate-source",
      "--test-name-pattern=redis by ioredis|redis and the kernel|Redis store|mirrors the kernel|kept answer|without an expiry",
    ],
    env: { TOLLGATE_SCHEDULES: "1500" },
    prepare: "scripts/lua.ts",
  },
};

function anyOf(...patterns: RegExp[]): RegExp {
  return new RegExp(patterns.map(({ source }) => source).join("|"), "y");
}

/** An operator between two operands; at the end of a line also, never at the beginning of one. */
function binary(operator: string): RegExp {
  return new RegExp(`(?<=\\S )${operator}(?=\\s)`, "g");
}

interface Mutant {
  readonly file: string;
  readonly lineNumber: number;
  /** The source line, trimmed. */
  readonly line: string;
  /** `< → <=`; with ` #2` where the file has the same operator in an equal line, or in this one, before. */
  readonly mutation: string;
  readonly source: string;
}

interface Equivalent {
  readonly file: string;
  readonly line: string;
  readonly mutation: string;
  readonly proof: string;
}

/** The source with all that is no code made into underscores, so that every place stays where it is. */
function codeOf(source: string, { text }: Language): string {
  let code = "";
  const open: string[] = []; // what each closing brace will close: a block, or a template's expression
  const skip = (pattern: RegExp) => {
    pattern.lastIndex = code.length;
    const found = pattern.exec(source)?.[0] ?? "";
    code += found.replace(/[^\n]/g, "_");
    return found;
  };
  while (code.length < source.length) {
    if (skip(text) !== "") continue;
    const character = source[code.length] ?? "";
    code += character;
    if (character === "{") open.push("block");
    if (character !== "`" && (character !== "}" || open.pop() !== "template")) continue;
    if (skip(/(?:[^`\\$]|\\.|\$(?!\{))*(?:`|\$\{)/sy).endsWith("{")) open.push("template");
  }
  return code;
}

function mutantsOf(file: string, source: string): Mutant[] {
  const language = languageOf(file);
  const code = codeOf(source, language);
  const mutants: Mutant[] = [];
  for (const [operator, ...replacements] of language.operators) {
    const seen = new Map<string, number>();
    for (const { 0: found, index } of code.matchAll(operator)) {
      const before = source.slice(0, index);
      const lineNumber = before.split("\n").length;
      const line = source.split("\n")[lineNumber - 1]?.trim() ?? "";
      const nth = (seen.get(line) ?? 0) + 1;
      seen.set(line, nth);
      for (const replacement of replacements) {
        const mutation = `${found} → ${replacement}${nth === 1 ? "" : ` #${nth}`}`;
        const after = source.slice(index + found.length);
        mutants.push({ file, lineNumber, line, mutation, source: before + replacement + after });
      }
    }
  }
  return mutants.sort((a, b) => a.lineNumber - b.lineNumber);
}

/** Whether the tests pass; as soon as one fails the rest is not run. */
function testsPass(tree: string, { flags, env }: Language, tests: readonly string[]): Promise<boolean> {
  const all = ["--max-old-space-size=512", "--test", "--test-isolation=none", "--test-reporter=tap", ...flags];
  const child: ChildProcess = spawn(process.execPath, [...all, ...tests], {
    cwd: tree,
    env: { ...process.env, ...env, NODE_COMPILE_CACHE: join(tree, ".cache") },
    stdio: ["ignore", "pipe", "ignore"],
    // A group of its own, so that the servers which the tests start end with them.
    detached: true,
  });
  const isRunning = () => child.exitCode === null && child.signalCode === null;
  const end = () => child.pid !== undefined && isRunning() && process.kill(-child.pid, "SIGKILL");
  const timer = setTimeout(end, TIMEOUT_MS);
  let output = "";
  child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
    output += chunk;
    if (/^\s*not ok/m.test(output)) end();
  });
  return new Promise((done, fail) =>
    child
      .on("error", fail)
      .on("exit", () => clearTimeout(timer))
      .on("close", (code) => done(code === 0)),
  );
}

function copyTree(): string {
  const tree = mkdtempSync(join(tmpdir(), "tollgate-mutate-"));
  for (const path of COPIED) cpSync(path, join(tree, path), { recursive: true });
  symlinkSync(resolve("node_modules"), join(tree, "node_modules"));
  return tree;
}

/** The tests beside a file come first: most mutants die there. */
async function survives({ file, source }: Mutant, tree: string): Promise<boolean> {
  const language = languageOf(file);
  const tests = globSync(language.tests, { cwd: tree }).sort();
  const original = readFileSync(join(tree, file), "utf8");
  write(tree, file, source, language);
  try {
    const stem = file.slice(0, -extname(file).length);
    const beside = tests.filter((test) => test.startsWith(`${stem}.`));
    if (beside.length > 0 && !(await testsPass(tree, language, beside))) return false;
    return await testsPass(
      tree,
      language,
      tests.filter((test) => !beside.includes(test)),
    );
  } finally {
    write(tree, file, original, language);
  }
}

function write(tree: string, file: string, source: string, { prepare }: Language): void {
  writeFileSync(join(tree, file), source);
  if (prepare !== undefined) execFileSync(process.execPath, [prepare], { cwd: tree });
}

function languageOf(file: string): Language {
  const language = LANGUAGES[extname(file)];
  if (language === undefined) throw new Error(`${file}: no operators are known for such files`);
  return language;
}

async function mutate(trees: readonly string[], files: readonly string[]): Promise<boolean> {
  const [tree = ""] = trees;
  for (const language of new Set(files.map(languageOf))) {
    const tests = globSync(language.tests, { cwd: tree }).sort();
    if (!(await testsPass(tree, language, tests))) throw new Error("the tests fail before anything was changed");
  }
  const mutants = files.flatMap((file) => mutantsOf(file, readFileSync(join(tree, file), "utf8")));
  const equivalents: readonly Equivalent[] = JSON.parse(readFileSync(EQUIVALENTS, "utf8"));
  const unmatched = new Set(equivalents.filter(({ file }) => files.includes(file)));
  const waiting = mutants.values();
  let equivalent = 0;
  let survived = 0;
  await Promise.all(
    trees.map(async (tree) => {
      for (const mutant of waiting) {
        if (!(await survives(mutant, tree))) continue;
        const { file, lineNumber, line, mutation } = mutant;
        const known = equivalents.find((it) => it.file === file && it.line === line && it.mutation === mutation);
        if (known === undefined) survived++;
        else equivalent++;
        if (known !== undefined) unmatched.delete(known);
        console.log(`${file}:${lineNumber}: ${mutation}\n    ${line}\n    ${known?.proof ?? "SURVIVED"}`);
      }
    }),
  );
  for (const { file, line, mutation } of unmatched) {
    console.log(`${EQUIVALENTS}: no survivor is\n    ${file}: ${mutation}\n    ${line}`);
  }
  const killed = mutants.length - equivalent - survived;
  console.log(`${mutants.length} mutants, ${killed} killed, ${equivalent} equivalent, ${survived} survived`);
  return survived === 0 && unmatched.size === 0;
}

process.chdir(join(import.meta.dirname, ".."));
const trees = Array.from({ length: availableParallelism() }, copyTree);
try {
  const named = process.argv.slice(2);
  const files =
    named.length > 0
      ? named
      : globSync(SOURCES)
          .filter((file) => !/\.(test|gen)\./.test(file))
          .sort();
  process.exitCode = (await mutate(trees, files)) ? 0 : 1;
} finally {
  for (const tree of trees) rmSync(tree, { recursive: true, force: true });
}
