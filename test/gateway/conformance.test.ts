// The official conformance suite against a server, with and without the gateway: each check of each scenario has the same outcome.
// TOLLGATE_CONFORMANCE_SERVER names another server, such as the one of the official SDK.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "../temporary.ts";
import { everything } from "./everything.ts";
import { httpGateway } from "./http-gateway.ts";

const REVISIONS = { "2025-11-25": 25, "2026-07-28": 35 };
const SUITE = fileURLToPath(import.meta.resolve("@modelcontextprotocol/conformance/dist/index.js"));

const given = process.env.TOLLGATE_CONFORMANCE_SERVER;
const own = given === undefined ? await everything() : null;
after(() => own?.close());
const server = given ?? own?.url ?? "";

interface Check {
  readonly id: string;
  readonly status: string;
}

/** What each check of a revision's scenarios says of a server, as `<scenario> <check>: <status>`. */
async function outcomesOf(url: string, revision: string): Promise<readonly string[]> {
  const output = temporaryFolder();
  const args = [SUITE, "server", "--url", url, "--requirements", revision, "-o", output];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  const status = new Promise((resolve) => child.once("close", resolve));
  const [said] = await Promise.all([text(child.stderr), text(child.stdout), status]);
  const files = globSync(join(output, "*", "checks.json"));
  assert.notEqual(files.length, 0, said);
  return files.flatMap((file) => {
    const scenario = basename(dirname(file)).replace(/-\d{4}-\d\d-\d\dT.*/, "");
    const checks = JSON.parse(readFileSync(file, "utf8")) as readonly Check[];
    return checks.map((check) => `${scenario} ${check.id}: ${check.status}`);
  });
}

describe("the conformance suite", { timeout: 300_000 }, () => {
  for (const [revision, scenarios] of Object.entries(REVISIONS)) {
    // Fails when the gateway changes what a client or a server can see of the other.
    it(`says the same of a server with and without the gateway, in revision ${revision}`, async (t) => {
      const { url, used } = await httpGateway(t, server);
      const alone = await outcomesOf(server, revision);
      const limited = await outcomesOf(url, revision);
      assert.ok(new Set(alone.map((outcome) => outcome.split(" ")[0])).size >= scenarios);
      // The gateway checks Host and Origin itself, whatever its server does.
      const isOfDoor = (outcome: string) => outcome.startsWith("server-dns-rebinding-protection");
      const others = (outcomes: readonly string[]) => outcomes.filter((each) => !isOfDoor(each)).toSorted();
      assert.deepEqual(others(limited), others(alone));
      assert.ok(limited.filter(isOfDoor).every((outcome) => outcome.endsWith(": SUCCESS")));
      const { calls = 0 } = await used();
      const passed = alone.filter((outcome) => outcome.endsWith(": SUCCESS")).length;
      t.diagnostic(`${passed} of ${alone.length} checks pass; ${calls} calls were charged`);
      assert.notEqual(calls, 0);
    });
  }
});
