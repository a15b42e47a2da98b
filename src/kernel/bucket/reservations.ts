// Units of calls under way: held when a call begins, extended while it goes on, and settled when it ends.

import { type LimitSpec, rulesOf } from "../algorithms/rules/registry.ts";
import type { NewHold } from "../request.ts";
import type { Entry, Reservation } from "../state.ts";
import { type Contents, charged } from "./contents.ts";
import { sunk, withEntry, withNewEntry, withoutId } from "./entries.ts";
import { endingAt, queuedCallOf, reservationOf } from "./make.ts";

/**
 * The hold that was made last, of what, and when: a request mostly makes the same one in each of its buckets, and neither
 * the entry nor its text need be made again.
 */
const last: { made: Reservation | null; of: NewHold | null; nowMs: number } = { made: null, of: null, nowMs: 0 };

function reservationNow(hold: NewHold, nowMs: number): Reservation {
  if (last.made !== null && last.of === hold && last.nowMs === nowMs) return last.made;
  const { id, units, leaseMs, onExpiry } = hold;
  const made = reservationOf(id, units, nowMs + leaseMs, leaseMs, onExpiry, false, null);
  last.made = made;
  last.of = hold;
  last.nowMs = nowMs;
  return made;
}

export function held(limit: LimitSpec, contents: Contents, hold: NewHold, nowMs: number): Contents {
  const { id, units, leaseMs, onExpiry } = hold;
  if (units === 0) return contents;
  const { flow } = rulesOf(limit);
  if (flow === undefined) {
    return { spent: contents.spent, entries: withNewEntry(contents.entries, reservationNow(hold, nowMs)) };
  }
  const { spent } = charged(limit, contents, units, nowMs);
  const levelAfter = spent === undefined ? null : flow.levelOf(spent);
  const made = reservationOf(id, units, nowMs + leaseMs, leaseMs, onExpiry, false, levelAfter);
  return { spent, entries: withNewEntry(contents.entries, made) };
}

/**
 * How many of the `actual` units of an entry that ends are not spent yet. A hold that was spent when it was made, or charged
 * when it expired, has spent its own units.
 */
export function unspentOf(entry: Entry | undefined, actual: number): number {
  if (entry === undefined || entry.kind !== "reservation") return actual;
  const isSpent = entry.expired ? entry.onExpiry === "charge" : entry.levelAfter !== null;
  return isSpent ? Math.max(0, actual - entry.units) : actual;
}

/** The contents after an entry ended that took `actual` units: without it, and before those are spent that are not yet. */
export function ended(
  limit: LimitSpec,
  contents: Contents,
  entry: Entry | undefined,
  actual: number,
  nowMs: number,
): Contents {
  if (entry === undefined) return contents;
  const others = { spent: contents.spent, entries: withoutId(contents.entries, entry.id) };
  if (entry.kind !== "reservation" || entry.expired) return others;
  return givenBack(limit, others, entry, Math.max(0, entry.units - actual), nowMs);
}

/** The contents after units of a hold were given back that was spent when it was made. What was booked on top of it sinks. */
function givenBack(limit: LimitSpec, contents: Contents, hold: Reservation, units: number, nowMs: number): Contents {
  const { spent, entries } = contents;
  const { levelAfter: below } = hold;
  const { flow } = rulesOf(limit);
  if (flow === undefined || below === null || spent === undefined) return contents;
  const by = flow.returnable(limit, spent, below, units, nowMs);
  // A state with units of another size stays as it is, and so does its end.
  if (by === 0) return contents;
  return { spent: flow.lowered(limit, spent, by), entries: sunk(entries, by, below) };
}

/** The contents after a live entry was given `leaseMs` from now, unless it has longer. A hold that is queued keeps its turn. */
export function extended(contents: Contents, entry: Entry, leaseMs: number, nowMs: number): Contents {
  const others = withoutId(contents.entries, entry.id);
  return { spent: contents.spent, entries: withEntry(others, longer(entry, leaseMs, nowMs)) };
}

function longer(entry: Entry, leaseMs: number, nowMs: number): Entry {
  const { id, units, expiresAtMs, leaseMs: given } = entry;
  if (entry.kind === "queued" && entry.becomes !== undefined) {
    const { onExpiry, leaseMs: before } = entry.becomes;
    const becomes = { onExpiry, leaseMs: Math.max(before, nowMs + leaseMs - expiresAtMs) };
    return queuedCallOf(id, units, expiresAtMs, given, becomes);
  }
  const longest = given === undefined ? undefined : Math.max(given, leaseMs);
  return endingAt(entry, Math.max(expiresAtMs, nowMs + leaseMs), longest);
}
