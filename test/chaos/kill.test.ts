// Nothing acknowledged is lost when a process is killed at any point (invariant 6), and nothing is half booked (3).

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createLimiter } from "tollgate";
import { sqliteStore } from "tollgate/stores/sqlite";
import { temporaryFolder } from "../temporary.ts";
import { CALLERS, POLICY } from "./kill-policy.ts";
import { LOADER } from "../sources.ts";

const WORKER = fileURLToPath(new URL("./kill-worker.ts", import.meta.url));
const ROUNDS = Number(process.env.TOLLGATE_KILL_ROUNDS ?? 4);
const PROCESSES = 3;

/** Runs processes on a file, kills each at a moment of its own, and says how many admissions they acknowledged. */
async function runAndKill(file: string): Promise<number> {
  const acknowledged = await Promise.all(
    Array.from({ length: PROCESSES }, async () => {
      const child = spawn(process.execPath, ["--conditions=tollgate-source", LOADER, WORKER, file], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      let bytes = 0;
      child.stdout.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
      });
      await once(child.stdout, "data");
      await sleep(Math.random() * 150);
      child.kill("SIGKILL");
      await once(child, "close");
      return bytes;
    }),
  );
  return acknowledged.reduce((sum, bytes) => sum + bytes, 0);
}

describe("kill -9 at a random point", () => {
  it(`loses nothing acknowledged on SQLite, in ${ROUNDS} rounds of ${PROCESSES} processes`, async (context) => {
    const file = join(temporaryFolder(), "kill.db");
    let acknowledged = 0;
    for (let round = 1; round <= ROUNDS; round++) {
      acknowledged += await runAndKill(file);
      const limiter = createLimiter({ policy: POLICY, store: sqliteStore(file) });
      const [session, tool] = await limiter.usage({ session: "s1", tool: "search" });
      await limiter.close();
      const used = session?.used ?? 0;
      assert.equal(used, tool?.used, "the two limits of each call were booked together");
      const inFlight = round * PROCESSES * CALLERS;
      assert.ok(used >= acknowledged, `${acknowledged} were acknowledged, ${used} are left`);
      assert.ok(
        used <= acknowledged + inFlight,
        `${used} are booked, ${acknowledged} acknowledged, ${inFlight} in flight`,
      );
    }
    assert.ok(acknowledged > 0);
    context.diagnostic(`${acknowledged} admissions acknowledged`);
  });
});
