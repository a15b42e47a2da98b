// `tollgate serve` on a Postgres: how it is set up, and tables that are not there.

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { start, until } from "../e2e/tollgate.ts";
import { startPostgres } from "../postgres.ts";
import { temporaryFolder } from "../temporary.ts";

// The tests' server does without fsync.
const server = await startPostgres();
const endings: (() => unknown)[] = [];
after(async () => {
  for (const end of endings) await end();
});

async function serve(store: string) {
  const { child } = start(["serve", "--port", "0", "--store", store], temporaryFolder());
  endings.push(() => child.kill("SIGKILL"));
  const text = { out: "", log: "" };
  child.stdout?.on("data", (part) => {
    text.out += part;
  });
  child.stderr?.on("data", (part) => {
    text.log += part;
  });
  const url = await until(() => /listens at (\S+)/.exec(text.out)?.[1] ?? false);
  const consume = async (session: string) => {
    const body = JSON.stringify({ call: { tool: "x", session, turn: 1 } });
    const headers = { "content-type": "application/json" };
    const response = await fetch(`${url}/v1/consume`, { method: "POST", headers, body });
    return (await response.json()) as { allowed?: boolean; degraded?: object | null };
  };
  return { consume, log: () => text.log };
}

describe("tollgate serve on Postgres", () => {
  it("reports that the server runs without fsync", async () => {
    const { log } = await serve(server.url);
    await until(() => /"name":"persistence","value":"fsync off.*the store may break a promise/.test(log()));
    assert.doesNotMatch(log(), /setup is not known/);
  });

  it("creates its tables again where they are gone, as on another server", async () => {
    const { consume, log } = await serve(server.url);
    assert.equal((await consume("before")).degraded, null);
    await server.pool().query("DROP TABLE tollgate_buckets, tollgate_schema");
    const isBack = async () => (await consume("after")).degraded === null;
    const endsAtMs = performance.now() + 10_000;
    while (!(await isBack())) assert.ok(performance.now() < endsAtMs, log());
  });

  it("reports why there are no tables yet, and creates them once it can", async () => {
    const { consume, log } = await serve(server.url.replace(/\/\w*$/, "/later"));
    await consume("early");
    await until(() =>
      /Tollgate's tables are not ready: Postgres at \S+: database \\"later\\" does not exist/.test(log()),
    );
    await server.pool().query("CREATE DATABASE later");
    const endsAtMs = performance.now() + 15_000;
    while ((await consume("late")).degraded !== null) assert.ok(performance.now() < endsAtMs, log());
  });
});
