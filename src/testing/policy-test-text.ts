// What came of policy tests, as texts for people.

import type { Decision, Verdict } from "../kernel/decision.ts";
import { nounOf } from "../kernel/words.ts";
import { resetText, spanText, unitsText } from "./policy-test-amounts.ts";
import type { LimitCoverage } from "./policy-test-coverage.ts";
import type { PolicyTestFailure } from "./policy-test-run.ts";

/** What limits of `streak` count, which no call has a price in. */
const ROWS = new Set(["errors", "results"]);
/** Longest text of what a step did: arguments can be large. */
const MAX_SHOWN = 200;
/** A name that YAML needs no quotes for. */
const PLAIN = /^(?!(?:true|false|null|yes|no|on|off)$)[A-Za-z_][\w.-]*$/i;

/** A test that failed: where, what it did, what it expected and got, and the verdict of each limit. */
export function failureText(name: string, failure: PolicyTestFailure, place: string): string {
  const { step, atMs, did, nth, mismatches, decision } = failure;
  const call = nth === null ? "" : `, call ${nth.n} of ${nth.of}`;
  return [
    `FAILED: ${name}`,
    `  ${place}: step ${step + 1}${call}, at ${new Date(atMs).toISOString().replace(".000Z", "Z")}`,
    `  ${flow(did).slice(0, MAX_SHOWN)}`,
    ...mismatches.map(({ word, expected, got }) => `    ${word}: expected ${expected}, got ${got}`),
    ...(decision === null ? [] : decisionLines(decision)),
  ].join("\n");
}

/** The verdict of each limit on a call. */
function decisionLines(decision: Decision): string[] {
  const { allowed, verdicts } = decision;
  const said = allowed ? "allowed" : `denied, retryAfter ${spanText(decision.retryAfterMs)}`;
  if (verdicts.length === 0) return ["  The call was allowed: no limit of the policy is for it."];
  const lines = columns(verdicts.map((verdict) => [verdict.limit, saidBy(verdict), ...figures(verdict)]));
  return [`  The call was ${said}:`, ...lines.map((line) => `    ${line}`)];
}

function saidBy({ allowed, exceeded, mode }: Verdict): string {
  if (!exceeded) return "allowed";
  if (!allowed) return "denied";
  return mode === "warn" ? "exceeded, only warns" : "exceeded, only counts";
}

function figures({ unit, cost, capacity, remaining, resetAfterMs }: Verdict): string[] {
  if (unit === "ms" && capacity !== null && remaining !== null)
    return ["", `${unitsText(remaining, unit)} of ${unitsText(capacity, unit)} left`];
  const price = ROWS.has(unit) ? `counts ${unit}` : cost === 0 ? "no price" : `cost ${amountText(cost, unit)}`;
  if (capacity === null || remaining === null) return [price, "unlimited"];
  const reset = resetText(resetAfterMs);
  const left = `${unitsText(remaining, unit)} of ${amountText(capacity, unit)} left`;
  return [price, left, ...(reset === null ? [] : [reset])];
}

/** Units with their name, but for money, which has its sign. */
function amountText(units: number, unit: string): string {
  const text = unitsText(units, unit);
  return text.startsWith("$") ? text : `${text} ${nounOf(unit, units)}`;
}

/** What no test reached of a policy; nothing where tests reached everything. */
export function coverageLines(limits: readonly LimitCoverage[]): string[] {
  const unreached = limits.flatMap(({ limit, reached, unreached: parts }) =>
    reached ? parts.map((part) => `${limit}: ${part}`) : [limit],
  );
  const fitting = limits.filter(({ reached, exceeded }) => reached && exceeded === false).map(({ limit }) => limit);
  return [
    ...(unreached.length === 0 ? [] : [`No test reached: ${unreached.join(", ")}`]),
    ...(fitting.length === 0 ? [] : [`No test exceeded: ${fitting.join(", ")}`]),
  ];
}

/** A value as YAML has it in one line. */
export function flow(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(flow).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
    return entries.length === 0
      ? "{}"
      : `{ ${entries.map(([key, inner]) => `${flow(key)}: ${flow(inner)}`).join(", ")} }`;
  }
  return typeof value === "string" && PLAIN.test(value) ? value : (JSON.stringify(value) ?? "null");
}

/** Rows as lines whose columns begin at the same places. */
function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = rows.reduce<number[]>((most, row) => row.map((cell, i) => Math.max(cell.length, most[i] ?? 0)), []);
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}
