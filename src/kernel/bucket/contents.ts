// What lies in a bucket at an instant, and what of it counts now: units spent, as the algorithm counts them, and entries.
// When an event may happen is decided in ../decide-any.ts, and how a bucket is written as text in ../encoding.

import { shortList } from "../lua.ts";
import { type LimitSpec, rulesOf, type SpentState } from "../algorithms/rules/registry.ts";
import { MAX_UNITS } from "../algorithms/rules/rules.ts";
import type { BucketState, Entry, StoredState } from "../state.ts";
import { NO_ENTRIES, REMEMBERED_MS, sumsOf } from "./entries.ts";
import { endAllBy, entryAt, expiryOf, keptUntilMs, liveAt } from "./expiry.ts";
import { expiredAt } from "./make.ts";

/** What lies in a bucket at an instant: no state that has ended, and no entry that should have ended. */
export interface Contents {
  readonly spent: SpentState | undefined;
  readonly entries: readonly Entry[];
}

/** A live state of a limit's bucket. A state of another algorithm is none. */
export function ownState(limit: LimitSpec, state: StoredState | undefined, nowMs: number): BucketState | undefined {
  if (state === undefined || nowMs >= state.expiresAtMs) return undefined;
  const kind = state.kind === "held" ? state.of : state.kind;
  return kind === rulesOf(limit).kind ? (state as BucketState) : undefined;
}

/** Contents that are written over. */
interface Record {
  spent: SpentState | undefined;
  entries: readonly Entry[];
}

/** Writes into a record what lies in a bucket by its own state: so a decision makes no object for each of its buckets. */
export function readContents(into: Record, limit: LimitSpec, own: BucketState | undefined, nowMs: number): void {
  into.spent = undefined;
  into.entries = NO_ENTRIES;
  if (own === undefined || nowMs >= own.expiresAtMs) return;
  if (own.kind !== "held") {
    into.spent = own;
    return;
  }
  const { spent, entries } = own;
  // They are in the order of their ends.
  if (nowMs < (entries[0] as Entry).expiresAtMs) {
    into.spent = liveAt(spent, nowMs);
    into.entries = entries;
    return;
  }
  const expiry = expiryOf(spent, entries);
  endAllBy(limit, expiry, nowMs);
  const remembered = shortList<Entry>();
  for (let i = 0; i < expiry.entries.length; i++) {
    const entry = rememberedAt(entryAt(expiry, i), nowMs);
    if (entry !== null) remembered.push(entry);
  }
  into.spent = liveAt(expiry.spent, nowMs);
  into.entries = remembered;
}

/** An entry as far as it is live or remembered; `null` once it is forgotten. */
function rememberedAt(entry: Entry, nowMs: number): Entry | null {
  const { expiresAtMs } = entry;
  if (nowMs < expiresAtMs) return entry;
  if (entry.kind === "queued" || nowMs >= expiresAtMs + REMEMBERED_MS) return null;
  return entry.kind === "late" || entry.expired ? entry : expiredAt(entry, expiresAtMs);
}

/**
 * What a store keeps: `undefined` when there is nothing to keep.
 *
 * @param endMs when a bucket with entries ends, where that is known
 */
export function stateOf(
  limit: LimitSpec,
  contents: Contents,
  endMs: number | null,
  nowMs: number,
): BucketState | undefined {
  const { spent, entries } = contents;
  if (entries.length === 0) return liveAt(spent, nowMs);
  const expiresAtMs = endMs === null ? keptUntilMs(limit, spent, entries) : endMs;
  return { kind: "held", expiresAtMs, of: rulesOf(limit).kind, spent: liveAt(spent, nowMs), entries };
}

export function usedIn(limit: LimitSpec, contents: Contents, nowMs: number): number {
  const { spent, entries } = contents;
  const spentUnits = rulesOf(limit).used(limit, spent, nowMs);
  return entries.length === 0 ? spentUnits : Math.min(spentUnits + sumsOf(entries).held, MAX_UNITS);
}

/** Whether nothing may pass, whatever was granted or seen before: a quota of 0. */
export function isStopped(limit: LimitSpec): boolean {
  return rulesOf(limit).capacity(limit) === 0;
}

export function entryIn(contents: Contents, id: string): Entry | undefined {
  for (const entry of contents.entries) if (entry.id === id) return entry;
  return undefined;
}

/** The contents after `cost` units were spent. */
export function charged(limit: LimitSpec, contents: Contents, cost: number, nowMs: number): Contents {
  const rules = rulesOf(limit);
  if (cost === 0 && rules.needsCost) return contents;
  const spent = rules.book(limit, contents.spent, cost, nowMs);
  return spent === contents.spent ? contents : { spent, entries: contents.entries };
}

export function isSeen(limit: LimitSpec, contents: Contents, value: string | undefined): boolean {
  const { spent } = contents;
  if (value === undefined || spent === undefined) return false;
  const { hasSeen } = rulesOf(limit);
  return hasSeen?.(spent, value) === true;
}

export function withSeen(limit: LimitSpec, after: Contents, value: string): Contents {
  const rules = rulesOf(limit);
  if (rules.withSeen === undefined || after.spent === undefined) return after;
  return { spent: rules.withSeen(after.spent, value), entries: after.entries };
}

export function afterReport(limit: LimitSpec, contents: Contents, outcome: string | null, nowMs: number): Contents {
  const { report } = rulesOf(limit);
  // The same contents where nothing changes, so that nothing is written.
  if (report === undefined || (outcome === null && contents.spent === undefined)) return contents;
  return { spent: report(limit, contents.spent, outcome, nowMs), entries: contents.entries };
}
