// What happens when entries end, each at its own instant: for real, or as a forecast of when units will be free.

import { type AnyRules, type LimitSpec, rulesOf, type SpentState } from "../algorithms/rules/registry.ts";
import type { Level } from "../algorithms/rules/rules.ts";
import type { Entry, QueuedCall, Reservation } from "../state.ts";
import { isLive, REMEMBERED_MS } from "./entries.ts";
import { isAbove, replace, type SinkingLevels, sink, standing } from "./levels.ts";
import { copyOf, moveItem } from "./lists.ts";
import { reservationOf, withLevelAfter } from "./make.ts";

/** A bucket whose entries end one after another. It is changed in place. */
export interface Expiry {
  spent: SpentState | undefined;
  entries: readonly Entry[];
  /** The same list, once it is one of its own: a queued call has become a hold. */
  own: Entry[] | null;
  /** Whether nothing really ends: then levels matter only under reservations that are still to be given back. */
  readonly isForecast: boolean;
  /** The levels of the reservations, once one of them has been given back. */
  levels: SinkingLevels | null;
}

export function expiryOf(spent: SpentState | undefined, entries: readonly Entry[]): Expiry {
  return { spent, entries, own: null, isForecast: false, levels: null };
}

/** The one record of all forecasts: each decision makes several, and needs none of them once it has its number. */
const FORECAST: Expiry = { spent: undefined, entries: [], own: null, isForecast: true, levels: null };

export function forecastOf(spent: SpentState | undefined, entries: readonly Entry[]): Expiry {
  FORECAST.spent = spent;
  FORECAST.entries = entries;
  FORECAST.own = null;
  FORECAST.levels = null;
  return FORECAST;
}

export function liveAt(spent: SpentState | undefined, nowMs: number): SpentState | undefined {
  return spent !== undefined && nowMs < spent.expiresAtMs ? spent : undefined;
}

/** Lets all entries end whose time has come. */
export function endAllBy(limit: LimitSpec, expiry: Expiry, nowMs: number): void {
  const rules = rulesOf(limit);
  for (let i = 0; i < expiry.entries.length; i++) {
    const entry = expiry.entries[i] as Entry;
    // Where one is replaced, another entry has moved to this index.
    if (isLive(entry) && nowMs >= entry.expiresAtMs && endEntry(rules, limit, expiry, i, entry)) i--;
  }
}

/**
 * Lets one entry end, at the instant of its end.
 *
 * @returns whether it was replaced by one that ends later, so that another entry is at its index
 */
export function endEntry(rules: AnyRules, limit: LimitSpec, expiry: Expiry, i: number, entry: Entry): boolean {
  const { expiresAtMs } = entry;
  const { spent } = expiry;
  if (spent !== undefined && expiresAtMs >= spent.expiresAtMs) expiry.spent = undefined;
  if (entry.kind === "queued") return takeTurn(limit, expiry, i, entry);
  if (entry.kind !== "reservation") return false;
  if (entry.levelAfter !== null) {
    if (entry.onExpiry === "refund") giveBack(limit, expiry, i, entry, entry.levelAfter);
  } else if (entry.onExpiry === "charge") {
    const scratch = expiry.isForecast ? rules.scratch : undefined;
    expiry.spent = rules.book(limit, expiry.spent, entry.units, expiresAtMs, scratch);
  }
  return false;
}

/** Spends the units of a call whose turn has come, and replaces the entry by the hold that it was queued for. */
function takeTurn(limit: LimitSpec, expiry: Expiry, i: number, entry: QueuedCall): boolean {
  const { id, units, expiresAtMs: atMs, becomes } = entry;
  const rules = rulesOf(limit);
  const { flow } = rules;
  const scratch = expiry.isForecast ? rules.scratch : undefined;
  expiry.spent = rules.book(limit, expiry.spent, units, atMs, scratch);
  // A forecast needs no hold that is charged when it ends: its units are spent already.
  if (becomes === undefined || (expiry.isForecast && becomes.onExpiry === "charge")) return false;
  const { onExpiry, leaseMs } = becomes;
  const levelAfter = flow === undefined || expiry.spent === undefined ? null : flow.levelOf(expiry.spent);
  const expiresAtMs = atMs + leaseMs;
  const entries = ownEntries(expiry);
  let to = i;
  while (to + 1 < entries.length && (entries[to + 1] as Entry).expiresAtMs <= expiresAtMs) to++;
  moveItem(entries, i, to, reservationOf(id, units, expiresAtMs, leaseMs, onExpiry, false, levelAfter));
  if (expiry.levels !== null) replace(expiry.levels, i, to, levelAfter);
  return true;
}

function ownEntries(expiry: Expiry): Entry[] {
  if (expiry.own !== null) return expiry.own;
  const own = copyOf(expiry.entries);
  expiry.own = own;
  expiry.entries = own;
  return own;
}

/** Gives back what was spent for a hold. What was booked on top of it sinks with it. */
function giveBack(limit: LimitSpec, expiry: Expiry, i: number, hold: Reservation, levelAfter: Level): void {
  const { flow } = rulesOf(limit);
  const { spent, isForecast } = expiry;
  if (flow === undefined || spent === undefined) return;
  const level = expiry.levels === null ? levelAfter : standing(expiry.levels, i, levelAfter);
  const by = flow.returnable(limit, spent, level, hold.units, hold.expiresAtMs);
  // A state with units of another size stays as it is, and so does its end.
  if (by === 0) return;
  expiry.spent = flow.lowered(limit, spent, by);
  const levels = expiry.levels === null ? sinkingLevels(expiry, i, level) : expiry.levels;
  expiry.levels = levels;
  sink(levels, level, by, isForecast ? i + 1 : 0);
}

/**
 * The levels that may sink when the entry at `at` is given back.
 *
 * @param lowest its level, below which none of a forecast's sinks if they rise
 */
function sinkingLevels(expiry: Expiry, at: number, lowest: Level): SinkingLevels {
  const { entries, isForecast } = expiry;
  const bases: number[] = [];
  const levels: number[] = [];
  let isRising = isForecast;
  let last = lowest;
  for (let i = 0; i < entries.length; i++) {
    const level = sinkingLevel(entries[i] as Entry, isForecast, i > at);
    bases.push(level === null ? -1 : level.baseMs);
    levels.push(level === null ? -1 : level.level);
    if (level !== null) {
      if (isRising) isRising = isAbove(level.baseMs, level.level, last);
      last = level;
    }
  }
  return { bases, levels, isRising, sunk: 0 };
}

/** The level after an entry, where it may sink; in a forecast, only that of a hold that is still to be given back. */
function sinkingLevel(entry: Entry, isForecast: boolean, isBehind: boolean): Level | null {
  if (entry.kind !== "reservation") return null;
  return isForecast && (!isBehind || entry.expired || entry.onExpiry === "charge") ? null : entry.levelAfter;
}

/** The entry at an index, with the level after it as it stands. */
export function entryAt(expiry: Expiry, i: number): Entry {
  const entry = expiry.entries[i] as Entry;
  if (expiry.levels === null || entry.kind !== "reservation" || entry.levelAfter === null) return entry;
  const levelAfter = standing(expiry.levels, i, entry.levelAfter);
  return levelAfter === entry.levelAfter ? entry : withLevelAfter(entry, levelAfter);
}

/** When a bucket with entries ends, if nothing else happens than that they end and are forgotten. */
export function keptUntilMs(limit: LimitSpec, spent: SpentState | undefined, entries: readonly Entry[]): number {
  const later = forecastOf(spent, entries);
  endAllBy(limit, later, Number.POSITIVE_INFINITY);
  return endAfter(later.spent, entries);
}

/** When a bucket ends whose entries will all have ended, where `spent` is what is spent then. */
export function endAfter(spent: SpentState | undefined, entries: readonly Entry[]): number {
  let lastMs = (entries[entries.length - 1] as Entry).expiresAtMs;
  for (const entry of entries) {
    if (entry.kind === "queued" && entry.becomes !== undefined) {
      lastMs = Math.max(lastMs, entry.expiresAtMs + entry.becomes.leaseMs);
    }
  }
  const keptMs = lastMs + REMEMBERED_MS;
  return spent !== undefined && spent.expiresAtMs > keptMs ? spent.expiresAtMs : keptMs;
}
