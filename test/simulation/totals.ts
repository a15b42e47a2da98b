// Sums over many runs: what was simulated, and what was seen.

import { createHash } from "node:crypto";
import type { Run } from "./run.ts";

/** Counts by name. */
export type Counts = Readonly<Record<string, number>>;

export interface Totals {
  readonly schedules: number;
  readonly failing: number;
  readonly events: number;
  readonly simulatedHours: number;
  /** What it took to simulate and judge them. */
  readonly cpuSeconds: number;
  readonly faults: Counts;
  readonly answers: Counts;
  /** Of all logs, in any order: two runs of the same schedules have the same. Empty: it was not asked for. */
  readonly digest: string;
}

export const NONE: Totals = {
  schedules: 0,
  failing: 0,
  events: 0,
  simulatedHours: 0,
  cpuSeconds: 0,
  faults: {},
  answers: {},
  digest: "",
};

/** The sums of one run, but for what it took. */
export function totalsOf({ schedule, log, events, endMs }: Run, isFailing: boolean, hasDigest: boolean): Totals {
  const faults: Record<string, number> = {};
  for (const { type } of schedule.faults) add(faults, type, 1);
  const answers: Record<string, number> = {};
  for (const { decision } of log.of("decided")) {
    const how = decision.degraded !== null ? "without the store" : decision.replayed ? "again" : "by the store";
    add(answers, `${decision.allowed ? "allowed" : "denied"} ${how}`, 1);
  }
  for (const { error } of log.of("failed")) add(answers, `failed: ${error.code || error.name}`, 1);
  const failing = isFailing ? 1 : 0;
  const digest = hasDigest ? createHash("sha256").update(`${schedule.seed}\n${log.text()}`).digest("hex") : "";
  return { ...NONE, schedules: 1, failing, events, simulatedHours: endMs / 3_600_000, faults, answers, digest };
}

export function sumOf(one: Totals, other: Totals): Totals {
  return {
    schedules: one.schedules + other.schedules,
    failing: one.failing + other.failing,
    events: one.events + other.events,
    simulatedHours: one.simulatedHours + other.simulatedHours,
    cpuSeconds: one.cpuSeconds + other.cpuSeconds,
    faults: merged(one.faults, other.faults),
    answers: merged(one.answers, other.answers),
    digest: sumOfDigests(one.digest, other.digest),
  };
}

/**
 * The sums as lines of text.
 *
 * @param seconds how long it took by a watch
 */
export function textOf(totals: Totals, seconds?: number): string {
  const { schedules, failing, events, simulatedHours, cpuSeconds, faults, answers, digest } = totals;
  const listed = (counts: Counts) =>
    sorted(counts)
      .map(([name, count]) => `${count} ${name}`)
      .join(", ");
  return [
    `faults: ${listed(faults)}`,
    `answers: ${listed(answers)}`,
    ...(digest === "" ? [] : [`logs: ${digest}`]),
    [
      `${schedules} schedules, ${failing} with violations`,
      `${simulatedHours.toFixed(1)} simulated hours`,
      `${events} events`,
      `${cpuSeconds.toFixed(1)} s of a core`,
      ...(seconds === undefined ? [] : [`${seconds.toFixed(1)} s`]),
    ].join(", "),
  ].join("\n");
}

/** The sums as Markdown. */
export function tablesOf({ schedules, failing, events, simulatedHours, cpuSeconds, faults, answers }: Totals): string {
  const whole = (number: number) => Math.round(number).toLocaleString("en");
  const rows = (counts: Counts) => sorted(counts).map(([name, count]) => [name, whole(count)] as const);
  const sums = [
    ["schedules", whole(schedules)],
    ["schedules with violations", whole(failing)],
    ["simulated hours", whole(simulatedHours)],
    ["events", whole(events)],
    ["hours of one core", (cpuSeconds / 3_600).toFixed(1)],
  ] as const;
  return [
    tableOf("all schedules", "sum", sums),
    tableOf("fault", "times", rows(faults)),
    tableOf("answer", "calls", rows(answers)),
  ].join("\n\n");
}

function tableOf(name: string, count: string, rows: readonly (readonly [string, string])[]): string {
  const all = [[name, count], ...rows];
  const widths = [0, 1].map((column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const [left = 0, right = 0] = widths;
  const [head, ...body] = all.map(([one = "", other = ""]) => `| ${one.padEnd(left)} | ${other.padStart(right)} |`);
  return [head, `| ${"-".repeat(left)} | ${"-".repeat(right - 1)}: |`, ...body].join("\n");
}

/** The largest count first. */
function sorted(counts: Counts): [name: string, count: number][] {
  return Object.entries(counts).sort(([name, count], [other, more]) => more - count || (name < other ? -1 : 1));
}

function merged(one: Counts, other: Counts): Counts {
  const sum = { ...one };
  for (const [name, count] of Object.entries(other)) add(sum, name, count);
  return sum;
}

function add(counts: Record<string, number>, name: string, count: number): void {
  counts[name] = (counts[name] ?? 0) + count;
}

/** In any order they come to the same. */
function sumOfDigests(one: string, other: string): string {
  if (one === "" || other === "") return one + other;
  const sum = BigInt.asUintN(256, BigInt(`0x${one}`) + BigInt(`0x${other}`));
  return sum.toString(16).padStart(64, "0");
}
