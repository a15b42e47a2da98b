// What `tollgate serve` logs of how its store is set up, and of why it cannot be reached.

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { start, until } from "../e2e/tollgate.ts";
import { ownServers, startRedis } from "../servers.ts";
import { temporaryFolder } from "../temporary.ts";

const endings: (() => unknown)[] = [];
after(async () => {
  for (const end of endings) await end();
});

/** Starts a service, and hands over its log while it grows. */
async function serve(...args: string[]) {
  const { child, ran } = start(["serve", "--port", "0", ...args], temporaryFolder());
  const text = { out: "", log: "" };
  child.stdout?.on("data", (part) => {
    text.out += part;
  });
  child.stderr?.on("data", (part) => {
    text.log += part;
  });
  const end = async () => {
    child.kill("SIGTERM");
    return (await ran).status;
  };
  endings.push(() => child.kill("SIGKILL"));
  const url = await until(() => /listens at (\S+)/.exec(text.out)?.[1] ?? false);
  // biome-ignore lint/suspicious/noExplicitAny: tests look at what they know to be there.
  const lines = (): any[] => text.log.split("\n").flatMap((line) => (line.startsWith("{") ? [JSON.parse(line)] : []));
  return { url, end, lines, log: () => text.log };
}

describe("tollgate serve", ownServers, () => {
  it("reports no problem of a well configured Redis, also at the start", async () => {
    const redis = await startRedis("--appendonly", "yes", "--appendfsync", "always");
    const { url, end, lines, log } = await serve("--store", redis.url);
    await until(() => redis.cli("INFO", "commandstats").includes("cmdstat_info:"));
    assert.equal((await fetch(`${url}/readyz`)).status, 200);
    await sleep(500);
    assert.equal(await end(), 0);
    assert.deepEqual(
      lines().filter(({ level }) => level > 30),
      [],
      log(),
    );
  });

  it("reports a Redis that evicts, without a call", async () => {
    const redis = await startRedis("--appendonly", "yes", "--maxmemory-policy", "allkeys-lru");
    const { end, lines, log } = await serve("--store", redis.url);
    await until(() => lines().some(({ name }) => name === "eviction"));
    assert.match(log(), /"value":"allkeys-lru".*set maxmemory-policy to noeviction.*the store may break a promise/);
    assert.doesNotMatch(log(), /setup is not known/);
    assert.equal(await end(), 0);
  });

  it("reports why its store is unreachable at the start, and checks the setup of its replacement", async () => {
    const redis = await startRedis("--maxmemory-policy", "allkeys-lru");
    await redis.kill();
    const secret = redis.url.replace("//", "//:s3cret@");
    const { url, end, log } = await serve("--store", secret);
    await until(() => log().includes("not ready: the store does not answer"));
    assert.match(log(), new RegExp(`"problem":"[^"]*ECONNREFUSED 127\\.0\\.0\\.1:${redis.port}`));
    const body = JSON.stringify({ call: { tool: "x", session: "s", turn: 1 } });
    const headers = { "content-type": "application/json" };
    const consume = async () => (await fetch(`${url}/v1/consume`, { method: "POST", headers, body })).text();
    const answer = await consume();
    assert.doesNotMatch(answer, /ECONNREFUSED/);
    await redis.restart();
    // The user default has no password, so that any is taken.
    await until(() => log().includes('"value":"allkeys-lru"'));
    assert.doesNotMatch(log(), /s3cret|setup is not known/);
    assert.equal(await end(), 0);
  });
});
