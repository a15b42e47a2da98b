// What the overview says about now: figures and alarms, from counts of the last hour.

import { formatDuration } from "../src/kernel/duration.ts";
import type { DecisionEntry, EventEntry, Readiness, SeriesPoint } from "./answers.ts";

const MINUTE_MS = 60_000;
/** The minutes that are compared with those before them. */
const RECENT = 5;
/** Fewer denials than these are no alarm. */
const LEAST_DENIALS = 20;
/** How much larger the share of denials must have become. */
const GROWN = 3;

export interface Alarm {
  readonly kind: "bad" | "warn";
  readonly text: string;
  /** The decisions to look at. */
  readonly params: Readonly<Record<string, string>>;
}

/** A point for each minute, also where there was no call. */
export function eachMinute(points: readonly SeriesPoint[], nowMs: number, minutes = 60) {
  const last = Math.floor(nowMs / MINUTE_MS) * MINUTE_MS;
  const byTime = new Map(points.map((point) => [point.atMs, point]));
  return Array.from({ length: minutes }, (_, i) => {
    const atMs = last - (minutes - 1 - i) * MINUTE_MS;
    const { calls = 0, denied = 0 } = byTime.get(atMs) ?? {};
    return { atMs, calls, denied };
  });
}

/** A limit that denies much more than in the hour before. */
export function suddenDenials(points: readonly SeriesPoint[], nowMs: number): Alarm[] {
  const sinceMs = nowMs - RECENT * MINUTE_MS;
  return [...new Set(points.map(({ of }) => of))].flatMap((limit): Alarm[] => {
    const sums = { calls: 0, denied: 0, callsBefore: 0, deniedBefore: 0 };
    for (const { of, atMs, calls, denied } of points) {
      if (of !== limit) continue;
      const isRecent = atMs + MINUTE_MS > sinceMs;
      sums[isRecent ? "calls" : "callsBefore"] += calls;
      sums[isRecent ? "denied" : "deniedBefore"] += denied;
    }
    const share = sums.denied / Math.max(1, sums.calls);
    const before = sums.deniedBefore / Math.max(1, sums.callsBefore);
    // Without calls before there is nothing to compare with.
    if (sums.callsBefore === 0 || sums.denied < LEAST_DENIALS || share < GROWN * before) return [];
    const text = `${limit} denied ${sums.denied} calls in the last ${RECENT} minutes, much more than before.`;
    return [{ kind: "warn", text, params: { outcome: "denied", limit, last: "15m" } }];
  });
}

/** What is wrong with the service itself. */
export function troubles(ready: Readiness | null, events: readonly EventEntry[], version: string): Alarm[] {
  const alarms: Alarm[] = [];
  const params = { outcome: "events" };
  if (ready !== null && ready.status !== "ready") {
    const since = ready.awayMs === null ? "" : ` for ${formatDuration(ready.awayMs)}`;
    const text = {
      away: `The store does not answer${since} (${ready.reason}), and calls fail.`,
      degraded: `The store does not answer${since} (${ready.reason}): this instance decides by its share.`,
      stopping: "This instance is stopping.",
    }[ready.status];
    alarms.push({ kind: "bad", text, params });
  }
  const policy = events.find(({ type }) => type === "policy.refused" || type === "policy.reloaded");
  if (policy?.type === "policy.refused") {
    const text = `The policy file is wrong, and version ${version.slice(0, 8)} stays in force: ${problemOf(policy)}`;
    alarms.push({ kind: "bad", text, params });
  }
  if (events.some(({ type }) => type === "log.dropped")) {
    alarms.push({
      kind: "warn",
      text: "The decision log could not be written, and lost entries. Counts are exact.",
      params,
    });
  }
  return alarms;
}

function problemOf({ data }: EventEntry): string {
  const { problem, error } = data as { readonly problem?: string; readonly error?: { readonly message?: string } };
  return (problem ?? error?.message ?? "see its entry").split("\n")[0] ?? "";
}

/** The middle and the slowest of how long decisions took, ms; `null`: none was measured. */
export function latencyOf(
  entries: readonly DecisionEntry[],
): { readonly middle: number; readonly slow: number } | null {
  const took = entries.flatMap(({ durationMs }) => durationMs ?? []).toSorted((a, b) => a - b);
  const at = (share: number) => took[Math.min(took.length - 1, Math.floor(took.length * share))];
  const [middle, slow] = [at(0.5), at(0.99)];
  return middle === undefined || slow === undefined ? null : { middle, slow };
}
