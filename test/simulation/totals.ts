// Sums over many runs: what was simulated, and what was seen.

import { createHash } from "node:crypto";
import type { Run } from "./run.ts";

/** Counts by name. */
export type Counts = Record<string, number>;

export interface Totals {
  readonly schedules: number;
  readonly failing: number;
  readonly events: number;
  readonly simulatedHours: number;
  readonly faults: Counts;
  readonly answers: Counts;
  /** Of all logs, in their order: two runs of one seed have the same. */
  readonly digest: string;
}

export const NONE: Totals = {
  schedules: 0,
  failing: 0,
  events: 0,
  simulatedHours: 0,
  faults: {},
  answers: {},
  digest: "",
};

export function totalsOf({ schedule, log, events, endMs }: Run, isFailing: boolean): Totals {
  const faults: Counts = {};
  for (const { type } of schedule.faults) add(faults, type, 1);
  const answers: Counts = {};
  for (const { decision } of log.of("decided")) {
    const how = decision.degraded !== null ? "without the store" : decision.replayed ? "again" : "by the store";
    add(answers, `${decision.allowed ? "allowed" : "denied"} ${how}`, 1);
  }
  for (const { error } of log.of("failed")) add(answers, `failed: ${error.code || error.name}`, 1);
  const failing = isFailing ? 1 : 0;
  const digest = createHash("sha256").update(log.text()).digest("hex");
  return { schedules: 1, failing, events, simulatedHours: endMs / 3_600_000, faults, answers, digest };
}

export function sumOf(one: Totals, other: Totals): Totals {
  return {
    schedules: one.schedules + other.schedules,
    failing: one.failing + other.failing,
    events: one.events + other.events,
    simulatedHours: one.simulatedHours + other.simulatedHours,
    faults: merged(one.faults, other.faults),
    answers: merged(one.answers, other.answers),
    digest: createHash("sha256").update(one.digest).update(other.digest).digest("hex"),
  };
}

/** The sums as lines of text. */
export function textOf(totals: Totals, seconds: number): string {
  const { schedules, failing, events, simulatedHours, faults, answers, digest } = totals;
  const listed = (counts: Counts) =>
    Object.entries(counts)
      .sort(([, one], [, other]) => other - one)
      .map(([name, count]) => `${count} ${name}`)
      .join(", ");
  const speed = `${seconds.toFixed(1)} s, ${(schedules / seconds).toFixed(1)} schedules a second`;
  return [
    `faults: ${listed(faults)}`,
    `answers: ${listed(answers)}`,
    `logs: ${digest}`,
    `${schedules} schedules, ${failing} with violations, ${simulatedHours.toFixed(1)} simulated hours, ${events} events, ${speed}`,
  ].join("\n");
}

function merged(one: Counts, other: Counts): Counts {
  const sum = { ...one };
  for (const [name, count] of Object.entries(other)) add(sum, name, count);
  return sum;
}

function add(counts: Counts, name: string, count: number): void {
  counts[name] = (counts[name] ?? 0) + count;
}
