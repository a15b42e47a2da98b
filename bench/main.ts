// The benchmarks: all of them in one run, section after section, each in a process of its own, beside the peers and the floor.
// It holds no figure: each is measured in the run that prints it.
//
// npm run bench -- [--short] [--json] [--write] [--only NAME,...]

import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { circumstances, progress } from "./harness.ts";
import { type Missing, pageOf, type Result, type Run, terminalOf } from "./page.ts";
import { plotOf } from "./plot.ts";
import type { Measured, Server } from "./section.ts";
import { NAMES, sectionNamed } from "./sections.ts";
import { serverVersions } from "./servers.ts";

const PACKAGES = ["tollgate", "rate-limiter-flexible", "express-rate-limit", "ioredis", "redis", "pg"];
/** A section that hangs is ended. */
const LONGEST_MS = 600_000;

const { json, short, write, only } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    short: { type: "boolean", default: false },
    write: { type: "boolean", default: false },
    only: { type: "string" },
  },
}).values;
const names = only === undefined ? NAMES : only.split(",");
if (write && (short || only !== undefined)) throw new Error("--write wants a full run: leave out --short and --only");

// Servers are ended with the processes that began them: those must end in the ordinary way.
process.once("SIGTERM", () => process.exit(1));

async function runAll(names: readonly string[]): Promise<Run> {
  const versions = serverVersions();
  const engines = [versions.redis, versions.postgres, `SQLite ${process.versions.sqlite}`].filter(
    (each) => each !== null,
  );
  const about = circumstances("npm run bench --", engines.join(", "), PACKAGES);
  const sections = await Promise.all(names.map(async (name) => ({ name, section: await sectionNamed(name) })));
  const startedMs = performance.now();
  const results: Result[] = [];
  const [skipped, failed]: [Missing[], Missing[]] = [[], []];
  for (const { name, section } of sections) {
    const { title, meaning, needs } = section;
    if (needs !== undefined && versions[needs] === null) {
      const reason = `${INSTALLED[needs]} is not installed`;
      progress(`${name} is skipped: ${reason}`);
      skipped.push({ name, reason });
      continue;
    }
    progress(name);
    const sectionMs = performance.now();
    try {
      const measured = await measuredInChild(name);
      results.push({ name, title, meaning, ...measured, seconds: secondsSince(sectionMs) });
    } catch (error) {
      // The others have been measured, or will be: that is shown anyway.
      failed.push({ name, reason: String(error) });
    }
  }
  return { about, isShort: short, seconds: secondsSince(startedMs), results, skipped, failed };
}

const INSTALLED: Readonly<Record<Server, string>> = { redis: "redis-server", postgres: "Postgres" };

const secondsSince = (ms: number) => Math.round((performance.now() - ms) / 100) / 10;

async function measuredInChild(name: string): Promise<Measured> {
  const program = fileURLToPath(new URL("section-process.ts", import.meta.url));
  const args = [...process.execArgv, program, name, ...(short ? ["--short"] : [])];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"], timeout: LONGEST_MS });
  const end = () => child.kill();
  process.once("exit", end);
  const [output, [status]] = await Promise.all([text(child.stdout), once(child, "exit")]);
  process.off("exit", end);
  if (status !== 0) throw new Error(`it ended with ${status}, as is said above`);
  return JSON.parse(output) as Measured;
}

const run = await runAll(names);
console.log(json ? JSON.stringify(run) : terminalOf(run));
if (run.failed.length > 0) process.exitCode = 1;
if (write) {
  const missing = [...run.skipped, ...run.failed].map(({ name }) => name);
  if (missing.length > 0) throw new Error(`nothing is written: ${missing.join(", ")} are missing`);
  writeFileSync(new URL("RESULTS.md", import.meta.url), pageOf(run));
  writeFileSync(new URL("RESULTS.svg", import.meta.url), plotOf(run.results));
}
