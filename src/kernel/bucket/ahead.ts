// A state that a clock wrote which was ahead of the store's time now.

import { algorithmOf, type LimitSpec, type SpentState } from "../algorithms/registry.ts";
import type { BucketState, Entry } from "../state.ts";
import { keptUntilMs } from "./expiry.ts";

/**
 * The state of a bucket without instants that nothing written at `nowMs` could name. An entry lives at the latest for its
 * lease from now. The same object where nothing changes.
 */
export function notAhead(limit: LimitSpec, state: BucketState, nowMs: number): BucketState {
  const algorithm = algorithmOf(limit);
  if (state.kind !== "held") return algorithm.notAhead(limit, state, nowMs);
  const spent = state.spent === undefined ? undefined : algorithm.notAhead(limit, state.spent, nowMs);
  const entries = state.entries.map((entry) => entryNotAhead(limit, entry, state.spent, nowMs));
  if (spent === state.spent && entries.every((entry, i) => entry === state.entries[i])) return state;
  entries.sort((one, other) => one.expiresAtMs - other.expiresAtMs);
  return { ...state, expiresAtMs: keptUntilMs(limit, spent, entries), spent, entries };
}

function entryNotAhead(limit: LimitSpec, entry: Entry, spent: SpentState | undefined, nowMs: number): Entry {
  const latestMs = entry.leaseMs === undefined ? entry.expiresAtMs : nowMs + entry.leaseMs;
  const expiresAtMs = Math.min(entry.expiresAtMs, latestMs);
  if (entry.kind !== "reservation") return expiresAtMs === entry.expiresAtMs ? entry : { ...entry, expiresAtMs };
  const { levelAfter: before } = entry;
  const { flow } = algorithmOf(limit);
  const levelAfter = before === null || flow === undefined ? before : flow.notAhead(before, spent, nowMs);
  return expiresAtMs === entry.expiresAtMs && levelAfter === before ? entry : { ...entry, expiresAtMs, levelAfter };
}
