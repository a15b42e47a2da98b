// `tollgate serve --envoy`: both services on one limiter, and how they end.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { status } from "@grpc/grpc-js";
import { tollgate, until } from "../e2e/tollgate.ts";
import { LOADER, ROOT } from "../sources.ts";
import { temporaryFolder } from "../temporary.ts";
import { codeOf, envoyClient } from "./envoy-client.ts";

const folder = temporaryFolder();
const file = (name: string, text: string) => {
  writeFileSync(join(folder, name), text);
  return name;
};
const POLICY = file("policy.yaml", "version: 1\npartition: user\nlimits: [{ name: calls, per: [user], quota: 3 }]\n");
const MAP = file(
  "map.yaml",
  'domains: { agents: [{ match: { user: "*" }, tool: api, dimensions: { user: user } }] }\n',
);

async function serve(...args: string[]) {
  const options = [
    "serve",
    "--port",
    "0",
    "--policy",
    POLICY,
    "--store",
    "memory:",
    "--envoy",
    "127.0.0.1:0",
    "--envoy-map",
    MAP,
  ];
  const child = spawn(process.execPath, [LOADER, `${ROOT}bin/tollgate.js`, ...options, ...args], { cwd: folder });
  after(() => child.kill("SIGKILL"));
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text) => {
    output += text;
  });
  const port = Number(
    await until(() => /envoy +127\.0\.0\.1:(\d+)/.exec(output)?.[1] ?? (child.exitCode !== null && "0")),
  );
  const url = /listens at (\S+)/.exec(output)?.[1] ?? "";
  return { child, url, client: envoyClient(port), ended: once(child, "exit") };
}

describe("tollgate serve --envoy", () => {
  it("counts Envoy's requests and those over HTTP together", async () => {
    const { child, url, client, ended } = await serve();
    const question = { descriptors: [{ user: "u1" }] };
    assert.equal((await client.ask(question)).overallCode, "OK");
    const consumed = await fetch(`${url}/v1/consume`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ call: { tool: "search", user: "u1" } }),
    });
    assert.equal(((await consumed.json()) as { verdicts: { remaining: number }[] }).verdicts[0]?.remaining, 1);
    assert.equal((await client.ask(question)).overallCode, "OK");
    assert.equal((await client.ask(question)).overallCode, "OVER_LIMIT");
    child.kill("SIGTERM");
    assert.deepEqual(await ended, [0, null]);
  });

  it("answers Envoy while it drains, and exits then", async () => {
    const { child, url, client, ended } = await serve("--set", "drainMs=2000");
    const question = { descriptors: [{ user: "u1" }] };
    await client.ask(question);
    child.kill("SIGTERM");
    while ((await fetch(`${url}/readyz`)).status !== 503) await sleep(10);
    assert.equal((await client.ask(question)).overallCode, "OK");
    assert.deepEqual(await ended, [0, null]);
    await assert.rejects(client.ask(question), (error) => codeOf(error) === status.UNAVAILABLE);
  });

  const wrong: [string, string[], RegExp][] = [
    ["no mapping", ["--envoy", "127.0.0.1:0"], /--envoy and --envoy-map/],
    ["no port", ["--envoy", "127.0.0.1", "--envoy-map", MAP], /HOST:PORT/],
    [
      "a mapping that does not fit",
      ["--envoy", "127.0.0.1:0", "--envoy-map", file("other.yaml", "domains: { a: [{ match: { k: v }, tool: api }] }")],
      /user, which the limit calls is per/,
    ],
    [
      "an authority without a certificate",
      ["--envoy", "127.0.0.1:0", "--envoy-map", MAP, "--envoy-client-ca", "ca.pem"],
      /--tls-cert/,
    ],
  ];
  for (const [name, args, message] of wrong) {
    it(`refuses ${name}`, async () => {
      const command = ["serve", "--port", "0", "--policy", POLICY, "--store", "memory:", ...args];
      const { status: code, stderr } = await tollgate(command, folder);
      assert.equal(code, 2, stderr);
      assert.match(stderr, message);
    });
  }
});
