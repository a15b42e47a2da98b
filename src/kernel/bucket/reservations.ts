// Units of calls under way: held when a call begins, extended while it goes on, and settled when it ends.

import { algorithmOf, type LimitSpec } from "../algorithms/registry.ts";
import type { NewHold } from "../request.ts";
import type { Entry, Reservation } from "../state.ts";
import { type Contents, charged } from "./contents.ts";
import { sunk, withEntry, withNewEntry, withoutId } from "./entries.ts";

export function held(limit: LimitSpec, contents: Contents, hold: NewHold, nowMs: number): Contents {
  const { id, units, leaseMs, onExpiry } = hold;
  if (units === 0) return contents;
  const { flow } = algorithmOf(limit);
  const { spent } = flow === undefined ? contents : charged(limit, contents, units, nowMs);
  const levelAfter = flow === undefined || spent === undefined ? null : flow.levelOf(spent);
  const expiresAtMs = nowMs + leaseMs;
  const made: Entry = { kind: "reservation", id, units, expiresAtMs, leaseMs, onExpiry, expired: false, levelAfter };
  return { spent, entries: withNewEntry(contents.entries, made) };
}

/**
 * The contents after an entry ended that took `actual` units, and how many of those units are not spent yet. A hold that was
 * spent when it was made, or charged when it expired, has spent its own units.
 */
export function ended(limit: LimitSpec, contents: Contents, entry: Entry | undefined, actual: number, nowMs: number) {
  if (entry === undefined) return { rest: contents, unspent: actual };
  const others = { spent: contents.spent, entries: withoutId(contents.entries, entry.id) };
  if (entry.kind !== "reservation") return { rest: others, unspent: actual };
  const isSpent = entry.expired ? entry.onExpiry === "charge" : entry.levelAfter !== null;
  const unspent = isSpent ? Math.max(0, actual - entry.units) : actual;
  if (entry.expired) return { rest: others, unspent };
  return { rest: givenBack(limit, others, entry, Math.max(0, entry.units - actual), nowMs), unspent };
}

/** The contents after units of a hold were given back that was spent when it was made. What was booked on top of it sinks. */
function givenBack(limit: LimitSpec, contents: Contents, hold: Reservation, units: number, nowMs: number): Contents {
  const { spent, entries } = contents;
  const { levelAfter: below } = hold;
  const { flow } = algorithmOf(limit);
  if (flow === undefined || below === null || spent === undefined) return contents;
  const by = flow.returnable(limit, spent, below, units, nowMs);
  // A state with units of another size stays as it is, and so does its end.
  if (by === 0) return contents;
  return { spent: flow.lowered(limit, spent, by), entries: sunk(entries, by, below) };
}

/** The contents after a live entry was given `leaseMs` from now, unless it has longer. A hold that is queued keeps its turn. */
export function extended({ spent, entries }: Contents, entry: Entry, leaseMs: number, nowMs: number): Contents {
  const others = withoutId(entries, entry.id);
  if (entry.kind === "queued" && entry.becomes !== undefined) {
    const { onExpiry, leaseMs: before } = entry.becomes;
    const becomes = { onExpiry, leaseMs: Math.max(before, nowMs + leaseMs - entry.expiresAtMs) };
    return { spent, entries: withEntry(others, { ...entry, becomes }) };
  }
  const expiresAtMs = Math.max(entry.expiresAtMs, nowMs + leaseMs);
  const longest = entry.leaseMs === undefined ? {} : { leaseMs: Math.max(entry.leaseMs, leaseMs) };
  return { spent, entries: withEntry(others, { ...entry, ...longest, expiresAtMs }) };
}
