// Replays through the Worker: processes with clients of their own get the counts that every store gives.

import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { tollgate } from "../e2e/tollgate.ts";
import { countSequentially, readTrace, realTraces, syntheticTrace } from "../e2e/traces.ts";
import { wideRunOnly } from "../length.ts";
import { temporaryFolder } from "../temporary.ts";
import { startTemplate } from "./template.ts";

const folder = temporaryFolder();
const own = readFileSync(new URL("../../examples/cloudflare/src/policy.json", import.meta.url), "utf8");
const policyOf = (perTurn: number, perSession: number) =>
  own.replace('"quota": 5,', `"quota": ${perTurn},`).replace('"quota": 50,', `"quota": ${perSession},`);

const synthetic = syntheticTrace(7, 60);
writeFileSync(join(folder, "synthetic.jsonl"), synthetic.map((line) => `${JSON.stringify(line)}\n`).join(""));

it("replays of real traces through a Worker", {
  skip: realTraces().length > 0 ? false : "TOLLGATE_TRACES names no folder of them",
}, () => {});

for (const [perTurn, perSession] of [
  [5, 50],
  [3, 5],
] as const) {
  describe(`a Worker with ${perTurn} calls a turn and ${perSession} a session`, () => {
    const policy = policyOf(perTurn, perSession);
    writeFileSync(join(folder, `${perTurn}.json`), policy);
    for (const file of ["synthetic.jsonl", ...realTraces()]) {
      for (const instances of [1, 3]) {
        // Both numbers of instances, and both policies.
        const options = (perTurn === 5) === (instances === 1) ? {} : wideRunOnly;
        it(`equals a sequential count of ${file}, with ${instances} instances`, options, async () => {
          const worker = await startTemplate({ policy: JSON.parse(policy) });
          const args = ["replay", file, "--policy", `${perTurn}.json`, "--url", String(worker.url)];
          const { status, stdout, stderr } = await tollgate(
            [...args, "--instances", String(instances), "--json"],
            folder,
            { TOLLGATE_API_KEY: worker.apiKey },
          );
          assert.equal(status, 0, stderr);
          const { allowed, denied, deniedBy } = JSON.parse(stdout);
          const trace = file === "synthetic.jsonl" ? synthetic : readTrace(file);
          const counted = countSequentially(trace, perTurn, perSession);
          assert.deepEqual([allowed, denied], [counted.allowed, counted.denied]);
          assert.deepEqual(deniedBy, { "tool-per-turn": counted.byTurn, "tool-per-session": counted.bySession });
          await worker.stop();
        });
      }
    }
  });
}

describe("a replay through a service", () => {
  it("counts the denials of limits that only the service has", async () => {
    const { url, apiKey, stop } = await startTemplate({ policy: JSON.parse(policyOf(1, 50)) });
    const call = JSON.stringify({ session: "s1", turn: 1, tool: "search" });
    writeFileSync(join(folder, "same.jsonl"), `${call}\n${call}\n`);
    const limits = [{ name: "of-my-file", per: ["session"], quota: 9 }];
    writeFileSync(join(folder, "other.json"), JSON.stringify({ version: 1, limits }));
    const args = ["replay", "same.jsonl", "--policy", "other.json", "--url", String(url)];
    const played = await tollgate([...args, "--json"], folder, { TOLLGATE_API_KEY: apiKey });
    assert.equal(played.status, 0, played.stderr);
    assert.deepEqual(JSON.parse(played.stdout).deniedBy, { "of-my-file": 0, "tool-per-turn": 1 });
    const again = await tollgate(args, folder, { TOLLGATE_API_KEY: apiKey });
    assert.match(again.stdout, /^denied +2: of-my-file 0, tool-per-turn 2$/m);
    await stop();
  });

  it("refuses a key that the service does not know, and options of a store", async () => {
    const { url, stop } = await startTemplate();
    const args = ["replay", "synthetic.jsonl", "--policy", "5.json", "--url", String(url)];
    const { status, stderr } = await tollgate(args, folder, { TOLLGATE_API_KEY: `tg_abc_${"x".repeat(43)}` });
    assert.deepEqual([status, /does not know the API key in TOLLGATE_API_KEY/.test(stderr)], [2, true], stderr);
    const beside = await tollgate([...args, "--prefix", "mine"], folder);
    assert.deepEqual([beside.status, /--prefix: expected nothing beside --url/.test(beside.stderr)], [2, true]);
    await stop();
  });
});

const RUNS = Number(process.env.TOLLGATE_EDGE_RUNS ?? 1);
const PROCESSES = 8;
const CALLERS = 64;
const QUOTA = 1_000;

describe("a quota that 8 processes with 64 callers each use up through a Worker", () => {
  for (let run = 1; run <= RUNS; run++) {
    it(`is admitted exactly, run ${run}`, async () => {
      const policy = { version: 1, limits: [{ name: "per-session", per: ["session"], quota: QUOTA }] };
      const { url, apiKey, stop } = await startTemplate({ policy });
      const script = new URL("callers.ts", import.meta.url).pathname;
      const admitted = Array.from({ length: PROCESSES }, async () => {
        const child = fork(script, [String(url), apiKey, String(CALLERS), "3"]);
        const [count] = await once(child, "message");
        return count as number;
      });
      const total = (await Promise.all(admitted)).reduce((sum, count) => sum + count, 0);
      assert.equal(total, QUOTA);
      await stop();
    });
  }
});
