// The commands about a gateway's buckets, after a call that it has denied.

import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { sqliteLog } from "tollgate/log/sqlite";
import { sqliteStore } from "tollgate/stores/sqlite";
import { GATEWAY_PRESET, policyIn } from "../../src/cli/defaults.ts";
import { createHostedLimiter } from "../../src/limiter.ts";
import { tollgate } from "../e2e/tollgate.ts";
import { temporaryFolder } from "../temporary.ts";

const folder = temporaryFolder();
const STATE = { XDG_STATE_HOME: join(folder, "state") };
const COUNTS = join(folder, "state", "tollgate", "mcp.db");
mkdirSync(join(folder, "state", "tollgate"), { recursive: true });
mkdirSync(join(folder, "empty"));

/** Makes calls as a gateway does, until one is denied. */
async function denyCalls(name: string, policyFile: string): Promise<void> {
  const log = sqliteLog(join(folder, name));
  const store = sqliteStore(COUNTS);
  const limiter = createHostedLimiter({ policy: policyIn(policyFile), store, prefix: "rate", log }).via("mcp");
  for (let i = 0; i < 100; i++) {
    const call = { tool: "echo", user: "me", session: "s", args: { i } };
    if (!(await limiter.run(call, () => i)).allowed) break;
  }
  await limiter.close();
  await store.close();
}

async function explained(name: string, cwd: string): Promise<string> {
  const ran = await tollgate(["explain", "--last", "--log", `sqlite:${join(folder, name)}`], cwd, STATE);
  assert.equal(ran.status, 0, ran.stderr);
  return ran.stdout;
}

const commandIn = (text: string) => (/tollgate (grant .*)$/m.exec(text)?.[1] ?? "").split(" ");

describe("a gateway's denial", { timeout: 30_000 }, () => {
  it("is explained with a command that works where it is pasted", async () => {
    await denyCalls("preset.db", GATEWAY_PRESET);
    const args = commandIn(await explained("preset.db", join(folder, "empty")));
    assert.deepEqual(args.slice(args.indexOf("--log") + 2), [
      "--policy",
      GATEWAY_PRESET,
      "--store",
      `sqlite:${COUNTS}`,
    ]);
    const granted = await tollgate(args, join(folder, "empty"), STATE);
    assert.equal(granted.status, 0, granted.stderr);
    assert.match(granted.stdout, /The bucket stands at:\n[\s\S]*user=me/);
  });

  it("is explained with a word for a policy that is not known, and a sentence that says so", async () => {
    const policy = join(folder, "own.yaml");
    writeFileSync(policy, "version: 1\nlimits: [{ name: own, per: [user], quota: 2 }]\n");
    await denyCalls("own.db", policy);
    const text = await explained("own.db", join(folder, "empty"));
    assert.match(text, /Grant 1 call to this bucket, with --policy and --store as the gateway has them:/);
    const args = commandIn(text);
    assert.deepEqual(args.slice(args.indexOf("--policy")), ["--policy", "POLICY", "--store", `sqlite:${COUNTS}`]);
  });

  it("is counted by the gateway's preset where no policy is named, and the command says which", async () => {
    const args = ["usage", "--user", "me", "--store", `sqlite:${COUNTS}`];
    const { stdout, stderr } = await tollgate(args, join(folder, "empty"), STATE);
    assert.match(stdout, /rate-per-user/);
    assert.match(
      stderr,
      /^policy .*mcp\.yaml: the preset of gateways; if the gateway has another, name it with --policy$/m,
    );
  });

  it("names the gateway's file where no file is named", async () => {
    const usage = await tollgate(["usage", "--user", "me"], join(folder, "empty"), STATE);
    assert.ok(usage.stderr.includes(`an MCP gateway's counts are in sqlite:${COUNTS}`), usage.stderr);
    const explain = await tollgate(["explain", "--last"], join(folder, "empty"), STATE);
    assert.match(explain.stderr, /An MCP gateway keeps a log only where its --log names one/);
  });
});
