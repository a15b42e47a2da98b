// How long a caller has to wait until units are free.

import { type AnyRules, type LimitSpec, rulesOf, type SpentState } from "../algorithms/rules/registry.ts";
import type { Entry } from "../state.ts";
import { type Contents, isStopped } from "./contents.ts";
import { isLive, sumsOf } from "./entries.ts";
import { endAfter, endEntry, forecastOf } from "./expiry.ts";

/** When the bucket of the last forecast ends; `null` where the forecast was over before all entries had ended. */
let endMs: number | null = null;

/**
 * When the bucket ends for which `freeAfterMs` was asked last, where that had to let all entries end: it is the same as
 * `keptUntilMs`, which need not be worked out again then.
 */
export function forecastEndMs(): number | null {
  return endMs;
}

/**
 * Milliseconds until `units` are free, if nothing else happens than that entries end; `Infinity` where they never will be.
 */
export function freeAfterMs(limit: LimitSpec, contents: Contents, units: number, nowMs: number): number {
  const { held, granted } = sumsOf(contents.entries);
  return freeBesideMs(limit, contents, isStopped(limit) ? held : held - granted, units, nowMs);
}

/**
 * The same, where it is known what is taken from the capacity beside what is spent.
 *
 * @param takenNow what entries keep from other calls, less what is granted
 */
export function freeBesideMs(
  limit: LimitSpec,
  contents: Contents,
  takenNow: number,
  units: number,
  nowMs: number,
): number {
  const rules = rulesOf(limit);
  const capacity = rules.capacity(limit);
  const { spent, entries } = contents;
  endMs = null;
  if (entries.length === 0) {
    return units > capacity ? Number.POSITIVE_INFINITY : spentFreeAfterMs(rules, limit, spent, units, nowMs);
  }
  const later = forecastOf(spent, entries);
  let taken = takenNow;
  let atMs = nowMs;
  for (let i = 0; i < later.entries.length; i++) {
    const entry = later.entries[i] as Entry;
    if (isLive(entry)) {
      // Added only where the sum stays below 2^53.
      if (units <= capacity - taken) {
        const freeAtMs = atMs + spentFreeAfterMs(rules, limit, later.spent, units + taken, atMs);
        if (freeAtMs < entry.expiresAtMs) return freeAtMs - nowMs;
      }
      // Another entry has moved to this index.
      if (endEntry(rules, limit, later, i, entry)) i--;
      if (entry.kind === "grant") {
        if (capacity > 0) taken += entry.units;
      } else if (entry.kind !== "reservation" || entry.levelAfter === null) taken -= entry.units;
      atMs = entry.expiresAtMs;
    }
  }
  endMs = endAfter(later.spent, entries);
  if (units > capacity) return Number.POSITIVE_INFINITY;
  return atMs - nowMs + spentFreeAfterMs(rules, limit, later.spent, units, atMs);
}

/**
 * Milliseconds until `units` are free of what is spent: at the latest when the state ends. One that another window or rate
 * wrote may end before its units come back by this one.
 */
export function spentFreeAfterMs(
  rules: AnyRules,
  limit: LimitSpec,
  spent: SpentState | undefined,
  units: number,
  nowMs: number,
): number {
  if (spent === undefined) return 0;
  const waitMs = rules.freeAfterMs(limit, spent, units, nowMs);
  const leftMs = spent.expiresAtMs - nowMs;
  return waitMs < leftMs ? waitMs : leftMs;
}
