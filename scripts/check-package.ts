// Packs the package as it would be published, checks it with publint and attw, installs it into an empty project on
// each Node that it supports, imports every subpath there, decides a call and runs the command.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const NODES = ["22.13.0", "22", "24", "26"];
const root = fileURLToPath(new URL("../", import.meta.url));
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const folder = mkdtempSync(join(tmpdir(), "tollgate-package-"));

/** Runs a program, and ends everything when it fails. Its output is shown only then. */
function run(cwd: string, command: string, ...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: "utf8" });
  if (status === 0) return stdout;
  console.error(`${command} ${args.join(" ")} failed\n${error ?? ""}${stdout}${stderr}`);
  rmSync(folder, { recursive: true, force: true });
  process.exit(1);
}

/** What cannot do without its framework, which a project has or does not use it. */
const NEED_A_FRAMEWORK = ["./adapters/langchain", "./otel"];
/** What a user who installs only Tollgate should not get. Hono is there: the service is made with it. */
const FRAMEWORKS = ["ai", "langchain", "@langchain", "@openai", "@modelcontextprotocol", "express", "fastify", "@grpc"];

const all = Object.keys(manifest.exports).filter((subpath) => !subpath.endsWith(".json"));
const subpaths = all.filter((subpath) => !NEED_A_FRAMEWORK.includes(subpath));
const program = `
${subpaths.map((subpath, i) => `import * as m${i} from "${subpath.replace(".", "tollgate")}";`).join("\n")}
import schema from "tollgate/policy.schema.json" with { type: "json" };
for (const names of [${subpaths.map((_, i) => `m${i}`).join(", ")}]) if (Object.keys(names).length === 0) throw new Error("nothing");
if (schema.properties.limits === undefined) throw new Error("no schema");
const { createLimiter } = m0;
const { sqliteStore } = m${subpaths.indexOf("./stores/sqlite")};
const policy = { version: 1, limits: [{ name: "a", per: ["session"], quota: 1 }] };
const limiter = createLimiter({ policy, store: sqliteStore("check.db") });
const answers = [await limiter.consume({ tool: "x", session: "s" }), await limiter.consume({ tool: "x", session: "s" })];
await limiter.close();
if (answers[0].allowed !== true || answers[1].allowed !== false) throw new Error("wrong decisions");
console.log(process.version);
`;

/** What a project that builds declaration files writes: they can name each type that they need. */
const typed = `
import { createLimiter, definePolicy, type Limiter } from "tollgate";
import { parsePolicy } from "tollgate/policy";
import { memoryStore } from "tollgate/stores/memory";
const input = { version: 1, limits: [{ name: "a", per: ["session", "workspace"], quota: 5 }] } as const;
export const policy = definePolicy(input);
export const inline = createLimiter({ policy: input, store: memoryStore() }).for({ workspace: "w" });
export const fromText = createLimiter({ policy: parsePolicy(""), store: memoryStore() }).for({ workspace: "w" });
export class Service {
  constructor(readonly limiter: Limiter<typeof policy>) {}
  of = (workspace: string) => this.limiter.for({ workspace });
}
export const calls = [inline.consume({ tool: "x", session: "s" }), fromText.consume({ tool: "x", region: "eu" })];
`;
const compilerOptions = {
  strict: true,
  declaration: true,
  module: "nodenext",
  target: "es2022",
  outDir: "built",
  types: [],
};

const [packed] = JSON.parse(run(root, process.execPath, "scripts/pack.js", "--json", "--pack-destination", folder));
const tarball = join(folder, packed.filename);
const published = run(folder, "tar", "-xzOf", tarball, "package/package.json");
if (published.includes("./src/")) throw new Error("the published manifest names sources, which the package has not");
console.log(`${packed.filename}: ${packed.files.length} files, ${packed.size} bytes`);
run(root, join(root, "node_modules/.bin/publint"), tarball, "--strict");
run(root, join(root, "node_modules/.bin/attw"), tarball, "--profile", "esm-only");

for (const version of NODES) {
  const project = join(folder, version);
  mkdirSync(project);
  writeFileSync(join(project, "package.json"), JSON.stringify({ type: "module", allowScripts: { node: true } }));
  run(project, "npm", "install", "--no-audit", "--no-fund", tarball, `node@${version}`);
  const uninvited = FRAMEWORKS.filter((name) => existsSync(join(project, "node_modules", name)));
  if (uninvited.length > 0) throw new Error(`the package brings ${uninvited.join(", ")}`);
  writeFileSync(join(project, "check.js"), program);
  const node = join(project, "node_modules", ".bin", "node");
  const printed = run(project, node, "check.js").trim();
  const cli = run(project, node, "node_modules/tollgate/bin/tollgate.js", "--version").trim();
  if (cli !== manifest.version) throw new Error(`the command says ${cli}`);
  writeFileSync(join(project, "typed.ts"), typed);
  writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["typed.ts"] }));
  run(project, join(root, "node_modules/.bin/tsc"), "-p", ".");
  console.log(`Node ${printed}: ${subpaths.length} subpaths, a decision and the command`);
}
rmSync(folder, { recursive: true, force: true });
