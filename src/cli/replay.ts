// `tollgate replay`: what would this policy have said to these calls, decided by several processes?
// The coordinator deals calls and adds up answers; every decision is made by a worker, and it holds no count of a limit.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import type { Call } from "../kernel/call.ts";
import { resolveCharges } from "../kernel/charge.ts";
import { MisuseError } from "../kernel/errors.ts";
import type { Policy } from "../kernel/policy.ts";
import { parsePolicy } from "../policy-file.ts";
import { readInput } from "./input.ts";
import { createProgress } from "./progress.ts";
import type { ReplayAnswer, ReplaySettings } from "./replay-job.ts";
import { openStore, STORE_URLS } from "./store-url.ts";
import { misuseAt, parseTrace, type TracedCall } from "./trace.ts";
import { Worker } from "./worker-pool.ts";

const MAX_INSTANCES = 64;
/** Sessions that have a call under way at one time. */
const SIDE_BY_SIDE = 64;

interface ReplayOptions {
  readonly policy: string;
  readonly store?: string;
  readonly instances: number;
  readonly prefix?: string;
  readonly killAfter?: number;
  readonly json?: boolean;
}

export function replayCommand(): Command {
  return new Command("replay")
    .description("replay a trace of tool calls over several processes, each deciding with its own connection")
    .argument("<trace>", "one call a line, in JSON: session, turn, tool; also tenant, user, id, args")
    .requiredOption("--policy <file>", "the policy, in YAML or JSON")
    .option("--store <url>", `where the state lives: ${STORE_URLS}; a temporary SQLite file unless given`)
    .option("--instances <n>", `processes, 1 to ${MAX_INSTANCES}`, wholeNumber(1, MAX_INSTANCES), 1)
    .option("--prefix <prefix>", "what keys begin with; a fresh one unless given, so that every run counts from zero")
    .option("--kill-after <k>", "kill the process of decision k with SIGKILL, and start it again", wholeNumber(1))
    .option("--json", "print one JSON object on stdout, and nothing else there")
    .action(replay);
}

async function replay(file: string, options: ReplayOptions): Promise<void> {
  const text = readInput(options.policy);
  const policy = parsePolicy(text, options.policy);
  const trace = parseTrace(readInput(file), file);
  const prefix = options.prefix ?? `replay-${crypto.randomUUID().slice(0, 8)}`;
  checkCalls(policy, prefix, trace, file);
  const temporary = options.store === undefined ? mkdtempSync(join(tmpdir(), "tollgate-")) : null;
  const store = options.store ?? `sqlite:${join(temporary ?? "", "replay.db")}`;
  if (store === "memory:" && options.instances > 1) {
    console.error(`memory: each of the ${options.instances} processes counts for itself, so the limits are up to`);
    console.error(`${options.instances} times as high. That is the fault that a shared store mends.`);
  }
  try {
    await openStore(store).close();
    const totals = await run(trace, { policy: text, store, prefix }, options);
    if (options.json) console.log(JSON.stringify(summary(totals, policy, trace.length, options.instances, store)));
    else printSummary(totals, policy, { file, store: options.store ?? "sqlite: (temporary)", prefix });
  } finally {
    if (temporary !== null) rmSync(temporary, { recursive: true });
  }
}

/** Every call is resolved once before any is charged, so that a bad line charges nothing. */
function checkCalls(policy: Policy, prefix: string, trace: readonly TracedCall[], file: string): void {
  for (const { line, call } of trace) {
    try {
      resolveCharges(policy, prefix, call);
    } catch (error) {
      throw MisuseError.isInstance(error) ? misuseAt(file, line, error.message) : error;
    }
  }
}

/** What a replay adds up. */
class Totals {
  allowed = 0;
  readonly deniedBy = new Map<string, number>();
  readonly decidedBy = new Map<number, number>();
  readonly latenciesMs: number[] = [];
  restart: { readonly killed: number; readonly started: number } | null = null;

  add({ allowed, deniedBy, ms }: ReplayAnswer, pid: number): void {
    if (allowed) this.allowed++;
    if (deniedBy !== null) this.deniedBy.set(deniedBy, (this.deniedBy.get(deniedBy) ?? 0) + 1);
    this.decidedBy.set(pid, (this.decidedBy.get(pid) ?? 0) + 1);
    this.latenciesMs.push(ms);
  }

  percentileMs(share: number): number {
    const sorted = this.latenciesMs.toSorted((a, b) => a - b);
    const ms = sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0;
    return Math.round(ms * 1_000) / 1_000;
  }
}

async function run(trace: readonly TracedCall[], settings: ReplaySettings, options: ReplayOptions): Promise<Totals> {
  const totals = new Totals();
  const progress = createProgress(trace.length);
  const workers = Array.from({ length: options.instances }, () => new Worker<Call, ReplayAnswer>("replay", settings));
  let restarted: Promise<void> | null = null;

  async function playSession(calls: readonly Call[], offset: number): Promise<void> {
    for (const [i, call] of calls.entries()) {
      const worker = workers[(offset + i) % workers.length] as Worker<Call, ReplayAnswer>;
      const { result, pid } = await worker.perform(call);
      totals.add(result, pid);
      progress.tick();
      if (totals.latenciesMs.length !== options.killAfter) continue;
      restarted = worker.restart().then((restart) => {
        totals.restart = restart;
      });
    }
  }

  try {
    const sessions = [...Map.groupBy(trace, ({ call }) => String(call.session)).values()];
    const waiting = sessions.entries();
    const players = Array.from({ length: SIDE_BY_SIDE }, async () => {
      for (const [offset, session] of waiting)
        await playSession(
          session.map(({ call }) => call),
          offset,
        );
    });
    await Promise.all(players);
    await restarted;
    return totals;
  } finally {
    progress.end();
    await Promise.all(workers.map((worker) => worker.stop()));
  }
}

/** What `--json` prints. */
function summary(totals: Totals, policy: Policy, calls: number, instances: number, store: string) {
  return {
    calls,
    allowed: totals.allowed,
    denied: calls - totals.allowed,
    deniedBy: Object.fromEntries(policy.limits.map(({ name }) => [name, totals.deniedBy.get(name) ?? 0])),
    instances,
    store,
    p50Ms: totals.percentileMs(0.5),
    p99Ms: totals.percentileMs(0.99),
  };
}

function printSummary(totals: Totals, policy: Policy, run: { file: string; store: string; prefix: string }): void {
  const calls = totals.latenciesMs.length;
  const denials = policy.limits.map(({ name }) => `${name} ${totals.deniedBy.get(name) ?? 0}`).join(", ");
  const processes = [...totals.decidedBy].map(([pid, count]) => `${pid} (${count})`).join(", ");
  const { restart } = totals;
  const rows = [
    ["trace", run.file],
    ["store", `${run.store}, keys begin with ${run.prefix}`],
    ["calls", String(calls)],
    ["allowed", String(totals.allowed)],
    ["denied", `${calls - totals.allowed}: ${denials}`],
    ["decided by", `process ${processes}`],
    ["added", `${totals.percentileMs(0.5)} ms at the median, ${totals.percentileMs(0.99)} ms at p99`],
  ];
  if (restart !== null)
    rows.push(["killed", `process ${restart.killed} with SIGKILL; ${restart.started} took its place`]);
  console.log(rows.map(([name = "", value]) => `${name.padEnd(10)}  ${value}`).join("\n"));
}

function wholeNumber(min: number, max = Number.MAX_SAFE_INTEGER) {
  return (text: string) => {
    const number = Number(text);
    if (/^[0-9]+$/.test(text) && number >= min && number <= max) return number;
    throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`);
  };
}
