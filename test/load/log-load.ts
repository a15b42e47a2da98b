// 10,000 decisions a second with the log in a SQLite file. It exits with 1 unless the file, what waits and the memory stay bounded, and every
// decision is counted, and kept, sampled or dropped.
//
// npm run test:load:log -- [--short] [--per-second N]

import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createLimiter } from "tollgate";
import { sqliteLog } from "tollgate/log/sqlite";
import { memoryStore } from "tollgate/stores/memory";
import { DatabaseSync } from "node:sqlite";
import { boundRun, progress } from "../../bench/harness.ts";

const FULL = { seconds: 600, maxBytes: 64_000_000 };
const SHORT = { seconds: 20, maxBytes: 8_000_000 };
const TICK_MS = 10;
const SESSIONS = 5_000;
const DENIED_EVERY = 5;

const { values } = parseArgs({
  options: { short: { type: "boolean", default: false }, "per-second": { type: "string", default: "10000" } },
});
const { seconds, maxBytes } = values.short ? SHORT : FULL;
const perSecond = Number(values["per-second"]);
boundRun(values.short ? 2 : 15);

const folder = mkdtempSync(join(tmpdir(), "tollgate-log-load-"));
const path = join(folder, "decisions.db");
const log = sqliteLog(path, { maxBytes });
const limits = [
  { name: "calls", per: ["session"], quota: 1_000_000_000 },
  { name: "never", per: ["session"], quota: 0, when: { tool: ["forbidden"] } },
] as const;
const limiter = createLimiter({ policy: { version: 1, limits }, store: memoryStore(), log });

const begunMs = performance.now();
let made = 0;
let largestBytes = 0;
let firstMemory = 0;
let lastTellMs = begunMs;
while (performance.now() - begunMs < seconds * 1_000) {
  const due = Math.floor(((performance.now() - begunMs) / 1_000) * perSecond);
  for (; made < due; made++) {
    const tool = made % DENIED_EVERY === 0 ? "forbidden" : `tool-${made % 20}`;
    await limiter.consume({
      tool,
      session: `s${made % SESSIONS}`,
      user: `u${made % 300}`,
      tenant: `t${made % 5}`,
      args: { page: made },
    });
  }
  await new Promise((resolve) => setTimeout(resolve, TICK_MS));
  if (performance.now() - lastTellMs < seconds * 100) continue;
  lastTellMs = performance.now();
  largestBytes = Math.max(largestBytes, statSync(path).size);
  const memory = process.memoryUsage().rss;
  if (firstMemory === 0) firstMemory = memory;
  progress(`${made} decisions, file ${(largestBytes / 1e6).toFixed(1)} MB, memory ${(memory / 1e6).toFixed(0)} MB`);
}
const tookSeconds = (performance.now() - begunMs) / 1_000;
const memory = process.memoryUsage().rss;
await limiter.close();
largestBytes = Math.max(largestBytes, statSync(path).size);

const database = new DatabaseSync(path);
const [sums] = database
  .prepare(`SELECT sum(calls) AS calls, sum(denied) AS denied, sum(logged) AS logged, sum(dropped) AS dropped
  FROM minutes WHERE "limit" = ''`)
  .all();
database.close();
rmSync(folder, { recursive: true });
const { calls, denied, logged, dropped } = sums as Record<"calls" | "denied" | "logged" | "dropped", number>;

const checks: Record<string, boolean> = {
  "every decision is counted": calls === made,
  "every denial is counted": denied === Math.ceil(made / DENIED_EVERY),
  "nothing is dropped": dropped === 0,
  "what is not kept is a sample": logged > 0 && logged <= made,
  "the file is at most a tenth larger than it may be": largestBytes <= maxBytes * 1.1,
  "the memory does not grow": values.short || memory < firstMemory * 1.3 + 50_000_000,
};
const rate = Math.round(made / tookSeconds);
console.log(
  `${made} decisions in ${tookSeconds.toFixed(1)} s (${rate} a second): ${logged} kept, ${made - logged - dropped} sampled, ${dropped} dropped`,
);
console.log(
  `file at most ${(largestBytes / 1e6).toFixed(1)} of ${maxBytes / 1e6} MB, memory ${(firstMemory / 1e6).toFixed(0)} to ${(memory / 1e6).toFixed(0)} MB`,
);
const failed = Object.entries(checks).filter(([, isRight]) => !isRight);
for (const [name] of failed) console.error(`not so: ${name}`);
process.exitCode = failed.length === 0 ? 0 : 1;
