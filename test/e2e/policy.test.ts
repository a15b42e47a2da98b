import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { temporaryFolder } from "../temporary.ts";
import { tollgate } from "./tollgate.ts";

const folder = temporaryFolder();
const write = (name: string, text: string) => {
  writeFileSync(join(folder, name), text);
  return name;
};
const read = (name: string) => readFileSync(join(folder, name), "utf8");
const run = (...args: string[]) => tollgate(["policy", "upgrade", ...args], folder);

const OLD = "# Ours\nversion: 1\nlimits:\n  - { name: a, per: [session], match: [x], quota: 5, ttl: 1h } # hard\n";
const NEW =
  "# Ours\nversion: 1\nlimits:\n  - { name: a, per: [session], when: { tool: [x] }, quota: 5, resetAfterIdle: 1h } # hard\n";
const LINES = (file: string) => [
  `${file}:4:32: limits[0].match: now when: { tool: [x] }`,
  `${file}:4:54: limits[0].ttl: now resetAfterIdle: 1h`,
  `${file}: 2 changes, nothing left to do by hand`,
  "",
];

describe("policy upgrade", () => {
  it("prints the new text, and what it changed beside it", async () => {
    const file = write("tollgate.yaml", OLD);
    const { status, stdout, stderr } = await run();
    assert.deepEqual([status, stdout, stderr], [0, NEW, LINES(file).join("\n")]);
    assert.equal(read(file), OLD);
  });

  it("prints with --check what it would change, and exits with 1", async () => {
    const file = write("check.yaml", OLD);
    const { status, stdout, stderr } = await run("--check", file);
    const planned = LINES(file).map((line) => line.replace(": now ", ": would become "));
    assert.deepEqual([status, stdout, stderr], [1, planned.join("\n"), ""]);
    assert.equal(read(file), OLD);
    const current = write("current.yaml", NEW);
    assert.deepEqual(await run("--check", current), {
      status: 0,
      stdout: "current.yaml: nothing to upgrade\n",
      stderr: "",
    });
  });

  it("changes files with --write, once", async () => {
    const files = [write("one.yaml", OLD), write("two.yaml", NEW)];
    const { status, stdout, stderr } = await run("--write", ...files);
    assert.deepEqual(
      [status, stdout, stderr],
      [0, "", [...LINES("one.yaml").slice(0, -1), "two.yaml: nothing to upgrade", ""].join("\n")],
    );
    assert.deepEqual(files.map(read), [NEW, NEW]);
    assert.match((await run("--write", ...files)).stderr, /^one\.yaml: nothing to upgrade\ntwo/);
  });

  it("lists what is left to do by hand, and the faults of the new text, and exits with 1", async () => {
    const marked = write("marked.yaml", OLD.replace("[x]", '["!x"]'));
    const { status, stderr } = await run("--write", marked);
    assert.equal(status, 1);
    assert.match(stderr, /marked\.yaml:4:39: limits\[0\]\.match\[0\]: by hand: A name that begins with "!" now means/);
    assert.match(stderr, /2 changes, 1 left to do by hand\n$/);
    const wrong = await run(write("wrong.yaml", OLD.replace("quota: 5", "quota: -5")));
    assert.equal(wrong.status, 1);
    assert.match(wrong.stderr, /^wrong\.yaml:4:60: limits\[0\]\.quota: expected a whole number/m);
    assert.match(wrong.stderr, /2 changes, 1 left to do by hand\n$/);
  });

  it("refuses what it cannot do", async () => {
    const file = write("three.yaml", OLD);
    assert.equal((await run(file, file)).status, 2);
    assert.match((await run(file, file)).stderr, /Several files need --write or --check/);
    assert.equal((await run("--write", "--check", file)).status, 2);
    assert.equal((await run(write("broken.yaml", "limits: [{"))).status, 2);
    assert.match((await run("nowhere.yaml")).stderr, /cannot read nowhere\.yaml/);
  });
});
