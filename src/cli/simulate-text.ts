// A simulation in tables.

import { amount, grouped } from "../kernel/words.ts";
import type { Comparison, Difference } from "../simulate/comparison.ts";
import { CALL_HEADING, callRows, SESSION_HEADING, sessionRows } from "../simulate/rows.ts";
import type { Counts, SimulationResult } from "../simulate/tally.ts";
import { policyLabel } from "./defaults.ts";
import { CANNOT_REACT } from "../simulate/notes.ts";
import { formatList, formatTable } from "./table.ts";

/** Rows of a table of examples. */
const MAX_SHOWN = 10;

/** The files of a simulation. */
export interface Names {
  readonly trace: string;
  readonly policy: string;
  readonly against: string | undefined;
}

export function resultText({ trace, policy }: Names, result: SimulationResult): string {
  const rows: [string, string][] = [
    ["trace", traceLine(trace, result)],
    ["policy", policyLabel(policy)],
    ["allowed", grouped(result.allowed)],
    ["denied", deniedLine(result)],
    ...spentRows(result),
  ];
  const parts = [formatList(rows), limitTable(["denied"], [result])];
  if (result.denied > 0) parts.push(toolTable(result), sessionTable(result), CANNOT_REACT);
  return parts.join("\n\n");
}

export function comparisonText(names: Names, results: readonly SimulationResult[], compared: Comparison): string {
  const [first, second] = results as [SimulationResult, SimulationResult];
  const rows: [string, string][] = [
    ["trace", traceLine(names.trace, first)],
    ["A", `${policyLabel(names.policy)}: ${deniedLine(first)} denied`],
    ["B", `${names.against}: ${deniedLine(second)} denied`],
    ...spentRows(first, "A "),
    ...spentRows(second, "B "),
  ];
  return [
    formatList(rows),
    limitTable(["denied by A", "denied by B"], results),
    differenceText("Denied by A alone", compared.onlyFirst),
    differenceText("Denied by B alone", compared.onlySecond),
    CANNOT_REACT,
  ].join("\n\n");
}

function traceLine(trace: string, { calls, sessions }: SimulationResult): string {
  return `${trace}: ${amount(calls, "calls")} of ${amount(sessions, "sessions")}`;
}

function deniedLine({ calls, denied, sessionsDenied, sessions }: SimulationResult): string {
  if (denied === 0) return "0";
  return `${grouped(denied)} (${percent(denied, calls)}), in ${grouped(sessionsDenied)} of ${amount(sessions, "sessions")}`;
}

function spentRows({ spent, wouldHaveSpent }: SimulationResult, prefix = ""): [string, string][] {
  return Object.entries(wouldHaveSpent).map(([unit, units]) => {
    const without = units === spent[unit] ? "" : `; ${amount(units, unit)} without the policy`;
    return [`${prefix}spent`, `${amount(spent[unit] ?? 0, unit)}${without}`];
  });
}

/** Of each limit how many calls it denied; of one that only warns or counts, how many did not fit. */
function limitTable(headings: readonly string[], results: readonly SimulationResult[]): string {
  const names = new Set(results.flatMap(({ deniedBy, exceeded }) => [...keysOf(deniedBy), ...keysOf(exceeded)]));
  const cell = ({ deniedBy, exceeded }: SimulationResult, name: string) => {
    if (deniedBy[name] !== undefined) return grouped(deniedBy[name]);
    return exceeded[name] === undefined ? "-" : `${grouped(exceeded[name])} over, not denied`;
  };
  const rows = [...names].map((name) => [name, ...results.map((result) => cell(result, name))]);
  return formatTable(["limit", ...headings], rows);
}

function toolTable({ deniedTools }: SimulationResult): string {
  const rows = Object.entries(deniedTools).map(([tool, denied]) => [tool, grouped(denied)]);
  return formatTable(["tool", "denied"], rows.slice(0, MAX_SHOWN)) + more(rows.length, "tools");
}

function sessionTable(result: SimulationResult): string {
  return formatTable(SESSION_HEADING, sessionRows(result, MAX_SHOWN)) + more(result.sessionsDenied, "sessions");
}

function differenceText(title: string, { calls, deniedBy, examples }: Difference): string {
  if (calls === 0) return `${title}: no call`;
  const by = Object.entries(deniedBy).map(([limit, count]) => `${limit} ${grouped(count)}`);
  const table = formatTable(CALL_HEADING, callRows(examples.slice(0, MAX_SHOWN)));
  return `${title}: ${amount(calls, "calls")} (${by.join(", ")})\n${table}${more(calls, "calls")}`;
}

function more(count: number, things: string): string {
  return count <= MAX_SHOWN ? "" : `\n… and ${grouped(count - MAX_SHOWN)} more ${things}; --json has more of them`;
}

function keysOf(counts: Counts): string[] {
  return Object.keys(counts);
}

function percent(part: number, whole: number): string {
  return `${((100 * part) / whole).toFixed(1)} %`;
}
