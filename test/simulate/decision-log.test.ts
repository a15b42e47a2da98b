// What a decision log recorded, simulated again.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { createLimiter, type PolicyInput } from "tollgate";
import { memoryLog } from "tollgate/log";
import { sqliteLog } from "tollgate/log/sqlite";
import { memoryStore } from "tollgate/stores/memory";
import { callsOfEntries, readDecisionLog } from "../../src/simulate/readers/decision-log.ts";
import type { DecisionEntry } from "../../src/log/entry.ts";
import { timelineOf } from "../../src/simulate/simulate.ts";
import { logPart } from "../../src/service-log/log.ts";
import { tollgate } from "../e2e/tollgate.ts";
import { served } from "../service/served.ts";
import { temporaryFolder } from "../temporary.ts";
import { simulated } from "./simulated.ts";

const folder = temporaryFolder();
const policy: PolicyInput = {
  version: 1,
  limits: [
    { name: "same-call", per: ["session", "tool", "args"], quota: 2 },
    { name: "tokens", per: ["session"], unit: "tokens", quota: 200 },
    { name: "calls", per: ["session", "turn"], quota: 4 },
  ],
};

/** Makes calls under the policy, and returns how each was decided. */
async function play(log: ReturnType<typeof memoryLog>): Promise<(string | null)[]> {
  const limiter = createLimiter({ policy, store: memoryStore(), log });
  const decided: (string | null)[] = [];
  for (let i = 0; i < 30; i++) {
    const call = {
      tool: `tool-${i % 3}`,
      session: `s${i % 2}`,
      turn: i % 4,
      args: { page: i % 2 },
      cost: { tokens: 45 },
    };
    decided.push((await limiter.consume(call)).deniedBy);
  }
  await log.flush();
  return decided;
}

describe("a decision log", () => {
  it("is decided again as it was decided", async () => {
    const log = memoryLog();
    const decided = await play(log);
    const { calls, skipped, isSample } = await readDecisionLog(log.storage.read, { tenants: null });
    assert.deepEqual([calls.length, skipped, isSample], [30, 0, false]);
    const again = await simulated(policy, timelineOf(calls).calls);
    assert.deepEqual(
      again.map(({ deniedBy }) => deniedBy),
      decided,
    );
    assert.deepEqual(new Set(decided), new Set([null, "same-call", "tokens"]));
    const { calls: newest } = await readDecisionLog(log.storage.read, { tenants: null }, 10);
    assert.deepEqual(
      newest.map(({ call }) => call.turn),
      calls.slice(-10).map(({ call }) => call.turn),
    );
    await log.close();
  });

  it("is simulated by its file", async () => {
    const path = join(folder, "log.db");
    const log = sqliteLog(path);
    const decided = await play(log as unknown as ReturnType<typeof memoryLog>);
    await log.close();
    const policyFile = join(folder, "policy.yaml");
    writeFileSync(policyFile, JSON.stringify(policy));
    const ran = await tollgate(["simulate", `sqlite:${path}`, "--policy", policyFile, "--json"], folder);
    assert.equal(ran.status, 0, ran.stderr);
    assert.equal(ran.stderr, "Read 30 calls of the decision log.\n");
    assert.equal(JSON.parse(ran.stdout).denied, decided.filter((by) => by !== null).length);
    const none = await tollgate(["simulate", "sqlite:none.db", "--policy", policyFile], folder);
    assert.match(
      none.stderr,
      /trace: expected a decision log that exists: .*, got "sqlite:none\.db", and there is no /,
    );
    assert.equal(none.status, 2);
  });

  it("is simulated by the address of the service that has it", async () => {
    const log = memoryLog();
    const { url } = await served({ policy, log, parts: [logPart(log)] });
    const decided = await play(log);
    const policyFile = join(folder, "of-service.yaml");
    writeFileSync(policyFile, JSON.stringify(policy));
    const ran = await tollgate(["simulate", url, "--policy", policyFile, "--json"], folder);
    assert.deepEqual([ran.status, ran.stderr], [0, "Read 30 calls of the decision log.\n"]);
    const { trace, denied } = JSON.parse(ran.stdout);
    assert.deepEqual([trace, denied], [url, decided.filter((by) => by !== null).length]);
    const gone = await tollgate(["simulate", "http://127.0.0.1:1", "--policy", policyFile], folder);
    assert.match(gone.stderr, /the service does not answer/);
    assert.notEqual(gone.status, 0);
  });

  it("gives no answer twice, and of a sample only sessions that are in it", () => {
    const entry = { kind: "decision", tool: "x", argsHash: null, verdicts: [], atMs: 1, replayed: false };
    const of = (session: string, more: object) =>
      ({ ...entry, dimensions: { session }, ...more }) as unknown as DecisionEntry;
    const sampled = callsOfEntries([
      of("in", { allowed: true, weight: 4 }),
      of("in", { allowed: false, weight: 4 }),
      of("beside", { allowed: false, weight: 1 }),
      of("in", { allowed: true, weight: 4, replayed: true }),
    ]);
    assert.deepEqual([sampled.calls.length, sampled.skipped, sampled.isSample], [2, 2, true]);
  });
});
