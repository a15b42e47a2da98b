// What happens when entries end, each at its own instant: for real, or as a forecast of when units will be free.

import type { Level } from "../algorithms/algorithm.ts";
import { type SinkingLevels, replace, sink, sinkingLevels, standing } from "./levels.ts";
import { algorithmOf, type LimitSpec, type SpentState } from "../algorithms/registry.ts";
import type { Entry, QueuedCall, Reservation } from "../state.ts";
import { indexAfter, isLive, REMEMBERED_MS } from "./entries.ts";

/** A bucket whose entries end one after another. It is changed in place. */
export interface Expiry {
  spent: SpentState | undefined;
  readonly entries: Entry[];
  /** Whether nothing really ends: then levels matter only under reservations that are still to be given back. */
  readonly isForecast: boolean;
  /** The levels of the reservations, once one of them has been given back. */
  levels: SinkingLevels | null;
}

export function expiryOf(spent: SpentState | undefined, entries: readonly Entry[], isForecast: boolean): Expiry {
  return { spent, entries: entries.slice(), isForecast, levels: null };
}

export function liveAt(spent: SpentState | undefined, nowMs: number): SpentState | undefined {
  return spent !== undefined && nowMs < spent.expiresAtMs ? spent : undefined;
}

/** Lets all entries end whose time has come. */
export function endAllBy(limit: LimitSpec, expiry: Expiry, nowMs: number): void {
  const { entries } = expiry;
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i] as Entry;
    // Where one is replaced, another entry has moved to this index.
    if (isLive(entry) && nowMs >= entry.expiresAtMs && endEntry(limit, expiry, i)) i--;
  }
}

/**
 * Lets one entry end, at the instant of its end.
 *
 * @returns whether it was replaced by one that ends later, so that another entry is at its index
 */
export function endEntry(limit: LimitSpec, expiry: Expiry, i: number): boolean {
  const entry = expiry.entries[i] as Entry;
  expiry.spent = liveAt(expiry.spent, entry.expiresAtMs);
  if (entry.kind === "queued") return takeTurn(limit, expiry, i, entry);
  if (entry.kind !== "reservation") return false;
  if (entry.levelAfter !== null) {
    if (entry.onExpiry === "refund") giveBack(limit, expiry, i, entry);
  } else if (entry.onExpiry === "charge") {
    expiry.spent = algorithmOf(limit).book(limit, expiry.spent, entry.units, entry.expiresAtMs);
  }
  return false;
}

/** Spends the units of a call whose turn has come, and replaces the entry by the hold that it was queued for. */
function takeTurn(limit: LimitSpec, expiry: Expiry, i: number, entry: QueuedCall): boolean {
  const { id, units, expiresAtMs: atMs, becomes } = entry;
  const algorithm = algorithmOf(limit);
  const spent = algorithm.book(limit, expiry.spent, units, atMs);
  expiry.spent = spent;
  // A forecast needs no hold that is charged when it ends: its units are spent already.
  if (becomes === undefined || (expiry.isForecast && becomes.onExpiry === "charge")) return false;
  const { onExpiry, leaseMs } = becomes;
  const levelAfter = algorithm.flow?.levelOf(spent) ?? null;
  const expiresAtMs = atMs + leaseMs;
  const { entries, levels } = expiry;
  entries.splice(i, 1);
  const at = indexAfter(entries, expiresAtMs, i);
  entries.splice(at, 0, { kind: "reservation", id, units, expiresAtMs, leaseMs, onExpiry, expired: false, levelAfter });
  if (levels !== null) replace(levels, i, at, levelAfter);
  return true;
}

/** Gives back what was spent for a hold. What was booked on top of it sinks with it. */
function giveBack(limit: LimitSpec, expiry: Expiry, i: number, { units, expiresAtMs, levelAfter }: Reservation): void {
  const { flow } = algorithmOf(limit);
  if (flow === undefined || levelAfter === null || expiry.spent === undefined) return;
  const level = expiry.levels === null ? levelAfter : standing(expiry.levels, i, levelAfter);
  const by = flow.returnable(limit, expiry.spent, level, units, expiresAtMs);
  // A state with units of another size stays as it is, and so does its end.
  if (by === 0) return;
  expiry.spent = flow.lowered(limit, expiry.spent, by);
  expiry.levels ??= sinkingLevels(levelsIn(expiry, i), expiry.isForecast ? level : null);
  sink(expiry.levels, level, by, expiry.isForecast ? i + 1 : 0);
}

/** The levels that may sink when the entry at `i` is given back. */
function levelsIn({ entries, isForecast }: Expiry, i: number): (Level | null)[] {
  return entries.map((entry, n) => {
    if (entry.kind !== "reservation") return null;
    return isForecast && (n <= i || entry.expired || entry.onExpiry === "charge") ? null : entry.levelAfter;
  });
}

export function entryAt({ entries, levels }: Expiry, i: number): Entry {
  const entry = entries[i] as Entry;
  if (levels === null || entry.kind !== "reservation" || entry.levelAfter === null) return entry;
  const levelAfter = standing(levels, i, entry.levelAfter);
  return levelAfter === entry.levelAfter ? entry : { ...entry, levelAfter };
}

/** When a bucket with entries ends, if nothing else happens than that they end and are forgotten. */
export function keptUntilMs(limit: LimitSpec, spent: SpentState | undefined, entries: readonly Entry[]): number {
  const later = expiryOf(spent, entries, true);
  endAllBy(limit, later, Number.POSITIVE_INFINITY);
  let lastMs = 0;
  for (const entry of entries) {
    const thenMs = entry.kind === "queued" ? (entry.becomes?.leaseMs ?? 0) : 0;
    lastMs = Math.max(lastMs, entry.expiresAtMs + thenMs);
  }
  return Math.max(later.spent?.expiresAtMs ?? 0, lastMs + REMEMBERED_MS);
}
