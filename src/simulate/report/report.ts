// A simulation as one HTML file: no script, nothing from elsewhere.

import type { CompiledPolicy } from "../../kernel/limit.ts";
import { amount, grouped } from "../../kernel/words.ts";
import type { Comparison, Difference } from "../comparison.ts";
import type { RunawayResult } from "../runaways.ts";
import { CALL_HEADING, callRows, SESSION_HEADING, sessionRows } from "../rows.ts";
import type { SimulationResult } from "../tally.ts";
import { barChart, lengthChart, useChart } from "./charts.ts";
import { element, escaped, table } from "./markup.ts";
import type { Series } from "./series.ts";
import { STYLE } from "./style.ts";

/** Rows of a table. */
const MAX_ROWS = 50;
const CSP = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/** One policy, and what it did. */
export interface Reported {
  readonly name: string;
  readonly policy: CompiledPolicy;
  readonly result: SimulationResult;
  readonly series: Series;
  /** `null`: none were injected. */
  readonly runaways: readonly RunawayResult[] | null;
}

export interface Report {
  readonly trace: string;
  /** One policy, or two that are compared. */
  readonly policies: readonly [Reported, Reported?];
  readonly comparison: Comparison;
  readonly notes: readonly string[];
}

export function reportPage(report: Report): string {
  const [first, second] = report.policies;
  const policies = second === undefined ? [first] : [first, second];
  const title = `Simulation of ${report.trace}`;
  const parts = [
    `<h1>${escaped(title)}</h1>`,
    summary(policies),
    ...report.notes.map((note) => element("p", "note", escaped(note))),
    limitChart(policies),
    lengthChart("Calls of a session", first.series.sessionLengths(), policies.flatMap(sessionQuotas)),
    ...useCharts(policies),
    ...policies.map((each) => sessionTable(each, policies.length > 1)),
    ...(second === undefined ? [] : differences(first, second, report.comparison)),
    runawayTable(policies),
  ];
  const head = `<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="${CSP}">
<meta name="viewport" content="width=device-width"><title>${escaped(title)}</title><style>${STYLE}</style>`;
  return `<!doctype html>\n<html lang="en"><head>${head}</head>\n<body><main>\n${parts.join("\n")}\n</main></body></html>\n`;
}

function summary(policies: readonly Reported[]): string {
  const [first] = policies as [Reported];
  const heading = ["policy", "calls denied", "in sessions", "allowed"];
  const rows = policies.map(({ name, result }) => [
    name,
    `${grouped(result.denied)} (${share(result.denied, result.calls)})`,
    grouped(result.sessionsDenied),
    grouped(result.allowed),
  ]);
  const spent = policies.flatMap(({ name, result }) =>
    Object.entries(result.wouldHaveSpent).map(([unit, all]) => {
      return [name, unit, amount(result.spent[unit] ?? 0, unit), amount(all, unit)];
    }),
  );
  const calls = `${amount(first.result.calls, "calls")} of ${amount(first.result.sessions, "sessions")}.`;
  const costs = spent.length === 0 ? "" : table(["policy", "unit", "spent", "without the policy"], spent);
  return `<p>${escaped(calls)}</p>\n${table(heading, rows)}${costs}`;
}

function limitChart(policies: readonly Reported[]): string {
  const names = [...new Set(policies.flatMap(({ policy }) => policy.limits.map(({ name }) => name)))];
  const bars = names.map((name) => {
    const isCounted = policies.some(({ result }) => result.exceeded[name] !== undefined);
    const values = policies.map(({ result }) => result.deniedBy[name] ?? result.exceeded[name] ?? null);
    return { name, values, ...(isCounted ? { note: "over, not denied" } : {}) };
  });
  return barChart(
    "Denied calls by limit",
    policies.map(({ name }) => name),
    bars,
  );
}

/** The quotas of calls that whole sessions have. */
function sessionQuotas({ policy }: Reported): [string, number][] {
  return policy.limits.flatMap(({ name, per, unit, allotment: { quota } }) =>
    per.join() === "session" && unit === "calls" && quota !== null ? [[name, quota] as [string, number]] : [],
  );
}

function useCharts(policies: readonly Reported[]): string[] {
  const lines = policies.map(({ series }) => series.lines());
  return (lines[0] ?? []).map(({ unit }) => {
    const own = lines.flatMap((each) => each.find((line) => line.unit === unit) ?? []);
    const names = policies.map(({ name }) => name);
    return useChart(`Use over the trace: ${unit === "usd_micros" ? "money" : unit.replaceAll("_", " ")}`, names, own);
  });
}

function sessionTable({ name, result }: Reported, isOneOfTwo: boolean): string {
  const title = isOneOfTwo ? `Sessions that ${name} denies` : "Sessions with denied calls";
  if (result.sessionsDenied === 0) return `<section><h2>${escaped(title)}</h2><p>None.</p></section>`;
  const shown = table(SESSION_HEADING, sessionRows(result, MAX_ROWS));
  return `<section><h2>${escaped(title)}</h2>${shown}${more(result.sessionsDenied, "sessions")}</section>`;
}

function differences(first: Reported, second: Reported, { onlyFirst, onlySecond }: Comparison): string[] {
  const part = (title: string, { calls, examples }: Difference) => {
    const some = calls === 0 ? "<p>None.</p>" : table(CALL_HEADING, callRows(examples));
    const rest = calls > examples.length ? element("p", "note", `The first ${examples.length} are shown.`) : "";
    return `<section><h2>${escaped(title)}: ${grouped(calls)}</h2>${some}${rest}</section>`;
  };
  return [part(`Denied by ${first.name} alone`, onlyFirst), part(`Denied by ${second.name} alone`, onlySecond)];
}

function runawayTable(policies: readonly Reported[]): string {
  const [first] = policies as [Reported];
  if (first.runaways === null) return "";
  const rows = first.runaways.map(({ kind, isAfterSession, calls }, i) => {
    const place = isAfterSession ? "after a session" : "alone";
    const admitted = policies.map(({ runaways }) => runaways?.[i]?.admitted ?? 0);
    return [kind, place, grouped(calls), ...admitted.flatMap((each) => [grouped(each), share(calls - each, calls)])];
  });
  const names = policies.flatMap(({ name }) =>
    policies.length > 1 ? [`admitted by ${name}`, "cut"] : ["admitted", "cut"],
  );
  return `<section><h2>Runaways</h2>${table(["runaway", "where", "calls", ...names], rows)}</section>`;
}

function more(count: number, things: string): string {
  return count <= MAX_ROWS ? "" : element("p", "note", `${grouped(count - MAX_ROWS)} more ${things}.`);
}

function share(part: number, whole: number): string {
  return `${((100 * part) / Math.max(1, whole)).toFixed(1)} %`;
}
