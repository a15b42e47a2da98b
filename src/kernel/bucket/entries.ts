// The list of a bucket's entries: by the end of each; of equal ends the earlier one first.

import { shortList } from "../lua.ts";
import { type Level, MAX_UNITS } from "../algorithms/rules/rules.ts";
import type { Entry } from "../state.ts";
import { isAbove } from "./levels.ts";
import { withLevelAfter } from "./make.ts";

/** How long an entry that has ended is remembered for a late settle, and an answer for a call that is sent again, ms. */
export const REMEMBERED_MS = 600_000;
/** Most entries of one bucket. Those that have ended are forgotten earlier where there is no room for new ones. */
export const MAX_ENTRIES = 1_000;

export const NO_ENTRIES: readonly Entry[] = [];

/** Whether an entry has not ended. Late usage is only remembered. */
export function isLive(entry: Entry): boolean {
  return entry.kind === "queued" || (entry.kind !== "late" && !entry.expired);
}

/** Units of the entries of a bucket. */
export interface Sums {
  /** What they keep from other calls beside what is spent. */
  held: number;
  /** What they add to the capacity. */
  granted: number;
}

/** The one record of all sums: each decision makes several, and reads their numbers at once. */
const SUMS: Sums = { held: 0, granted: 0 };

/** The sums of entries, until it is called again. */
export function sumsOf(entries: readonly Entry[]): Sums {
  let held = 0;
  let granted = 0;
  for (const entry of entries) {
    const { kind } = entry;
    if (kind === "reservation") {
      if (!entry.expired && entry.levelAfter === null) held += entry.units;
    } else if (kind === "queued") held += entry.units;
    else if (kind === "grant" && !entry.expired) granted += entry.units;
  }
  SUMS.held = held;
  SUMS.granted = granted < MAX_UNITS ? granted : MAX_UNITS;
  return SUMS;
}

export function withEntry(entries: readonly Entry[], entry: Entry): readonly Entry[] {
  return withEntryFrom(entries, 0, entry);
}

/** The entries from an index on, and one more, which comes behind those that end at the same instant. */
function withEntryFrom(entries: readonly Entry[], first: number, entry: Entry): readonly Entry[] {
  const list = shortList<Entry>();
  let i = first;
  while (i < entries.length && (entries[i] as Entry).expiresAtMs <= entry.expiresAtMs) {
    list.push(entries[i] as Entry);
    i++;
  }
  list.push(entry);
  for (; i < entries.length; i++) list.push(entries[i] as Entry);
  return list;
}

/** The entries and a new one, without the first one if that has ended and there is no room for one more. */
export function withNewEntry(entries: readonly Entry[], entry: Entry): readonly Entry[] {
  if (entries.length === 0) return [entry];
  const isFull = entries.length >= MAX_ENTRIES && !isLive(entries[0] as Entry);
  return withEntryFrom(entries, isFull ? 1 : 0, entry);
}

/** The entries after a bucket that flows was lowered: their levels sink with it, or only those above the level `below`. */
export function sunk(entries: readonly Entry[], by: number, below: Level | undefined): readonly Entry[] {
  const list = shortList<Entry>();
  for (const entry of entries) list.push(sunkEntry(entry, by, below));
  return list;
}

function sunkEntry(entry: Entry, by: number, below: Level | undefined): Entry {
  if (entry.kind !== "reservation" || entry.levelAfter === null) return entry;
  const { baseMs, level, levelPerUnit } = entry.levelAfter;
  if (below !== undefined && !isAbove(baseMs, level, below)) return entry;
  return withLevelAfter(entry, { baseMs, level: Math.max(0, level - by), levelPerUnit });
}

export function withoutId(entries: readonly Entry[], id: string): readonly Entry[] {
  if (entries.length === 1 && (entries[0] as Entry).id === id) return NO_ENTRIES;
  const list = shortList<Entry>();
  for (const entry of entries) if (entry.id !== id) list.push(entry);
  return list;
}

/** The entries without one of them. */
export function withoutEntry(entries: readonly Entry[], other: Entry | undefined): readonly Entry[] {
  const list = shortList<Entry>();
  for (const entry of entries) if (entry !== other) list.push(entry);
  return list;
}
