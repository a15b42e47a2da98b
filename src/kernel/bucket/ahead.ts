// A state that a clock wrote which was ahead of the store's time now.

import { type LimitSpec, rulesOf, type SpentState } from "../algorithms/rules/registry.ts";
import type { BucketState, Entry, HeldState } from "../state.ts";
import { keptUntilMs } from "./expiry.ts";
import { endingAt, withLevelAfter } from "./make.ts";

/**
 * The state of a bucket without instants that nothing written at `nowMs` could name. An entry lives at the latest for its
 * lease from now. The same object where nothing changes.
 */
export function notAhead(limit: LimitSpec, state: BucketState, nowMs: number): BucketState {
  const rules = rulesOf(limit);
  if (state.kind !== "held") return rules.notAhead(limit, state, nowMs);
  const spent = state.spent === undefined ? undefined : rules.notAhead(limit, state.spent, nowMs);
  if (spent === state.spent && areRight(limit, state, nowMs)) return state;
  const entries: Entry[] = [];
  for (const entry of state.entries) insertByEnd(entries, entryNotAhead(limit, entry, state.spent, nowMs));
  return { kind: "held", expiresAtMs: keptUntilMs(limit, spent, entries), of: state.of, spent, entries };
}

/** Whether all entries stay as they are. */
function areRight(limit: LimitSpec, state: HeldState, nowMs: number): boolean {
  for (const entry of state.entries) if (entryNotAhead(limit, entry, state.spent, nowMs) !== entry) return false;
  return true;
}

/** Puts an entry into a list behind those that end before it or together with it. */
function insertByEnd(entries: Entry[], entry: Entry): void {
  let i = entries.length;
  entries.push(entry);
  while (i > 0 && (entries[i - 1] as Entry).expiresAtMs > entry.expiresAtMs) {
    entries[i] = entries[i - 1] as Entry;
    i--;
  }
  entries[i] = entry;
}

function entryNotAhead(limit: LimitSpec, entry: Entry, spent: SpentState | undefined, nowMs: number): Entry {
  const { leaseMs } = entry;
  const isAhead = leaseMs !== undefined && entry.expiresAtMs > nowMs + leaseMs;
  const right = isAhead ? endingAt(entry, nowMs + leaseMs, leaseMs) : entry;
  if (right.kind !== "reservation" || right.levelAfter === null) return right;
  const { flow } = rulesOf(limit);
  if (flow === undefined) return right;
  const levelAfter = flow.notAhead(right.levelAfter, spent, nowMs);
  return levelAfter === right.levelAfter ? right : withLevelAfter(right, levelAfter);
}
