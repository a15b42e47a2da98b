// `tollgate replay`: what would this policy have said to these calls, decided by several processes?
// Here everything is checked before anything is charged, and what came out is printed.

import { join } from "node:path";
import { Command } from "commander";
import type { Call } from "../kernel/call.ts";
import { resolveMatches } from "../kernel/charge.ts";
import { invalidOption, MisuseError, withFaults } from "../kernel/errors.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import { amount } from "../kernel/words.ts";
import { createLimiter } from "../limiter.ts";
import { readPolicyText } from "../policy-file/text.ts";
import { parseTrace } from "../simulate/trace.ts";
import { knownPart, type TracedCall } from "../simulate/traced-call.ts";
import { memoryStore } from "../stores/memory.ts";
import { policyLabel, wholeNumber, withPolicyOption, withStoreFile } from "./defaults.ts";
import { readInput } from "./files.ts";
import { asMisuse, freshPrefix } from "./input.ts";
import { serviceAt } from "./replay-job.ts";
import { runReplay, type Totals } from "./replay-run.ts";
import { probeStore, storeLabel, storeUrls } from "./store-url.ts";
import { formatList } from "./table.ts";
import { withTemporaryFolder } from "./temporary-folder.ts";

const MAX_INSTANCES = 64;

interface ReplayOptions {
  readonly policy: string;
  readonly store?: string;
  readonly url?: string;
  readonly instances: string;
  readonly prefix?: string;
  readonly killAfter?: string;
  readonly json?: boolean;
}

export function replayCommand(): Command {
  const command = new Command("replay")
    .description("replay a trace of tool calls over several processes, each deciding with its own connection")
    .argument(
      "<trace>",
      "one call a line, in JSON: session, turn, tool; also tenant, user, agent, model, dimensions, cost, args, error, result",
    );
  return withStoreFile(withPolicyOption(command))
    .option("--store <url>", `where the state lives: ${storeUrls("any")}; a temporary SQLite file unless given`)
    .option("--url <url>", "ask this service instead of a store; its key is in TOLLGATE_API_KEY, and its counts go on")
    .option("--instances <n>", `processes, 1 to ${MAX_INSTANCES}`, "1")
    .option("--prefix <prefix>", "what keys begin with; a fresh one unless given, so that every run counts from zero")
    .option("--kill-after <k>", "kill (SIGKILL) the process that makes decision k while it does so, and start it again")
    .option("--json", "print one JSON object on stdout, and nothing else there")
    .action(replay);
}

async function replay(file: string, options: ReplayOptions): Promise<void> {
  checkService(options);
  const text = readInput(options.policy, "--policy");
  const policy = readPolicyText(text, options.policy).policy;
  const read = parseTrace(readInput(file), file);
  const trace = read.map((traced) => ({ ...traced, call: knownPart(policy, traced.call) }));
  const { prefix = freshPrefix("replay") } = options;
  const instances = wholeNumber("--instances", options.instances, 1, MAX_INSTANCES);
  const killAfter = options.killAfter === undefined ? undefined : wholeNumber("--kill-after", options.killAfter, 1);
  // Refuses a prefix as the workers' limiters would.
  await createLimiter({ policy, store: memoryStore(), prefix }).close();
  checkCalls(policy, prefix, trace, file);
  if (killAfter !== undefined && killAfter > trace.length) {
    const expected = `a decision of the trace, which has ${amount(trace.length, "calls")}`;
    throw invalidOption("--kill-after", expected, killAfter);
  }

  async function play(store: string, label: string): Promise<void> {
    if (store === "memory:" && instances > 1) {
      console.error(`memory: each of the ${instances} processes counts for itself, so the limits are up to`);
      console.error(`${instances} times as high. That is the fault that a shared store mends.`);
    }
    const { url } = options;
    if (url === undefined) await probeStore(store, "any");
    else await probeService(url, trace[0]?.call);
    const totals = await runReplay(trace, { policy: text, store, prefix, url }, { instances, killAfter });
    const run = { file, policy: options.policy, store: label, prefix: url === undefined ? prefix : null, instances };
    if (options.json) console.log(JSON.stringify(summary(totals, policy, run)));
    else printSummary(totals, policy, run);
  }

  const { store, url } = options;
  if (url !== undefined) await play(url, url);
  else if (store !== undefined) await play(store, storeLabel(store));
  else await withTemporaryFolder((folder) => play(`sqlite:${join(folder, "replay.db")}`, "sqlite:(temporary)"));
}

/** Refuses options of a store beside a service. */
function checkService({ url, store, prefix }: ReplayOptions): void {
  if (url === undefined) return;
  const [flag, given] = store === undefined ? ["--prefix", prefix] : ["--store", store];
  if (given !== undefined) throw invalidOption(flag, "nothing beside --url: the service has its own", given);
}

/** Asks the service for what charges nothing, so that a service that fails is found first. */
async function probeService(url: string, call: Call | undefined): Promise<void> {
  if (call === undefined) return;
  const limiter = serviceAt(url);
  try {
    await limiter.peek(call);
  } catch (error) {
    throw asMisuse(error);
  } finally {
    await limiter.close();
  }
}

/** Every call is resolved once before any is charged, so that a bad line charges nothing. */
function checkCalls(policy: CompiledPolicy, prefix: string, trace: readonly TracedCall[], file: string): void {
  for (const { line, call } of trace) {
    try {
      resolveMatches(policy, prefix, call);
    } catch (error) {
      if (!MisuseError.isInstance(error)) throw error;
      throw withFaults(error, (fault) => ({ ...fault, at: `${file}:${line}` }));
    }
  }
}

function summary(totals: Totals, policy: CompiledPolicy, { instances, store }: Played) {
  return {
    calls: totals.calls,
    allowed: totals.allowed,
    denied: totals.calls - totals.allowed,
    deniedBy: Object.fromEntries(denials(totals, policy)),
    instances,
    store,
    p50Ms: totals.percentileMs(0.5),
    p99Ms: totals.percentileMs(0.99),
  };
}

/** How often each limit denied: those of the policy, and those that only the service has. */
function denials({ deniedBy }: Totals, { limits }: CompiledPolicy): ReadonlyMap<string, number> {
  return new Map([...limits.map(({ name }) => [name, 0] as const), ...deniedBy]);
}

interface Played {
  readonly file: string;
  readonly policy: string;
  readonly store: string;
  /** `null`: that of a service. */
  readonly prefix: string | null;
  readonly instances: number;
}

function printSummary(totals: Totals, policy: CompiledPolicy, run: Played): void {
  const denied = [...denials(totals, policy)].map(([name, count]) => `${name} ${count}`).join(", ");
  const processes = [...totals.decidedBy].map(([pid, count]) => `${pid} (${count})`).join(", ");
  const { calls, restart } = totals;
  const rows: [string, string][] = [
    ["trace", run.file],
    ["policy", policyLabel(run.policy)],
    ["store", run.prefix === null ? run.store : `${run.store}, keys begin with ${run.prefix}`],
    ["calls", String(calls)],
    ["allowed", String(totals.allowed)],
    ["denied", `${calls - totals.allowed}: ${denied}`],
    ["decided by", `process ${processes}`],
    ["added", `${totals.percentileMs(0.5)} ms at the median, ${totals.percentileMs(0.99)} ms at p99`],
  ];
  if (restart !== null)
    rows.push(["killed", `process ${restart.killed} with SIGKILL; ${restart.started} took its place`]);
  console.log(formatList(rows));
}
