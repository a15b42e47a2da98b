// `tollgate mcp` in front of a server, as a client starts it.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { describe, it, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { exitCodeOf, messageOf } from "../../src/cli/exit.ts";
import { mcpCommand } from "../../src/cli/mcp.ts";
import { stateFolder } from "../../src/cli/state-folder.ts";
import { ROOT } from "../sources.ts";
import { temporaryFolder } from "../temporary.ts";
import { call, RAW_SERVER, request } from "./stdio-gateway.ts";

const SDK_SERVER = fileURLToPath(new URL("servers/sdk.ts", import.meta.url));

const folder = temporaryFolder();
writeFileSync(
  join(folder, "policy.yaml"),
  "version: 1\nlimits:\n  - { name: searches, per: [user, session], quota: 2, when: { tool: search } }\n",
);

/** The arguments of Node for a gateway with a store of its own. */
function argsOf(store: string, server: readonly string[], options: readonly string[] = []): string[] {
  const own = ["--policy", join(folder, "policy.yaml"), "--store", `sqlite:${join(folder, store)}`];
  return [`${ROOT}bin/tollgate.js`, "mcp", ...own, ...options, "--", ...server];
}

const raw = [process.execPath, RAW_SERVER];

/** The answers of a server behind a gateway to three calls of a tool whose quota is two, and to a last request. */
async function answersOf(args: readonly string[], last: string, env: NodeJS.ProcessEnv = {}) {
  const stdio = ["pipe", "pipe", "pipe"] as const;
  const child = spawn(process.execPath, args, { cwd: folder, env: { ...process.env, ...env }, stdio: [...stdio] });
  const status = new Promise<number | null>((resolve) => child.once("close", resolve));
  const said = text(child.stderr);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answers = [];
  for (const line of [call(1, "search"), call(2, "search"), call(3, "search"), last]) {
    child.stdin.write(`${line}\n`);
    answers.push(JSON.parse(String((await lines.next()).value)).result);
  }
  child.stdin.end();
  assert.equal(await status, 0);
  assert.match(
    await said,
    /^tollgate: calls of this server are limited by .*policy\.yaml; their counts are in sqlite:.*\.db\n/,
  );
  return { denied: answers.slice(0, 3).filter(({ isError }) => isError).length, last: answers[3] };
}

/** What a command that cannot run says. */
async function refusalOf(args: readonly string[]): Promise<string> {
  const [, , ...own] = args;
  const error = await mcpCommand()
    .parseAsync(own, { from: "user" })
    .then(
      () => assert.fail("it ran"),
      (thrown) => thrown,
    );
  assert.equal(exitCodeOf(error), 2);
  return messageOf(error);
}

async function connected(t: TestContext): Promise<Client> {
  const client = new Client({ name: "test", version: "1.0.0" });
  const args = argsOf("sdk.db", [process.execPath, "--conditions=tollgate-source", SDK_SERVER]);
  await client.connect(new StdioClientTransport({ command: process.execPath, args, cwd: folder }));
  t.after(() => client.close());
  return client;
}

describe("tollgate mcp", { timeout: 120_000 }, () => {
  it("answers a denial as a result that a client of the SDK takes, also with an output schema", async (t) => {
    const client = await connected(t);
    const { tools } = await client.listTools();
    assert.ok(tools[0]?.outputSchema);
    const search = () => client.callTool({ name: "search", arguments: { query: "tolls" } });
    assert.deepEqual((await search()).structuredContent, { hits: 5 });
    assert.match(String((await search())._meta?.["tollgate/notice"]), /search has no calls left/);
    const result = await search();
    assert.equal(result.isError, true);
    assert.match(JSON.stringify(result.content), /Limit reached \(searches\), call denied/);
    assert.deepEqual(result._meta?.["tollgate/denial"], {
      allowed: false,
      limit: "searches",
      remaining: 0,
      retryAfterMs: null,
    });
  });

  it("counts on after a restart, unless each process has a session of its own", async () => {
    const [shared, own] = await Promise.all([
      answersOf(argsOf("sdk.db", raw), request(4, "ping")),
      answersOf(argsOf("sdk.db", raw, ["--session-per-process"]), request(4, "environment"), {
        TOLLGATE_API_KEY: "tg_secret",
        OTHER: "kept",
      }),
    ]);
    assert.equal(shared.denied, 3);
    assert.equal(own.denied, 1);
    // It does not give the server our environment.
    const { OTHER: other, ...rest } = own.last;
    assert.equal(other, "kept");
    assert.deepEqual(
      Object.keys(rest).filter((name) => name.startsWith("TOLLGATE")),
      [],
    );
  });

  it("says which command cannot be started, and which options contradict each other", async () => {
    assert.match(
      await refusalOf(argsOf("none.db", ["no-such-command"])),
      /^tollgate: -- COMMAND: expected the command of an MCP server.*"no-such-command".*ENOENT/,
    );
    assert.match(
      await refusalOf(argsOf("none.db", raw, ["--session", "a", "--session-per-process"])),
      /--session, --session-per-process and --session-meta: expected one of them, got "2 of them"/,
    );
  });
});

describe("the folder for state", () => {
  it("is where each system has it", () => {
    assert.equal(stateFolder({ XDG_STATE_HOME: "/state" }, "linux"), "/state/tollgate");
    assert.equal(stateFolder({}, "linux"), join(homedir(), ".local/state/tollgate"));
    assert.equal(stateFolder({}, "darwin"), join(homedir(), "Library/Application Support/tollgate"));
    assert.match(stateFolder({ LOCALAPPDATA: "/local" }, "win32"), /^\/local/);
  });
});
