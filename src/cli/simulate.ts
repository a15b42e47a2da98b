// `tollgate simulate`: what would this policy have done with these calls, and what another one? Decided in this process, in
// virtual time.

import { Command, Option } from "commander";
import type { Judgement } from "../kernel/answer.ts";
import { invalidOption } from "../kernel/errors.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import { readPolicyText } from "../policy-file/text.ts";
import { type Comparison, Comparing } from "../simulate/comparison.ts";
import { simulate, type Timeline } from "../simulate/simulate.ts";
import { type SimulationResult, Tally } from "../simulate/tally.ts";
import { FORMATS } from "../simulate/readers/read.ts";
import type { TracedCall } from "../simulate/traced-call.ts";
import { collect, policyIn, withPolicyOption } from "./defaults.ts";
import { readInput } from "./files.ts";
import { createProgress } from "./progress.ts";
import { CallLines } from "./simulate-csv.ts";
import { inject, injectedText, runawayLength } from "./simulate-inject.ts";
import { notesOn } from "./simulate-notes.ts";
import { writeSuggestion } from "./simulate-suggest.ts";
import { type TimelineOptions, timelineAt } from "./simulate-timeline.ts";
import { comparisonText, resultText } from "./simulate-text.ts";

interface SimulateOptions extends TimelineOptions {
  readonly policy: string;
  readonly against?: string;
  readonly suggest?: string;
  readonly inject?: string;
  readonly json?: boolean;
  readonly csv?: boolean;
}

export function simulateCommand(): Command {
  const command = new Command("simulate")
    .description("show what a policy would have done with recorded calls, and where another policy would differ")
    .argument(
      "<trace>",
      "a trace as `tollgate replay` reads it; a decision log, as sqlite:PATH; spans in OTLP's JSON; session files of Claude Code, or their folder; traces of OpenAI Agents",
    );
  return withPolicyOption(command)
    .option("--against <file>", "a second policy: show which calls only one of the two denies")
    .option("--suggest <file>", "write a policy that fits the trace into this file, and simulate that")
    .option("--inject <what>", "runaway, or runaway=CALLS: also show what agents that run away could do")
    .addOption(
      new Option("--format <format>", "the format of the trace, which is recognised otherwise").choices(FORMATS),
    )
    .option("--map <dimension=attribute>", "where spans have it, such as user=app.user; may be repeated", collect)
    .option("--every <duration>", "for a trace without times: how far apart its calls are, such as 1s")
    .option("--json", "print one JSON object on stdout, and nothing else there")
    .option("--csv", "print one line for each call on stdout, in CSV, and nothing else there")
    .action(run);
}

async function run(file: string, options: SimulateOptions, command: Command): Promise<void> {
  const { against, suggest, json = false, csv = false } = options;
  if (json && csv) throw invalidOption("--json and --csv", "one of them", "both");
  if (suggest !== undefined && command.getOptionValueSource("policy") === "cli") {
    throw invalidOption("--policy and --suggest", "one of them; --against compares with another policy", "both");
  }
  const length = options.inject === undefined ? null : runawayLength(options.inject);
  const timeline = await timelineAt(file, options);
  const suggested = suggest === undefined ? null : await writeSuggestion(timeline.calls, file, suggest);
  const policy = suggest ?? options.policy;
  const policies = [policyIn(policy)];
  if (against !== undefined) policies.push(readPolicyText(readInput(against, "--against"), against).policy);
  for (const note of notesOn(policies, timeline)) console.error(note);
  const lines = csv ? new CallLines(against !== undefined) : null;
  const { results, comparison } = await play(policies, timeline, file, lines);
  if (lines !== null) return lines.end();
  const injected = length === null ? null : await inject(policies, timeline.calls, length);
  const [result, other] = results as [SimulationResult, SimulationResult?];
  const names = { trace: file, policy, against };
  if (json) {
    const compared = other === undefined ? result : { first: result, second: other, ...comparison };
    console.log(JSON.stringify({ ...names, ...compared, ...(injected === null ? {} : { injected }) }));
    return;
  }
  const parts = [other === undefined ? resultText(names, result) : comparisonText(names, [result, other], comparison)];
  if (suggested !== null) parts.unshift(suggested.lines.join("\n"));
  if (injected !== null) parts.push(injectedText(injected));
  console.log(parts.join("\n\n"));
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
  const add = (traced: TracedCall, decisions: readonly Judgement[]) => {
    const [nth = 0] = tallies.map((tally, i) => tally.add(traced, decisions[i] as Judgement));
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
