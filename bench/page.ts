// A whole run as text: tables for a terminal, and the page RESULTS.md.

import { aboutLines, type circumstances, number, table } from "./harness.ts";
import { type Goal, isReached, type Measured, type Section } from "./section.ts";

/** What one section came to. */
export interface Result extends Measured, Pick<Section, "title" | "meaning"> {
  readonly name: string;
  readonly seconds: number;
}

export interface Run {
  readonly about: ReturnType<typeof circumstances>;
  readonly isShort: boolean;
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

export function goalTable(goals: readonly Goal[]): string {
  const rows = goals.map((goal) => {
    const { what, bound, wanted, measured } = goal;
    return [
      what,
      `${bound} ${wanted}`,
      measured === null ? "not there yet" : shown(measured),
      isReached(goal) ? "yes" : "no",
    ];
  });
  return table(["goal", "wanted", "measured", "reached"], rows);
}

function shown(value: number): string {
  if (Math.abs(value) < 10) return value.toFixed(2);
  return Math.abs(value) < 1_000 ? value.toFixed(1) : number(value);
}

export function terminalOf({ about, results, skipped, failed, seconds }: Run): string {
  return [
    aboutLines(about, workOf(results, seconds)),
    ...results.map(({ title, work, tables }) =>
      [`## ${title}: ${work}`, ...tables.map(({ head, rows }) => table(head, rows))].join("\n\n"),
    ),
    goalTable(results.flatMap(({ goals }) => goals)),
    ...skipped.map(({ name, reason }) => `skipped: ${name}, ${reason}`),
    ...failed.map(({ name, reason }) => `failed: ${name}, ${reason}`),
  ].join("\n\n");
}

const workOf = (results: readonly Result[], seconds: number) =>
  `${results.length} sections, one after the other, each in a process of its own, ${Math.round(seconds)} s`;

export function pageOf({ about, results, seconds }: Run): string {
  return `# Side by side

Written by the command below from one run; nothing here is edited by hand.

${aboutLines(about, workOf(results, seconds))}

${goalTable(results.flatMap(({ goals }) => goals))}

![A panel for each section](RESULTS.svg)

What the figures mean. In each section all contenders take turns, round after round, after a round that only warms up,
and each round begins with another one. They have a fresh state and fresh strings each round; the run fails when one
admits another number of calls than its own rule says. A speed is the median of the rounds. "To Tollgate" is the median
of the ratios within a round, and so is a goal's figure; where a peer can be asked in several ways, a goal is about the
fastest of them, which it names.

What they do not mean. Clients, servers and whatever else ran share the cores of one machine: compare the ratios, and
carry no decisions per second to another machine. A floor is no limiter: what Tollgate takes longer than it is the price
of a policy, checks, expiry, verdicts and an answer that says why.

${results.map(sectionOf).join("\n\n")}
`;
}

function sectionOf({ title, work, tables, meaning }: Result): string {
  return [`## ${title}`, `${work}.`, ...tables.map(({ head, rows }) => table(head, rows)), meaning].join("\n\n");
}
