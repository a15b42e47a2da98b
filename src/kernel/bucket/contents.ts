// What lies in a bucket at an instant, and what of it counts now: units spent, as the algorithm counts them, and entries.
// When an event may happen is decided in ../decide.ts, and how a bucket is written as text in ../encoding.

import { algorithmOf, type LimitSpec, type SpentState } from "../algorithms/registry.ts";
import type { BucketState, Entry, StoredState } from "../state.ts";
import { heldUnits, REMEMBERED_MS } from "./entries.ts";
import { endAllBy, keptUntilMs, entryAt, expiryOf, liveAt } from "./expiry.ts";

/** What lies in a bucket at an instant: no state that has ended, and no entry that should have ended. */
export interface Contents {
  readonly spent: SpentState | undefined;
  readonly entries: readonly Entry[];
}

const NO_ENTRIES: readonly Entry[] = [];
const NOTHING: Contents = { spent: undefined, entries: NO_ENTRIES };

/** A live state of a limit's bucket. A state of another algorithm is none. */
export function ownState(limit: LimitSpec, state: StoredState | undefined, nowMs: number): BucketState | undefined {
  if (state === undefined || nowMs >= state.expiresAtMs) return undefined;
  const kind = state.kind === "held" ? state.of : state.kind;
  return kind === algorithmOf(limit).kind ? (state as BucketState) : undefined;
}

export function contentsAt(limit: LimitSpec, state: StoredState | undefined, nowMs: number): Contents {
  const own = ownState(limit, state, nowMs);
  if (own === undefined) return NOTHING;
  if (own.kind !== "held") return { spent: own, entries: NO_ENTRIES };
  const expiry = expiryOf(own.spent, own.entries, false);
  endAllBy(limit, expiry, nowMs);
  const entries: Entry[] = [];
  for (let i = 0; i < expiry.entries.length; i++) {
    const entry = rememberedAt(entryAt(expiry, i), nowMs);
    if (entry !== null) entries.push(entry);
  }
  return { spent: liveAt(expiry.spent, nowMs), entries };
}

/** An entry as far as it is live or remembered; `null` once it is forgotten. */
function rememberedAt(entry: Entry, nowMs: number): Entry | null {
  const { expiresAtMs } = entry;
  if (nowMs < expiresAtMs) return entry;
  if (entry.kind === "queued" || nowMs >= expiresAtMs + REMEMBERED_MS) return null;
  return entry.kind === "late" || entry.expired ? entry : { ...entry, expired: true };
}

/** What a store keeps: `undefined` when there is nothing to keep. */
export function stateOf(limit: LimitSpec, { spent, entries }: Contents, nowMs: number): BucketState | undefined {
  if (entries.length === 0) return liveAt(spent, nowMs);
  const expiresAtMs = keptUntilMs(limit, spent, entries);
  return { kind: "held", expiresAtMs, of: algorithmOf(limit).kind, spent: liveAt(spent, nowMs), entries };
}

export function usedIn(limit: LimitSpec, { spent, entries }: Contents, nowMs: number): number {
  const spentUnits = algorithmOf(limit).used(limit, spent, nowMs);
  return entries.length === 0 ? spentUnits : Math.min(spentUnits + heldUnits(entries), Number.MAX_SAFE_INTEGER);
}

/** Whether nothing may pass, whatever was granted or seen before: a quota of 0. */
export function isStopped(limit: LimitSpec): boolean {
  return algorithmOf(limit).capacity(limit) === 0;
}

export function entryIn({ entries }: Contents, id: string): Entry | undefined {
  return entries.find((entry) => entry.id === id);
}

/** The contents after `cost` units were spent. */
export function charged(limit: LimitSpec, contents: Contents, cost: number, nowMs: number): Contents {
  const algorithm = algorithmOf(limit);
  if (cost === 0 && algorithm.needsCost) return contents;
  const spent = algorithm.book(limit, contents.spent, cost, nowMs);
  return spent === contents.spent ? contents : { ...contents, spent };
}

export function isSeen(limit: LimitSpec, { spent }: Contents, value: string | undefined): boolean {
  return value !== undefined && spent !== undefined && algorithmOf(limit).hasSeen?.(spent, value) === true;
}

export function withSeen(limit: LimitSpec, after: Contents, value: string): Contents {
  const { withSeen } = algorithmOf(limit);
  if (withSeen === undefined || after.spent === undefined) return after;
  return { ...after, spent: withSeen(after.spent, value) };
}

export function afterReport(limit: LimitSpec, contents: Contents, outcome: string | null, nowMs: number): Contents {
  const { report } = algorithmOf(limit);
  // The same contents where nothing changes, so that nothing is written.
  if (report === undefined || (outcome === null && contents.spent === undefined)) return contents;
  return { ...contents, spent: report(limit, contents.spent, outcome, nowMs) };
}
