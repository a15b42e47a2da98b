// What the guides show in other languages than TypeScript runs, and does what they say.

import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, describe, it } from "node:test";
import { promisify } from "node:util";
import { tollgate } from "./e2e/tollgate.ts";
import { served } from "./service/served.ts";
import { LOADER, ROOT } from "./sources.ts";
import { temporaryFolder } from "./temporary.ts";

const run = promisify(execFile);

/** The blocks of one language on a page of the guides. */
function blocks(page: string, language: string): string[] {
  const text = readFileSync(join(ROOT, "docs/guides", page), "utf8");
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)\\n\`\`\`$`, "gm"))].map(
    ([, block = ""]) => block,
  );
}

/** The lines that the comments behind prints promise. */
function expectedLines(code: string, comment: RegExp): string[] {
  return [...code.matchAll(comment)].map(([, text = ""]) => text);
}

const isThere = (program: string) => spawnSync(program, ["--version"]).status === 0;
const skipWithout = (program: string) => ({
  skip: isThere(program) ? false : `there is no ${program} on this machine`,
});

/** Serves the first policy of a page. */
const servedPolicy = (page: string) => served({ policy: blocks(page, "yaml")[0] ?? "" });

describe("the guide for Python", skipWithout("python3"), () => {
  it("prints its documented output, also the second time", async () => {
    const { url } = await servedPolicy("python.md");
    const [client = "", ...rest] = blocks("python.md", "python");
    const folder = temporaryFolder();
    writeFileSync(join(folder, "tollgate.py"), client);
    const program = rest.join("\n\n");
    writeFileSync(join(folder, "agent.py"), program);
    const expected = expectedLines(program, /^ *print\(.*\) {2}# (.*)$/gm);
    assert.equal(expected.length, 5);
    for (const when of ["first", "second"]) {
      const env = { ...process.env, TOLLGATE_URL: url, PYTHONDONTWRITEBYTECODE: "1" };
      const { stdout } = await run("python3", ["agent.py"], { cwd: folder, env });
      assert.deepEqual(stdout.trimEnd().split("\n"), expected, when);
    }
  });

  it("has a client that retries, and reports why it gave up", async () => {
    const [client = ""] = blocks("python.md", "python");
    const folder = temporaryFolder();
    writeFileSync(join(folder, "tollgate.py"), client);
    const asked =
      'import tollgate\ntry:\n  tollgate.consume({"tool": "search"})\nexcept tollgate.TollgateError as e:\n  print(e)';
    const ask = async (url: string) => {
      const env = { ...process.env, TOLLGATE_URL: url, PYTHONDONTWRITEBYTECODE: "1" };
      return (await run("python3", ["-c", asked], { cwd: folder, env })).stdout;
    };
    const { url } = await servedPolicy("python.md");
    assert.match(await ask(url), /^\/v1\/consume: \{.*"code":"missing-dimension"/);
    assert.match(await ask("http://127.0.0.1:9"), /^\/v1\/consume: .*refused/);
  });
});

describe("the guide for any language", skipWithout("curl"), () => {
  it("gets the documented answers, in each new session", async () => {
    const { url } = await servedPolicy("any-language.md");
    const [setup = "", consume = "", again = "", settle = ""] = blocks("any-language.md", "sh");
    const shown = JSON.parse(blocks("any-language.md", "json")[0] ?? "");
    for (const SESSION of ["chat-1", "chat-2"]) {
      const env = { ...process.env, TOLLGATE_URL: url, SESSION };
      const sh = async (script: string) => (await run("sh", ["-c", `${setup}\n${script}`], { env })).stdout;
      assert.deepEqual({ ...JSON.parse(await sh(consume)), decidedAtMs: shown.decidedAtMs }, shown);
      assert.equal(await sh(again), '"replayed":true\n');
      assert.equal(await sh(settle), '"status":"settled"\n');
    }
  });
});

describe("the guide for recordings", () => {
  it("replays its trace with the result that it shows", async () => {
    const folder = temporaryFolder();
    const [shown] = blocks("recording.md", "json").map((text) => JSON.parse(text));
    writeFileSync(join(folder, "tollgate.yaml"), blocks("recording.md", "yaml")[0] ?? "");
    const call = { session: "s1", turn: 1, user: "u1" };
    const trace = ["search", "search", "send_email"].map((tool) => JSON.stringify({ ...call, tool }));
    writeFileSync(join(folder, "trace.jsonl"), trace.join("\n"));
    const [command = ""] = blocks("recording.md", "sh");
    const { stdout, stderr } = await tollgate(command.split(" ").slice(2), folder);
    assert.equal(stderr, "");
    const { p50Ms, p99Ms } = shown;
    assert.deepEqual({ ...JSON.parse(stdout), p50Ms, p99Ms }, shown);
  });
});

// Inside node_modules, as a package that has Tollgate installed.
const user = join(ROOT, "node_modules", ".tollgate-guides");

async function node(name: string, code: string): Promise<string> {
  mkdirSync(join(user, "node_modules"), { recursive: true });
  const link = join(user, "node_modules", "tollgate");
  rmSync(link, { force: true });
  symlinkSync(dirname(join(ROOT, "package.json")), link);
  writeFileSync(join(user, name), code);
  const args = ["--conditions=tollgate-source", LOADER, "--no-warnings", name];
  return (await run(process.execPath, args, { cwd: user })).stdout;
}
after(() => rmSync(user, { recursive: true, force: true }));

describe("the guide for CommonJS", () => {
  for (const [i, code] of blocks("commonjs.md", "cjs").entries()) {
    it(`prints its documented output, example ${i + 1}`, async () => {
      const expected = expectedLines(code, /console\.log\(.*\); \/\/ (.*)$/gm);
      assert.ok(expected.length > 0);
      assert.deepEqual((await node("program.cjs", code)).trimEnd().split("\n"), expected);
    });
  }

  it("correctly says that each subpath but that of Workers can be required", async () => {
    const { exports } = JSON.parse(readFileSync(`${ROOT}package.json`, "utf8"));
    const names = Object.keys(exports).map((subpath) => subpath.replace(".", "tollgate"));
    const subpaths = names.filter((name) => name !== "tollgate/edge");
    const code = subpaths.map((path) => `require("${path}"); console.log("${path}");`).join("\n");
    assert.deepEqual((await node("subpaths.cjs", code)).trimEnd().split("\n"), subpaths);
  });
});

describe("the front page", () => {
  it("shows the demo and the tests as commands that work in a new clone", () => {
    const shell = blocks("../../README.md", "sh").join("\n");
    for (const command of ["npm ci && npm run demo", "npm ci && npm test"]) assert.ok(shell.includes(command), command);
  });

  it("correctly says that its program continues after a restart on SQLite", async () => {
    const [code = ""] = blocks("../../README.md", "ts");
    const onFile = code
      .replace("stores/memory", "stores/sqlite")
      .replace("{ memoryStore }", "{ sqliteStore }")
      .replace("memoryStore()", 'sqliteStore("tollgate.db")');
    assert.match(await node("quick.mjs", onFile), /^true false\n/);
    assert.match(await node("quick.mjs", onFile), /^false false\n/);
  });
});

describe("the guide for tests", () => {
  it("has a test for Vitest that passes", async () => {
    const [code = ""] = blocks("testing.md", "js");
    const shim = [
      'import { deepEqual, partialDeepStrictEqual } from "node:assert";',
      'const it = (name, test) => test().then(() => console.log("passed", name));',
      "const expect = (got) => ({ toBe: (expected) => deepEqual(got, expected),",
      "  toMatchObject: (expected) => partialDeepStrictEqual(got, expected) });",
    ].join("\n");
    const program = code.replace(/^import .* from "vitest";$/m, shim);
    assert.notEqual(program, code);
    assert.equal(await node("vitest.mjs", program), "passed denies the second call\n");
  });
});
