// The list of a bucket's entries: by the end of each; of equal ends the earlier one first.

import type { Level } from "../algorithms/algorithm.ts";
import { isAbove } from "./levels.ts";
import type { Entry } from "../state.ts";

/** How long an entry that has ended is remembered for a late settle, and an answer for a call that is sent again, ms. */
export const REMEMBERED_MS = 600_000;
/** Most entries of one bucket. Those that have ended are forgotten earlier where there is no room for new ones. */
export const MAX_ENTRIES = 1_000;

/** Whether an entry has not ended. Late usage is only remembered. */
export function isLive(entry: Entry): boolean {
  return entry.kind === "queued" || (entry.kind !== "late" && !entry.expired);
}

/** Units that an entry keeps from other calls beside what is spent. */
export function heldBy(entry: Entry): number {
  if (entry.kind === "reservation") return entry.expired || entry.levelAfter !== null ? 0 : entry.units;
  return entry.kind === "queued" ? entry.units : 0;
}

export function heldUnits(entries: readonly Entry[]): number {
  let units = 0;
  for (const entry of entries) units += heldBy(entry);
  return units;
}

/** The index of the first entry from `from` on that ends later. */
export function indexAfter(entries: readonly Entry[], expiresAtMs: number, from = 0): number {
  let i = from;
  while (i < entries.length && (entries[i] as Entry).expiresAtMs <= expiresAtMs) i++;
  return i;
}

export function withEntry(entries: readonly Entry[], entry: Entry): readonly Entry[] {
  const at = indexAfter(entries, entry.expiresAtMs);
  return at === entries.length ? [...entries, entry] : [...entries.slice(0, at), entry, ...entries.slice(at)];
}

/** The entries and a new one, without the first one if that has ended and there is no room for one more. */
export function withNewEntry(entries: readonly Entry[], entry: Entry): readonly Entry[] {
  const isFull = entries.length >= MAX_ENTRIES && !isLive(entries[0] as Entry);
  return withEntry(isFull ? entries.slice(1) : entries, entry);
}

/** The entries after a bucket that flows was lowered: their levels sink with it, or only those above the level `below`. */
export function sunk(entries: readonly Entry[], by: number, below?: Level): Entry[] {
  return entries.map((entry) => {
    if (entry.kind !== "reservation" || entry.levelAfter === null) return entry;
    const { baseMs, level } = entry.levelAfter;
    if (below !== undefined && !isAbove(baseMs, level, below)) return entry;
    return { ...entry, levelAfter: { ...entry.levelAfter, level: Math.max(0, level - by) } };
  });
}

export function withoutId(entries: readonly Entry[], id: string): Entry[] {
  return entries.filter((entry) => entry.id !== id);
}
