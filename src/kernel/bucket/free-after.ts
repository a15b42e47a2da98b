// How long a caller has to wait until units are free.

import { type AnyAlgorithm, algorithmOf, type LimitSpec, type SpentState } from "../algorithms/registry.ts";
import type { Entry } from "../state.ts";
import { type Contents, isStopped } from "./contents.ts";
import { heldBy, heldUnits, isLive } from "./entries.ts";
import { endEntry, expiryOf } from "./expiry.ts";
import { grantedIn } from "./grants.ts";

/**
 * Milliseconds until `units` are free, if nothing else happens than that entries end; `Infinity` where they never will be.
 */
export function freeAfterMs(limit: LimitSpec, contents: Contents, units: number, nowMs: number): number {
  const algorithm = algorithmOf(limit);
  const capacity = algorithm.capacity(limit);
  const later = expiryOf(contents.spent, contents.entries, true);
  /** What other calls hold takes from the capacity, and what is granted adds to it. */
  let taken = heldUnits(contents.entries) - grantedIn(limit, contents);
  let atMs = nowMs;
  for (let i = 0; i < later.entries.length; i++) {
    const entry = later.entries[i] as Entry;
    if (!isLive(entry)) continue;
    const canFit = units <= capacity - taken;
    // Added only where the sum stays below 2^53.
    const waitMs = canFit
      ? spentFreeAfterMs(algorithm, limit, later.spent, units + taken, atMs)
      : Number.POSITIVE_INFINITY;
    if (atMs + waitMs < entry.expiresAtMs) return atMs + waitMs - nowMs;
    // Another entry has moved to this index.
    if (endEntry(limit, later, i)) i--;
    if (entry.kind === "grant") taken += isStopped(limit) ? 0 : entry.units;
    else taken -= heldBy(entry);
    atMs = entry.expiresAtMs;
  }
  if (units > capacity) return Number.POSITIVE_INFINITY;
  return atMs - nowMs + spentFreeAfterMs(algorithm, limit, later.spent, units, atMs);
}

/**
 * Milliseconds until `units` are free of what is spent: at the latest when the state ends. One that another window or rate
 * wrote may end before its units come back by this one.
 */
export function spentFreeAfterMs(
  algorithm: AnyAlgorithm,
  limit: LimitSpec,
  spent: SpentState | undefined,
  units: number,
  nowMs: number,
): number {
  if (spent === undefined) return 0;
  return Math.min(algorithm.freeAfterMs(limit, spent, units, nowMs), spent.expiresAtMs - nowMs);
}
