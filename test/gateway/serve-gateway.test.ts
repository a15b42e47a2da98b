// `tollgate serve --gateway`: a gateway beside a service, with the same limits, log and console.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import type { DecisionEntry } from "../../src/log/entry.ts";
import type { GatewayServer } from "../../src/service-log/gateway-view.ts";
import { start, tollgate, until } from "../e2e/tollgate.ts";
import { temporaryFolder } from "../temporary.ts";
import { everything } from "./everything.ts";
import { legacyClient } from "./http-gateway.ts";

const folder = temporaryFolder();
const server = await everything();
after(() => server.close());
writeFileSync(join(folder, "policy.yaml"), "version: 1\nlimits: [{ name: echoes, per: [tool], quota: 2 }]\n");
writeFileSync(
  join(folder, "gateway.yaml"),
  `version: 1\nlisten: { port: 0 }\nservers: { words: { url: "${server.url}" } }\n`,
);
const options = ["--port", "0", "--policy", "policy.yaml", "--store", "memory:", "--log", "memory:"];

describe("tollgate serve --gateway", { timeout: 60_000 }, () => {
  it("limits the tools of MCP servers with the service's own limits, and shows them", async (t) => {
    const { child, ran } = start(["serve", ...options, "--gateway", "gateway.yaml"], folder);
    t.after(() => child.kill("SIGKILL"));
    let printed = "";
    child.stdout?.on("data", (part) => {
      printed += part;
    });
    const [, url, mcp] = await until(() => /listens at (\S+).*\n {2}mcp +words at (\S+)\n/s.exec(printed) ?? false);
    const client = await legacyClient(t, String(mcp));
    const denials = [];
    for (let n = 0; n < 3; n++) {
      const { isError } = await client.callTool({ name: "echo", arguments: { word: "a" } });
      denials.push(isError === true);
    }
    assert.deepEqual(denials, [false, false, true]);
    // The service has the same buckets.
    const body = JSON.stringify({ call: { tool: "echo" } });
    const headers = { "content-type": "application/json" };
    const asked = await fetch(`${url}/v1/consume`, { method: "POST", headers, body });
    assert.equal(((await asked.json()) as { allowed: boolean }).allowed, false);
    const read = async <Item>(path: string) => {
      const answer = await fetch(`${url}${path}`);
      return ((await answer.json()) as { readonly items: readonly Item[] }).items;
    };
    const [seen] = await read<GatewayServer>("/v1/gateway");
    assert.deepEqual(
      seen?.tools.map(({ name, calls, denied }) => [name, calls, denied]),
      [["echo", 3, 1]],
    );
    const decisions = await read<DecisionEntry>("/v1/decisions?kind=decision");
    assert.deepEqual(
      decisions.map(({ via }) => via),
      ["http", "mcp", "mcp", "mcp"],
    );
    await client.close();
    child.kill("SIGTERM");
    const { status, stdout, stderr } = await ran;
    assert.equal(status, 0);
    assert.match(stdout + stderr, /"limit":"echoes","decision":"01\w{24}","msg":"a call of an MCP tool was denied"/);
  });

  it("refuses a file that is wrong, and names the line", async () => {
    writeFileSync(join(folder, "wrong.yaml"), "version: 1\nservers: { words: { url: words } }\n");
    const { status, stderr } = await tollgate(["serve", ...options, "--gateway", "wrong.yaml"], folder);
    assert.equal(status, 2);
    assert.match(stderr, /wrong\.yaml:2:\d+: servers\.words\.url: expected .*, got "words"/);
  });
});
