// Every example in the documentation runs as it stands, and prints what its comments say.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { globSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
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

/** What the comments behind `console.log` calls say is printed. */
function expectedOutput(code: string): string[] {
  return [...code.matchAll(/console\.log\(.*\); \/\/ (.*)$/gm)].map(([, text = ""]) => text);
}

// Inside the repository, so that its packages are found, and as a package that has Tollgate installed.
const folder = join(ROOT, "node_modules", ".tollgate-examples");
mkdirSync(join(folder, "node_modules"), { recursive: true });
writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
rmSync(join(folder, "node_modules", "tollgate"), { force: true });
symlinkSync(dirname(join(ROOT, "package.json")), join(folder, "node_modules", "tollgate"));
after(() => rmSync(folder, { recursive: true, force: true }));

describe("examples", () => {
  for (const [i, { where, code }] of [...inSources, ...inPages].entries()) {
    it(where, () => {
      assert.match(code, /^import /, "an example begins at its imports");
      const own = join(folder, String(i));
      mkdirSync(own);
      // Under node_modules Node strips no types by itself.
      writeFileSync(join(own, "example.js"), stripTypeScriptTypes(code));
      const args = ["--conditions=tollgate-source", "--no-warnings", "example.js"];
      const env = { ...process.env, REDIS_URL: server.url };
      const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: own, encoding: "utf8", env });
      assert.equal(status, 0, stderr);
      const lines = stdout.trim().split("\n");
      for (const [line, expected] of expectedOutput(code).entries()) {
        assert.ok(expected.startsWith(lines[line] ?? "(nothing)"), `printed ${lines[line]}, but says ${expected}`);
      }
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

  it("are there at all", () => {
    assert.ok(inSources.length >= 7 && inPages.length >= 1);
  });
});
