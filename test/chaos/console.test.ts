// How soon the console shows a denial while an agent fleet calls: a service as a process of its own, which a trace is replayed
// against again and again, and Chromium, which looks at the denials.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { opened, SKIP } from "../console/browser.ts";
import { start, until } from "../e2e/tollgate.ts";
import { readTrace, realTraces, syntheticTrace } from "../e2e/traces.ts";
import { temporaryFolder } from "../temporary.ts";
import { isStrict } from "./outage.ts";

/** How soon a denial is seen, ms. */
const SEEN_MS = isStrict ? 1_000 : 10_000;
const DENIALS = isStrict ? 20 : 3;
const POLICY = `
version: 1
limits:
  - { name: tool-per-turn, per: [session, turn, tool], quota: 3, resetAfterIdle: 1h }
  - { name: tool-per-session, per: [session, tool], quota: 5, resetAfterIdle: 24h }
`;

describe("the console, while a trace is replayed through the service", { skip: SKIP }, () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "policy.yaml"), POLICY);
  const [real] = realTraces();
  const trace = real ?? "trace.jsonl";
  const lines = (real === undefined ? syntheticTrace(3, 60) : readTrace(real)).map((line) => JSON.stringify(line));
  writeFileSync(join(folder, "trace.jsonl"), lines.join("\n"));
  const { child } = start(["serve", "--port", "0", "--policy", "policy.yaml", "--store", "sqlite:state.db"], folder);
  after(() => child.kill("SIGKILL"));
  let printed = "";
  child.stdout?.on("data", (part) => {
    printed += part;
  });

  it(`shows each denial within ${SEEN_MS} ms`, async (context) => {
    const url = await until(() => /listens at (\S+)/.exec(printed)?.[1] ?? false);
    let isOver = false;
    let replays = 0;
    const replaying = (async () => {
      while (!isOver) {
        const { status, stderr } = await start(["replay", trace, "--policy", "policy.yaml", "--url", url], folder).ran;
        assert.equal(status, 0, stderr);
        replays++;
      }
    })();
    const headers = { "content-type": "application/json" };
    const call = async (session: string) => {
      const body = JSON.stringify({ call: { tool: "search", session, turn: 1 } });
      const response = await fetch(`${url}/v1/consume`, { method: "POST", headers, body });
      return (await response.json()) as { readonly allowed: boolean };
    };
    const { page, faults } = await opened(url);
    await page.evaluate('location.hash = "#/decisions?outcome=denied"');
    const seenMs: number[] = [];
    for (let n = 0; n < DENIALS; n++) {
      const session = `seen-${n}-`;
      for (let i = 0; i < 3; i++) assert.ok((await call(session)).allowed);
      assert.equal((await call(session)).allowed, false);
      const deniedMs = performance.now();
      await page.getByRole("row").filter({ hasText: session }).waitFor({ timeout: 10_000 });
      seenMs.push(Math.round(performance.now() - deniedMs));
    }
    isOver = true;
    await replaying;
    context.diagnostic(`${replays} replays of ${lines.length} calls; denials were seen after ${seenMs.join(", ")} ms`);
    assert.ok(Math.max(...seenMs) <= SEEN_MS, `${Math.max(...seenMs)} ms`);
    assert.deepEqual(faults, []);
  });
});
