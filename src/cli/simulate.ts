// `tollgate simulate`: what would this policy have done with these calls, and what another one? Decided in this process, in
// virtual time.

import { Command, Option } from "commander";
import type { Judgement } from "../kernel/answer.ts";
import { invalidOption } from "../kernel/errors.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import { readPolicyText } from "../policy-file/text.ts";
import { type Comparison, Comparing } from "../simulate/comparison.ts";
import { Series } from "../simulate/report/series.ts";
import { simulate, type Timeline } from "../simulate/simulate.ts";
import { type SimulationResult, Tally } from "../simulate/tally.ts";
import { FORMATS } from "../simulate/readers/read.ts";
import type { TracedCall } from "../simulate/traced-call.ts";
import { collect, policyIn, withPolicyOption } from "./defaults.ts";
import { readInput } from "./files.ts";
import { isLogUrl } from "./log-url.ts";
import { createProgress } from "./progress.ts";
import { CallLines } from "./simulate-csv.ts";
import { inject, injectedText, runawayLength } from "./simulate-inject.ts";
import { writeReport } from "./simulate-html.ts";
import { notesOn } from "../simulate/notes.ts";
import { writeSuggestion } from "./simulate-suggest.ts";
import { type TimelineOptions, timelineAt } from "./simulate-timeline.ts";
import { storeLabel } from "./store-url.ts";
import { comparisonText, resultText } from "./simulate-text.ts";

interface SimulateOptions extends TimelineOptions {
  readonly policy: string;
  readonly against?: string;
  readonly suggest?: string;
  readonly inject?: string;
  readonly html?: string;
  readonly json?: boolean;
  readonly csv?: boolean;
}

export function simulateCommand(): Command {
  const command = new Command("simulate")
    .description("show what a policy would have done with recorded calls, and where another policy would differ")
    .argument(
      "<trace>",
      "a trace as `tollgate replay` reads it, or - for stdin; a decision log, as --log of serve names it; the address of a service, whose key is in TOLLGATE_API_KEY; spans in OTLP's JSON; session files of Claude Code, or their folder; traces of OpenAI Agents",
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
    .option("--html <file>", "also write a report with charts into this file, which needs no other file")
    .option("--json", "print one JSON object on stdout, and nothing else there")
    .option("--csv", "print one line for each call on stdout, in CSV, and nothing else there")
    .action(run);
}

async function run(trace: string, options: SimulateOptions, command: Command): Promise<void> {
  const file = isLogUrl(trace) ? storeLabel(trace) : trace;
  const { against, suggest, json = false, csv = false } = options;
  if (json && csv) throw invalidOption("--json and --csv", "one of them", "both");
  if (suggest !== undefined && command.getOptionValueSource("policy") === "cli") {
    throw invalidOption("--policy and --suggest", "one of them; --against compares with another policy", "both");
  }
  const length = options.inject === undefined ? null : runawayLength(options.inject);
  const timeline = await timelineAt(trace, options);
  const suggested = suggest === undefined ? null : await writeSuggestion(timeline.calls, file, suggest);
  const policy = suggest ?? options.policy;
  const policies = [policyIn(policy)];
  if (against !== undefined) policies.push(readPolicyText(readInput(against, "--against"), against).policy);
  const notes = notesOn(policies, timeline);
  for (const note of notes) console.error(note);
  const lines = csv ? new CallLines(against !== undefined) : null;
  const { results, series, comparison } = await play(policies, timeline, file, lines);
  lines?.end();
  const injected = length === null ? null : await inject(policies, timeline.calls, length);
  if (options.html !== undefined) {
    const shown = { names: [policy, against ?? ""], policies, results, series, comparison, injected };
    writeReport(options.html, file, shown, notes);
  }
  const [result, other] = results as [SimulationResult, SimulationResult?];
  const names = { trace: file, policy, against };
  if (csv) return;
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

interface Played {
  readonly results: readonly SimulationResult[];
  readonly series: readonly Series[];
  readonly comparison: Comparison;
}

async function play(
  policies: readonly CompiledPolicy[],
  { calls }: Timeline,
  source: string,
  lines: CallLines | null,
): Promise<Played> {
  const tallies = policies.map((policy) => new Tally(policy));
  const series = policies.map(() => new Series(calls.length));
  const comparing = new Comparing();
  const progress = createProgress(calls.length);
  const add = (traced: TracedCall, decisions: readonly Judgement[]) => {
    const [nth = 0] = tallies.map((tally, i) => tally.add(traced, decisions[i] as Judgement));
    for (const [i, each] of series.entries()) each.add(traced, decisions[i] as Judgement);
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
  return { results: tallies.map((tally) => tally.result()), series, comparison: comparing.result() };
}
