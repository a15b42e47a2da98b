// Every example in the documentation runs as it stands and prints what its comments say, also the second time.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { globSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { dirname, join } from "node:path";
import { after, describe, it } from "node:test";
import { anyRedis } from "./servers.ts";
import { ROOT, sources } from "./sources.ts";

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
mkdirSync(join(folder, "node_modules"), { recursive: true });
writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
rmSync(join(folder, "node_modules", "tollgate"), { force: true });
symlinkSync(dirname(join(ROOT, "package.json")), join(folder, "node_modules", "tollgate"));
after(() => rmSync(folder, { recursive: true, force: true }));

const usesRedis = (code: string) => code.includes("process.env.REDIS_URL");

interface Printed {
  readonly status: number | null;
  readonly lines: readonly string[];
  readonly stderr: string;
}

function runExample(own: string): Printed {
  const args = ["--conditions=tollgate-source", "--no-warnings", "example.js"];
  // Examples of tests report for themselves.
  const { NODE_TEST_CONTEXT: _, ...inherited } = process.env;
  const env = { ...inherited, REDIS_URL: server.url };
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: own, encoding: "utf8", env });
  return { status, stderr, lines: stdout === "" ? [] : stdout.trimEnd().split("\n") };
}

function assertPrints(own: string, code: string, when: string): void {
  const expected = expectedOutput(code);
  const isRight = ({ status, lines }: Printed) => status === 0 && lines.join("\n") === expected.join("\n");
  let printed = runExample(own);
  // On a busy machine a call may miss its deadline at Redis, and is then decided without it.
  for (let tries = 1; usesRedis(code) && !isRight(printed) && tries < 3; tries++) printed = runExample(own);
  assert.equal(printed.status, 0, `${when}: ${printed.stderr}`);
  // An example for the test runner prints only the runner's report.
  if (expected.length > 0) assert.deepEqual(printed.lines, expected, when);
}

describe("examples", () => {
  for (const [i, { where, code }] of [...inSources, ...inPages].entries()) {
    it(where, () => {
      assert.match(code, /^import /, "an example begins at its imports");
      const own = join(folder, String(i));
      mkdirSync(own);
      // Under node_modules Node strips no types by itself.
      writeFileSync(join(own, "example.js"), stripTypeScriptTypes(code));
      const left = () => readdirSync(own).length > 1 || usesRedis(code);
      assertPrints(own, code, "the first time");
      // An example that leaves neither a file nor a key behind cannot print anything else the second time.
      if (left()) assertPrints(own, code, "the second time, in the same folder and on the same server");
    });
  }

  it("compile", () => {
    const own = join(folder, "compiled");
    mkdirSync(own);
    for (const [i, { where, code }] of [...inSources, ...inPages].entries()) {
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
    const named = stdout.replace(
      /\S*example-(\d+)\.ts/g,
      (_file, i) => [...inSources, ...inPages][Number(i)]?.where ?? i,
    );
    assert.equal(status, 0, named);
  });

  it("exist", () => {
    assert.ok(inSources.length >= 7 && inPages.length >= 1);
  });
});
