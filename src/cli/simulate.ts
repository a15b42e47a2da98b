// `tollgate simulate`: what would this policy have done with these calls, and what another one? Decided in this process, in
// virtual time.

import { Command } from "commander";
import type { Decision } from "../kernel/decision.ts";
import { formatDuration, MAX_DURATION_MS, parseDuration } from "../kernel/duration.ts";
import { invalidOption } from "../kernel/errors.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import { readPolicyText } from "../policy-file/text.ts";
import { type Comparison, Comparing } from "../simulate/comparison.ts";
import { simulate, type Timeline, timelineOf } from "../simulate/simulate.ts";
import { type SimulationResult, Tally } from "../simulate/tally.ts";
import { parseTrace } from "../simulate/trace.ts";
import type { TracedCall } from "../simulate/traced-call.ts";
import { policyIn, withPolicyOption } from "./defaults.ts";
import { readInput } from "./files.ts";
import { createProgress } from "./progress.ts";
import { CallLines } from "./simulate-csv.ts";
import { notesOn } from "./simulate-notes.ts";
import { comparisonText, resultText } from "./simulate-text.ts";

interface SimulateOptions {
  readonly policy: string;
  readonly against?: string;
  readonly every?: string;
  readonly json?: boolean;
  readonly csv?: boolean;
}

export function simulateCommand(): Command {
  const command = new Command("simulate")
    .description("show what a policy would have done with recorded calls, and where another policy would differ")
    .argument("<trace>", "a file with one call a line, in JSON, as `tollgate replay` reads it");
  return withPolicyOption(command)
    .option("--against <file>", "a second policy: show which calls only one of the two denies")
    .option("--every <duration>", "for a trace without times: how far apart its calls are, such as 1s")
    .option("--json", "print one JSON object on stdout, and nothing else there")
    .option("--csv", "print one line for each call on stdout, in CSV, and nothing else there")
    .action(run);
}

async function run(file: string, options: SimulateOptions): Promise<void> {
  const { policy, against, json = false, csv = false } = options;
  if (json && csv) throw invalidOption("--json and --csv", "one of them", "both");
  const policies = [policyIn(policy)];
  if (against !== undefined) policies.push(readPolicyText(readInput(against, "--against"), against).policy);
  const timeline = timelineIn(file, options.every);
  for (const note of notesOn(policies, timeline)) console.error(note);
  const lines = csv ? new CallLines(against !== undefined) : null;
  const { results, comparison } = await play(policies, timeline, file, lines);
  if (lines !== null) return lines.end();
  const [result, other] = results as [SimulationResult, SimulationResult?];
  const names = { trace: file, policy, against };
  if (other === undefined) console.log(json ? JSON.stringify({ ...names, ...result }) : resultText(names, result));
  else if (json) console.log(JSON.stringify({ ...names, first: result, second: other, ...comparison }));
  else console.log(comparisonText(names, [result, other], comparison));
}

function timelineIn(file: string, every: string | undefined): Timeline {
  const everyMs = every === undefined ? undefined : parseDuration(every);
  if (everyMs === null) {
    throw invalidOption("--every", `a duration such as 1s, at most ${formatDuration(MAX_DURATION_MS)}`, every);
  }
  const calls = parseTrace(readInput(file), file);
  if (everyMs !== undefined && calls.some(({ atMs }) => atMs !== null)) {
    throw invalidOption("--every", "a trace without times", `one whose lines have \`at\``);
  }
  return timelineOf(calls, everyMs);
}

async function play(
  policies: readonly CompiledPolicy[],
  { calls }: Timeline,
  source: string,
  lines: CallLines | null,
): Promise<{ readonly results: readonly SimulationResult[]; readonly comparison: Comparison }> {
  const tallies = policies.map((policy) => new Tally(policy));
  const comparing = new Comparing();
  const progress = createProgress(calls.length);
  const add = (traced: TracedCall, decisions: readonly Decision[]) => {
    const [nth = 0] = tallies.map((tally, i) => tally.add(traced, decisions[i] as Decision));
    const [first, second] = decisions;
    if (first !== undefined && second !== undefined) comparing.add(traced, nth, first, second);
    lines?.add(traced, nth, decisions);
    progress.tick();
  };
  try {
    await simulate(policies, calls, add, source);
  } finally {
    progress.end();
  }
  return { results: tallies.map((tally) => tally.result()), comparison: comparing.result() };
}
