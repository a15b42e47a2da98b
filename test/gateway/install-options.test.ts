// What the options of `tollgate mcp install` become in an entry, through the whole command line.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { tollgate } from "../e2e/tollgate.ts";
import { temporaryFolder } from "../temporary.ts";

const folder = temporaryFolder();
const POLICY = "version: 1\nlimits:\n  - { name: calls, per: [user, plan], quota: 9 }\n";
const FILES = {
  "policy.yaml": POLICY,
  "store.txt": "redis://:password@example.com\n",
  "mcp.json": '{"mcpServers":{"raw":{"command":"server","args":["x"]}}}',
};

/** Shows the entry that `mcp install` would write, and what it says. */
async function install(options: readonly string[], env: NodeJS.ProcessEnv = {}, first: readonly string[] = []) {
  const args = ["mcp", ...first, "install", "cursor", "--file", "mcp.json", ...options];
  const { status, stdout, stderr } = await tollgate(args, folder, env);
  const entry = /^\+(\{.*)$/m.exec(stdout)?.[1];
  const words: string[] | undefined = entry === undefined ? undefined : JSON.parse(entry).mcpServers.raw.args;
  const [from, to] = [words?.indexOf("mcp") ?? 0, words?.indexOf("--") ?? 0];
  return { status, stderr, options: words?.slice(from + 1, to) };
}

describe("options of tollgate mcp install", { timeout: 60_000 }, () => {
  before(() => {
    for (const [name, content] of Object.entries(FILES)) writeFileSync(join(folder, name), content);
  });

  it("stand in the entry before the server's command, with whole paths", async () => {
    const given = ["--policy", "policy.yaml", "--store", "sqlite:counts.db", "--log=sqlite:log.db", "--user", "bob"];
    const more = ["--session-per-process", "--dimension", "plan=pro", "--notices", "content", "--max-wait", "5s"];
    const at = (name: string) => join(folder, name);
    assert.deepEqual((await install([...given, ...more])).options, [
      ...["--policy", at("policy.yaml"), "--store", `sqlite:${at("counts.db")}`, "--log", `sqlite:${at("log.db")}`],
      ...["--user", "bob", ...more],
    ]);
    assert.deepEqual((await install(["--store-file", "store.txt"])).options, ["--store-file", at("store.txt")]);
    assert.deepEqual((await install([])).options, []);
  });

  it("come from the environment, too", async () => {
    const env = { TOLLGATE_POLICY: "policy.yaml", TOLLGATE_LOG: "none" };
    assert.deepEqual((await install([], env)).options, ["--policy", join(folder, "policy.yaml"), "--log", "none"]);
    const ofService = await install([], { TOLLGATE_URL: "http://127.0.0.1:8420" });
    assert.deepEqual(ofService.options, ["--url", "http://127.0.0.1:8420"]);
    assert.match(ofService.stderr, /TOLLGATE_API_KEY in the environment of its entry/);
  });

  it("are refused where the gateway would refuse them, or where they would be lost or seen", async () => {
    const refusals: [args: readonly string[], RegExp][] = [
      [["--policy", "none.yaml"], /none\.yaml/],
      [["--dimension", "plam=pro"], /--dimension: expected one of the policy's dimensions/],
      [["--max-wait", "soon"], /--max-wait: expected a duration/],
      [["--url", "http://127.0.0.1:8420", "--log", "sqlite:a.db"], /--log: expected nothing beside --url/],
      [["--url", "http://127.0.0.1:8420", "--store", "sqlite:a.db"], /--store: expected nothing beside --url/],
      [["--store", "redis://:secret@example.com"], /--store: expected a URL without a password.*--store-file/],
      [["--log", "postgres://me:secret@example.com/db"], /--log: expected a URL without a password.*TOLLGATE_LOG/],
      [["--config", "gateway.yaml"], /unknown option '--config'/],
    ];
    for (const [args, expected] of refusals) {
      const { status, stderr } = await install(["--policy", "policy.yaml", ...args].slice(args[0] === "--url" ? 2 : 0));
      assert.equal(status, 2, args.join(" "));
      assert.match(stderr, expected);
      assert.doesNotMatch(stderr, /secret/);
    }
    const before = await install([], {}, ["--policy", "policy.yaml"]);
    assert.match(before.stderr, /--policy: expected a place after install, got one before it/);
  });
});
