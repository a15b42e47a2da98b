// Packs the package as it would be published, checks it with publint and attw, installs it into an empty project on each
// runtime that it supports, and runs there what users run.

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { declarationsOf } from "./declarations.ts";
import { LICENSES } from "./licenses.ts";
import { cases, conformance, everySubpath, IMPORTED, service, typed } from "./programs.ts";
import { MANIFEST, ROOT } from "./subpaths.ts";
import { checkInWorkerd } from "./workerd.ts";

interface Runtime {
  readonly name: string;
  /** The npm package with its version. */
  readonly runtime: string;
  /** Runs a file. */
  readonly command: readonly string[];
  readonly isNode: boolean;
}

const node = (version: string): Runtime => {
  return { name: `Node ${version}`, runtime: `node@${version}`, command: ["node"], isNode: true };
};
const RUNTIMES: readonly Runtime[] = [
  ...["22.13.0", "22", "24", "26"].map(node),
  { name: "Bun", runtime: "bun@1.4.5", command: ["bun"], isNode: false },
  { name: "Deno", runtime: "deno@2.9.6", command: ["deno", "run", "--allow-all"], isNode: false },
];
const compilerOptions = {
  strict: true,
  declaration: true,
  module: "nodenext",
  target: "es2022",
  outDir: "built",
  types: [],
};

process.chdir(ROOT);
const folder = mkdtempSync(join(tmpdir(), "tollgate-package-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

/** Runs a program, and ends everything when it fails. Its output is shown only then. */
function run(cwd: string, command: string, ...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: "utf8", timeout: 300_000 });
  if (status === 0) return stdout;
  console.error(`${command} ${args.join(" ")} failed\n${error ?? ""}${stdout}${stderr}`);
  process.exit(1);
}

const tool = (name: string) => join(ROOT, "node_modules/.bin", name);

/** A dependency stays when declarations name its types: the code of all others is in dist/. */
function checkDependencies(): void {
  const named = [...declarationsOf().packages.keys()].filter((name) => !(name in MANIFEST.peerDependencies)).sort();
  const dependencies = Object.keys(MANIFEST.dependencies ?? {}).sort();
  if (String(named) === String(dependencies)) return;
  throw new Error(`the declarations name the packages [${named}], and the dependencies are [${dependencies}]`);
}

function pack(): string {
  const json = run(ROOT, process.execPath, "scripts/package/pack.js", "--json", "--pack-destination", folder);
  const [packed] = JSON.parse(json);
  const tarball = join(folder, packed.filename);
  if (!packed.files.some(({ path }: { readonly path: string }) => path === LICENSES)) throw new Error(`no ${LICENSES}`);
  const published = run(folder, "tar", "-xzOf", tarball, "package/package.json");
  if (published.includes("./src/")) throw new Error("the published manifest names sources, which the package has not");
  console.log(`${packed.filename}: ${packed.files.length} files, ${packed.size} bytes`);
  run(ROOT, tool("publint"), tarball, "--strict");
  run(ROOT, tool("attw"), tarball, "--profile", "esm-only");
  return tarball;
}

/** A project that has installed the package and a runtime. */
function projectFor({ name, runtime }: Runtime, tarball: string): string {
  const project = join(folder, name.replace(" ", "-"));
  mkdirSync(project);
  writeFileSync(join(project, "package.json"), JSON.stringify({ type: "module", allowScripts: { node: true } }));
  run(project, "npm", "install", "--no-audit", "--no-fund", tarball, runtime);
  const files = { "check.js": everySubpath, "service.js": service, "conformance.js": conformance, "cases.js": cases };
  for (const [file, text] of Object.entries(files)) writeFileSync(join(project, file), text);
  return project;
}

/** The package brings its dependencies, and nothing else. */
function checkInstalled(project: string): void {
  const isOf = (name: string) => /^(\.|@?(node|bun|oven|deno)\b)/.test(name);
  const installed = readdirSync(join(project, "node_modules")).filter((name) => !isOf(name));
  const expected = ["tollgate", ...Object.keys(MANIFEST.dependencies ?? {})].sort();
  if (String(installed.sort()) !== String(expected))
    throw new Error(`installed [${installed}], expected [${expected}]`);
}

function checkRuntime(runtime: Runtime, project: string): void {
  const [command = "", ...args] = runtime.command;
  const program = join(project, "node_modules", ".bin", command);
  const runFile = (...file: string[]) => run(project, program, ...args, ...file).trim();
  const kept = `${runFile("cases.js")} cases on the memory store`;
  if (!runtime.isNode) {
    console.log(`${runtime.name}: ${kept}`);
    return;
  }
  runFile("check.js");
  runFile("service.js");
  const version = runFile("node_modules/tollgate/bin/tollgate.js", "--version");
  if (version !== MANIFEST.version) throw new Error(`the command says ${version}`);
  const shown = [`${IMPORTED} subpaths`, "a decision", "the command", "the service", kept];
  console.log(`${runtime.name}: ${shown.join(", ")}`);
}

function checkTypes(project: string): void {
  writeFileSync(join(project, "typed.ts"), typed);
  writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["typed.ts"] }));
  run(project, tool("tsc"), "-p", ".");
}

/** The logs of the simulator, on a version of Node that reads TypeScript as it is. */
function logsOn(project: string): string {
  const args = ["--conditions=tollgate-source", "test/simulation/main.ts", "--seed", "package", "--schedules", "40"];
  const printed = run(ROOT, join(project, "node_modules", ".bin", "node"), ...args, "--digest");
  return /^logs: \w+$/m.exec(printed)?.[0] ?? `no logs in ${printed}`;
}

checkDependencies();
const logs = new Map<string, string>();
const tarball = pack();
for (const runtime of RUNTIMES) {
  const project = projectFor(runtime, tarball);
  checkInstalled(project);
  checkRuntime(runtime, project);
  if (runtime.isNode && runtime !== RUNTIMES[0]) logs.set(runtime.name, logsOn(project));
  if (runtime !== RUNTIMES[0]) continue;
  checkTypes(project);
  console.log(`workerd: ${await checkInWorkerd(project)} cases on the memory store`);
}
const listed = [...logs].map(([name, text]) => `${name}: ${text}`).join("\n");
if (new Set(logs.values()).size > 1) throw new Error(`the simulator's logs differ:\n${listed}`);
console.log(`The simulator's logs are the same on ${[...logs.keys()].join(", ")}`);
