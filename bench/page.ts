// A whole run as text: tables for a terminal, and the page RESULTS.md.

import { aboutLines, type Circumstances, number, percent, table } from "./harness.ts";
import { type Goal, type Headline, isReached, type Measured, type Section } from "./section.ts";

/** The results of one section. */
export interface Result extends Measured, Pick<Section, "title" | "meaning"> {
  /** What other programs used of all cores just before or after it, 0 to 1. */
  readonly usedByOthers: number;
}

/** What others may use of a machine that is quiet. */
export const QUIET = 0.1;

export interface Run {
  readonly about: Circumstances;
  readonly seconds: number;
  readonly results: readonly Result[];
  /** Sections whose server is not installed. */
  readonly skipped: readonly Missing[];
  readonly failed: readonly Missing[];
}

/** A section without figures, and why. */
export interface Missing {
  readonly name: string;
  readonly reason: string;
}

export function terminalOf(run: Run): string {
  return [
    aboutLines(run.about, workOf(run)),
    ...run.results.map(({ title, work, tables }) => [`## ${title}: ${work}`, ...tables.map(textOf)].join("\n\n")),
    goalTable(goalsOf(run)),
    quietness(run),
    ...run.skipped.map(({ name, reason }) => `skipped: ${name}, ${reason}`),
    ...run.failed.map(({ name, reason }) => `failed: ${name}, ${reason}`),
  ].join("\n\n");
}

const goalsOf = ({ results }: Run) => results.flatMap(({ goals }) => goals);
const textOf = ({ head, rows }: Result["tables"][number]) => table(head, rows);

const workOf = ({ results, seconds }: Run) =>
  `${results.length} sections, one after the other, each in a process of its own, ${Math.round(seconds)} s`;

export function pageOf(run: Run): string {
  const { about, results } = run;
  return `# How fast Tollgate is

${headOf(
  results.flatMap(({ headlines = [] }) => headlines),
  about,
)}

![The first figure of each table as bars](RESULTS.svg)

## How it was measured

${aboutLines(about, workOf(run))}

${quietness(run)}

One run of this command writes the whole page. In each section all contenders take turns, round after round, and each
round begins with another contender. Before the first round each decides calls for two seconds or more, as a program
that has run for a while. Each contender gets a new state and new strings in each round. The run fails when a contender admits another number of calls than its own rule allows. A speed is the median
of the rounds. "To Tollgate" is the median of the ratios within a round, and so is the figure of a goal. Where a peer can
be used in several ways, a goal is about the fastest of them.

Clients and servers share the cores of one machine. Where one process asks one Redis, Redis has a core to itself: otherwise
the scheduler puts both on one core in some runs and not in others. Compare the ratios: the decisions per second of another machine
differ. A floor is code that only counts. The difference to it is the price of a policy, checks, expiry and verdicts.

No benchmark library is used. [Decision 61](../docs/decisions/0061-no-benchmark-library.md) says why.

${results.map(sectionOf).join("\n\n")}

## Goals

${goalTable(goalsOf(run))}

${missedOf(goalsOf(run))}
`;
}

/** Whether other programs have disturbed the run, and which sections. */
function quietness({ results }: Run): string {
  const busy = results.filter(({ usedByOthers }) => usedByOthers > QUIET);
  if (busy.length === 0)
    return `The machine was quiet: before and after each section, other programs used at most ${percent(QUIET)} of it.`;
  const named = busy.map(({ title, usedByOthers }) => `${title} (${percent(usedByOthers)})`);
  return `The machine was busy: other programs used more than ${percent(QUIET)} of it before or after ${named.join(", ")}.`;
}

/** What a reader wants to know first: how fast, compared with what, on what machine. */
function headOf(headlines: readonly Headline[], { cpu, cores }: Circumstances): string {
  const rows = headlines.map(({ what, tollgate, other }) => {
    return [what, number(tollgate), other.name, number(other.median), times({ other })];
  });
  const [faster, slower] = [true, false].map((isFaster) => {
    const some = headlines
      .filter(({ other }) => other.ratio <= 1 === isFaster)
      .toSorted((a, b) => b.other.ratio - a.other.ratio);
    const stores = new Set(some.map(({ what }) => what.split(",")[0] ?? ""));
    const [least, most] = [some.at(0), some.at(-1)].map((each) => each && times(each));
    return { stores: new Intl.ListFormat("en").format(stores), range: `${least} to ${most} times` };
  });
  return [
    `Decisions per second on a machine with ${cores} cores (${cpu}), which clients and servers share:`,
    table(["", "Tollgate", "the fastest other code", "its decisions/s", "Tollgate to it"], rows),
    `With ${faster?.stores}, Tollgate makes ${faster?.range} as many decisions a second as the fastest other code. With
${slower?.stores} it makes ${slower?.range} as many, because it also checks the call, applies a policy and returns a
verdict for each limit.`,
  ].join("\n\n");
}

const times = ({ other }: Pick<Headline, "other">) => (1 / other.ratio).toFixed(2);

function sectionOf({ title, work, tables, meaning }: Result): string {
  return [`## ${title}`, `${work}.`, ...tables.map(textOf), meaning].join("\n\n");
}

function goalTable(goals: readonly Goal[]): string {
  const rows = goals.map((goal) => {
    const { what, bound, wanted, measured } = goal;
    return [what, `${bound} ${wanted}`, shown(measured), isReached(goal) ? "yes" : "no"];
  });
  return table(["goal", "wanted", "measured", "reached"], rows);
}

function missedOf(goals: readonly Goal[]): string {
  const byReason = Map.groupBy(
    goals.filter((goal) => !isReached(goal)),
    ({ reason = "The reason is not known." }) => reason,
  );
  if (byReason.size === 0) return "All goals were reached.";
  const lines = [...byReason].map(([reason, missed]) => `- ${missed.map(({ what }) => what).join("; ")}. ${reason}`);
  return ["Why goals were missed:", "", ...lines].join("\n");
}

function shown(value: number): string {
  if (Math.abs(value) < 10) return value.toFixed(2);
  return Math.abs(value) < 1_000 ? value.toFixed(1) : number(value);
}
