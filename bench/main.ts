// The benchmarks in one run, section after section, each in a process of its own.
//
// npm run bench -- [--short] [--write] [--only NAME,...]
//
// A short run only shows that all sections run: two at a time, and without a look at what else the machine does.

import { setTimeout as sleep } from "node:timers/promises";
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { startChildren } from "./children.ts";
import { boundRun, circumstances, percent, progress, usedByOthers } from "./harness.ts";
import { type Missing, pageOf, QUIET, type Result, type Run, terminalOf } from "./page.ts";
import { plotOf } from "./plot.ts";
import type { Measured, Section } from "./section.ts";
import { serverVersions } from "./servers.ts";

/** The sections, in the order of the page. */
const NAMES = [
  "redis-one-limit",
  "redis-three-limits",
  "redis-few",
  "redis-cluster",
  "redis-inside",
  "redis-bytes",
  "latency",
  "memory",
  "memory-bytes",
  "in-process",
  "sqlite",
  "postgres",
  "postgres-few",
  "service",
  "live-redis",
  "live-sqlite",
  "live-postgres",
  "sizes",
];
const PACKAGES = ["tollgate", "rate-limiter-flexible", "express-rate-limit", "ioredis", "redis", "pg"];
/** A section that takes longer is ended. */
const MAX_SECTION_MS = 600_000;
/** A section that fails is measured once more: on a busy machine a call may miss its deadline. */
const MOST_TRIES = 2;
const MAX_MINUTES = 60;
/** By then the processes and servers of a section have ended: they are no other programs. */
const SECTION_ENDS_MS = 3_000;
const INSTALLED = { redis: "redis-server", postgres: "Postgres" };

const { values } = parseArgs({
  options: {
    short: { type: "boolean", default: false },
    write: { type: "boolean", default: false },
    only: { type: "string" },
  },
});
const { short, write, only } = values;
const names = only === undefined ? NAMES : only.split(",");
const unknown = names.filter((name) => !NAMES.includes(name));
if (unknown.length > 0) throw new Error(`--only: found ${unknown.join(", ")}, expected some of ${NAMES.join(", ")}`);
if (write && (short || only !== undefined)) throw new Error("--write needs a full run: leave out --short and --only");
boundRun(MAX_MINUTES);

async function runAll(): Promise<Run> {
  const versions = serverVersions();
  const engines = [versions.redis, versions.postgres, `SQLite ${process.versions.sqlite}`];
  const about = circumstances("npm run bench --", engines.filter((each) => each !== null).join(", "), PACKAGES);
  const startedMs = performance.now();
  const results: (Result | undefined)[] = [];
  const [skipped, failed]: [Missing[], Missing[]] = [[], []];
  const runOne = async (name: string, place: number) => {
    const { section }: { readonly section: Section } = await import(`./sections/${name}.ts`);
    const { title, meaning, needs = [] } = section;
    progress(name);
    const absent = needs.find((server) => versions[server] === null);
    if (absent !== undefined) {
      skipped.push({ name, reason: `${INSTALLED[absent]} is not installed` });
      return;
    }
    const measured = await measuredOrReason(name);
    if (typeof measured === "string") failed.push({ name, reason: measured });
    else results[place] = { title, meaning, ...measured };
  };
  const waiting = names.entries();
  const runNext = async () => {
    for (const [place, name] of waiting) await runOne(name, place);
  };
  await Promise.all(Array.from({ length: short ? 2 : 1 }, runNext));
  const seconds = (performance.now() - startedMs) / 1_000;
  return { about, seconds, results: results.filter((each) => each !== undefined), skipped, failed };
}

/** The figures of a section and how busy the machine was, or why there are none. */
async function measuredOrReason(name: string): Promise<(Measured & Pick<Result, "usedByOthers">) | string> {
  for (let tries = 1; ; tries++) {
    const before = short ? 0 : await usedByOthers();
    try {
      const measured = await measuredInChild(name);
      if (short) return { ...measured, usedByOthers: 0 };
      await sleep(SECTION_ENDS_MS);
      const used = Math.max(before, await usedByOthers());
      if (used > QUIET) progress(`the machine is busy: other programs use ${percent(used)} of it`);
      return { ...measured, usedByOthers: used };
    } catch (error) {
      progress(`${name} has failed: ${error}`);
      if (tries === MOST_TRIES) return String(error);
    }
  }
}

async function measuredInChild(name: string): Promise<Measured> {
  const program = new URL("section-process.ts", import.meta.url);
  using child = await startChildren<boolean, Measured>(program, { args: [name], maxMs: MAX_SECTION_MS });
  const [measured] = await child.ask([short]);
  return measured as Measured;
}

const run = await runAll();
console.log(terminalOf(run));
const missing = [...run.skipped, ...run.failed].map(({ name }) => name);
if (write && missing.length > 0) throw new Error(`nothing is written: ${missing.join(", ")} are missing`);
if (write) {
  writeFileSync(new URL("RESULTS.md", import.meta.url), pageOf(run));
  writeFileSync(new URL("RESULTS.svg", import.meta.url), plotOf(run.results.flatMap(({ tables }) => tables)));
}
process.exitCode = run.failed.length > 0 ? 1 : 0;
