// Agents behind the gateway: each makes calls until it reads the denial, and goes on.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { setTracingDisabled } from "@openai/agents";
import type { PolicyInput } from "tollgate";
import { ROOT } from "../sources.ts";
import { temporaryFolder } from "../temporary.ts";
import { ANSWER, aiSdk, CLAUDE_SDK, claude, openaiAgents } from "./agents.ts";
import { everything } from "./everything.ts";
import { httpGateway, serverOf } from "./http-gateway.ts";

setTracingDisabled(true);

const QUOTA = 3;
const policy: PolicyInput = { version: 1, limits: [{ name: "calls", per: ["session"], quota: QUOTA }] };
const folder = temporaryFolder();
writeFileSync(join(folder, "policy.json"), JSON.stringify(policy));
const SDK_SERVER = fileURLToPath(new URL("servers/sdk.ts", import.meta.url));
const server = await everything();
after(() => server.close());

const AGENTS = { "the AI SDK": aiSdk, "the OpenAI Agents SDK": openaiAgents, "the Claude Agent SDK": claude };

describe("an agent behind the gateway", { timeout: 120_000 }, () => {
  for (const [name, runAgent] of Object.entries(AGENTS)) {
    const isThere = runAgent !== claude || CLAUDE_SDK !== undefined;
    const skip = isThere ? false : "TOLLGATE_CLAUDE_AGENT_SDK names no sdk.mjs of the Claude Agent SDK";

    const check = ({ read, answer }: Awaited<ReturnType<typeof runAgent>>) => {
      assert.equal(answer, ANSWER);
      assert.equal(read.length, QUOTA + 1);
      for (const result of read.slice(0, QUOTA)) assert.match(result, /again|hits/);
      assert.match(read[QUOTA] ?? "", /Limit reached \(calls\), call denied: .* in this session: all 3 are used/);
    };

    // Fails when a denial is an error of the protocol, an empty result, or a status that the SDK tries again.
    it(`of ${name} reads the denial over stdio`, { skip }, async () => {
      const store = `sqlite:${join(folder, `${name}.db`)}`;
      const own = ["--policy", join(folder, "policy.json"), "--store", store, "--session", "s1"];
      const command = [process.execPath, "--conditions=tollgate-source", SDK_SERVER];
      const args = [`${ROOT}bin/tollgate.js`, "mcp", ...own, "--", ...command];
      const wanted = { tool: "search", args: { query: "again" } };
      check(await runAgent({ command: process.execPath, args, cwd: folder }, wanted));
    });

    it(`of ${name} reads the denial over HTTP`, { skip }, async (t) => {
      const { url } = await httpGateway(t, server.url, { policy });
      const runsBefore = server.runs.length;
      check(await runAgent({ url }, { tool: "echo", args: { word: "again" } }));
      assert.equal(server.runs.length - runsBefore, QUOTA);
    });

    it(`of ${name} reads the denial at the address of several servers`, { skip }, async (t) => {
      const servers = [serverOf("docs", server.url), serverOf("more", server.url)];
      const { url } = await httpGateway(t, servers, { policy });
      const runsBefore = server.runs.length;
      check(await runAgent({ url }, { tool: "more_echo", args: { word: "again" } }));
      assert.equal(server.runs.length - runsBefore, QUOTA);
    });
  }
});
