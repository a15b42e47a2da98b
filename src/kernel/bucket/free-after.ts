// How long a caller has to wait until units are free.

import { type AnyRules, type LimitSpec, rulesOf, type SpentState } from "../algorithms/rules/registry.ts";
import type { Entry } from "../state.ts";
import { type Contents, isStopped } from "./contents.ts";
import { heldUnits, isLive } from "./entries.ts";
import { endAfter, endEntry, forecastOf } from "./expiry.ts";
import { grantedIn } from "./grants.ts";

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
  const rules = rulesOf(limit);
  const capacity = rules.capacity(limit);
  const { spent, entries } = contents;
  endMs = null;
  if (entries.length === 0) {
    return units > capacity ? Number.POSITIVE_INFINITY : spentFreeAfterMs(rules, limit, spent, units, nowMs);
  }
  const later = forecastOf(spent, entries);
  /** What other calls hold takes from the capacity, and what is granted adds to it. */
  let taken = heldUnits(entries) - grantedIn(limit, contents);
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
      if (endEntry(limit, later, i, entry)) i--;
      taken = takenAfter(limit, taken, entry);
      atMs = entry.expiresAtMs;
    }
  }
  endMs = endAfter(later.spent, entries);
  if (units > capacity) return Number.POSITIVE_INFINITY;
  return atMs - nowMs + spentFreeAfterMs(rules, limit, later.spent, units, atMs);
}

/** What is taken from the capacity after a live entry has ended. */
function takenAfter(limit: LimitSpec, taken: number, entry: Entry): number {
  const { kind } = entry;
  if (kind === "reservation") return entry.levelAfter === null ? taken - entry.units : taken;
  if (kind === "grant") return isStopped(limit) ? taken : taken + entry.units;
  return taken - entry.units;
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
  return Math.min(rules.freeAfterMs(limit, spent, units, nowMs), spent.expiresAtMs - nowMs);
}
