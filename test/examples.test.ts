// Every example in the documentation runs as it stands and prints what its comments say, also the second time.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { globSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { dirname, join } from "node:path";
import { after, describe, it } from "node:test";
import { BEGINS, FAILED } from "./examples-process.ts";
import { isWide } from "./length.ts";
import { anyRedis } from "./servers.ts";
import { LOADER, ROOT, sources } from "./sources.ts";

const server = await anyRedis();

interface Example {
  readonly where: string;
  readonly code: string;
}

const inSources = sources("src/**/*.ts").flatMap(({ path, text }): Example[] =>
  [...text.matchAll(/@example\n \* ```ts\n([\s\S]*?)\n \* ```/g)].map(([, block = ""], i) => ({
    where: `${path} example ${i + 1}`,
    code: block.replace(/^ \* ?/gm, ""),
  })),
);
const inPages = globSync(["*.md", "docs/**/*.md"], { cwd: ROOT }).flatMap((path): Example[] =>
  [...readFileSync(ROOT + path, "utf8").matchAll(/```ts\n([\s\S]*?)\n```/g)].map(([, code = ""], i) => ({
    where: `${path} example ${i + 1}`,
    code,
  })),
);

/** The lines that the comments behind `console.log` calls promise. */
function expectedOutput(code: string): string[] {
  return [...code.matchAll(/console\.log\([^\n]*\)[;,] \/\/ (.*)$/gm)].map(([, text = ""]) => text);
}

// Inside the repository, so that its packages are found, and as a package that has Tollgate installed.
const folder = join(ROOT, "node_modules", ".tollgate-examples");
// A run that was killed has left it.
rmSync(folder, { recursive: true, force: true });
mkdirSync(join(folder, "node_modules"), { recursive: true });
writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
symlinkSync(dirname(join(ROOT, "package.json")), join(folder, "node_modules", "tollgate"));
after(() => rmSync(folder, { recursive: true, force: true }));

const usesRedis = (code: string) => code.includes("process.env.REDIS_URL");

interface Printed {
  readonly status: number | null;
  readonly lines: readonly string[];
  readonly stderr: string;
}

function run(cwd: string, ...args: string[]): Printed {
  // Examples of tests report for themselves.
  const { NODE_TEST_CONTEXT: _, ...inherited } = process.env;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["--conditions=tollgate-source", LOADER, "--no-warnings", ...args],
    { cwd, encoding: "utf8", env: { ...inherited, REDIS_URL: server.url }, timeout: 120_000 },
  );
  return { status, stderr, lines: stdout === "" ? [] : stdout.trimEnd().split("\n") };
}

/** Examples that use only their own folder share a process, and with it the modules that are loaded; but not in wide runs. */
const sharesProcess = (code: string) => !isWide && !/node:test|process\./.test(code);

function runTogether(folders: readonly string[]): Map<string, Printed> {
  const { stderr, lines } = run(folder, join(ROOT, "test/examples-process.ts"), ...folders);
  const printed = new Map<string, Printed>();
  let own: string[] = [];
  for (const line of lines) {
    if (line.startsWith(BEGINS)) {
      own = [];
      printed.set(line.slice(BEGINS.length), { status: 0, stderr, lines: own });
    } else own.push(line);
  }
  return printed;
}

function assertPrints(own: string, code: string, when: string, together: Map<string, Printed>): void {
  const expected = expectedOutput(code);
  const isRight = ({ status, lines }: Printed) => status === 0 && lines.join("\n") === expected.join("\n");
  const first = sharesProcess(code) ? together.get(own) : run(own, "example.js");
  assert.ok(first !== undefined, `${when}: it did not run, because an example before it did not end`);
  let printed = first;
  // On a busy machine a call may miss its deadline at Redis, and is then decided without it. A window may end between two calls.
  const mayDiffer = usesRedis(code) || code.includes("window:");
  for (let tries = 1; mayDiffer && !isRight(printed) && tries < 3; tries++) printed = run(own, "example.js");
  assert.notEqual(printed.lines.at(-1), FAILED, `${when}: ${printed.stderr}`);
  assert.equal(printed.status, 0, `${when}: ${printed.stderr}`);
  // An example for the test runner prints only the runner's report.
  if (expected.length > 0) assert.deepEqual(printed.lines, expected, when);
}

const examples = [...inSources, ...inPages].map((example, i) => ({ ...example, own: join(folder, String(i)) }));
for (const { own, code } of examples) {
  mkdirSync(own);
  // Under node_modules Node strips no types by itself.
  writeFileSync(join(own, "example.js"), stripTypeScriptTypes(code));
}
const shared = examples.filter(({ code }) => sharesProcess(code)).map(({ own }) => own);
const left = (own: string) => readdirSync(own).length > 1;
const firstTime = runTogether(shared);
const secondTime = runTogether(shared.filter(left));

describe("examples", () => {
  for (const { where, code, own } of examples) {
    it(where, () => {
      assert.match(code, /^import /, "an example begins at its imports");
      assertPrints(own, code, "the first time", firstTime);
      // An example that leaves neither a file nor a key behind cannot print anything else the second time.
      if (left(own) || usesRedis(code))
        assertPrints(own, code, "the second time, in the same folder and on the same server", secondTime);
    });
  }

  it("compile", () => {
    const own = join(folder, "compiled");
    mkdirSync(own);
    for (const [i, { where, code }] of examples.entries()) {
      writeFileSync(join(own, `example-${i}.ts`), `// ${where}\n${code}\nexport {};\n`);
    }
    const extended = join(ROOT, "tsconfig.json");
    const compilerOptions = { noUnusedLocals: false, noUnusedParameters: false };
    writeFileSync(
      join(own, "tsconfig.json"),
      JSON.stringify({ extends: extended, compilerOptions, include: ["*.ts"], exclude: [] }),
    );
    const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
    const { status, stdout } = spawnSync(tsc, ["-p", own], { cwd: ROOT, encoding: "utf8" });
    const named = stdout.replace(/\S*example-(\d+)\.ts/g, (_file, i) => examples[Number(i)]?.where ?? i);
    assert.equal(status, 0, named);
  });

  it("exist", () => {
    assert.ok(inSources.length >= 7 && inPages.length >= 1);
  });
});
