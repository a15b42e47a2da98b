// What is booked late: units that were admitted while the store was away, units that are taken back because no caller got
// them, and use that the store has lost. All of them belong to the windows of their own instants, and are dropped once those
// are over.

import { type LimitSpec, rulesOf } from "../algorithms/rules/registry.ts";
import type { Raise } from "../request.ts";
import { type Contents, charged, entryIn, usedIn } from "./contents.ts";
import { withNewEntry, withoutEntry } from "./entries.ts";
import { liveAt } from "./expiry.ts";
import { lateUsageOf } from "./make.ts";

/** Whether a booking at an earlier instant belongs to the window that the bucket counts. */
function isInWindow(limit: LimitSpec, contents: Contents, atMs: number, nowMs: number): boolean {
  const rules = rulesOf(limit);
  return rules.isInWindow === undefined || rules.isInWindow(limit, contents.spent, atMs, nowMs);
}

/** The contents after units were spent that were admitted at an earlier instant. */
export function chargedLate(limit: LimitSpec, contents: Contents, cost: number, atMs: number, nowMs: number): Contents {
  if (!isInWindow(limit, contents, atMs, nowMs)) return contents;
  const after = charged(limit, contents, cost, Math.min(atMs, nowMs));
  return liveAt(after.spent, nowMs) === undefined ? contents : after;
}

/** The contents after units were taken back that had been spent at an earlier instant. */
export function takenBack(limit: LimitSpec, contents: Contents, cost: number, atMs: number, nowMs: number): Contents {
  const { spent, entries } = contents;
  if (cost === 0 || spent === undefined || !isInWindow(limit, contents, atMs, nowMs)) return contents;
  const { book, takeBack } = rulesOf(limit);
  const alone = book(limit, undefined, cost, atMs);
  if (nowMs >= alone.expiresAtMs) return contents;
  // What is taken back may have been all: then nothing is spent any more.
  return takeBack === undefined
    ? contents
    : { spent: liveAt(takeBack(limit, spent, alone, cost, nowMs), nowMs), entries };
}

/** The contents after lost use was given back. The entry remembers how much, so that it is not given back twice. */
export function raised(limit: LimitSpec, contents: Contents, raise: Raise, nowMs: number): Contents {
  const { id, units, atMs, keptMs, lost } = raise;
  // What cannot be taken back is not raised.
  if (rulesOf(limit).takeBack === undefined) return contents;
  const before = entryIn(contents, id);
  const known = knownUnits(limit, contents, raise, nowMs);
  if (units <= known && (before !== undefined || lost === "all")) return contents;
  const after = units > known ? chargedLate(limit, contents, units - known, atMs, nowMs) : contents;
  if (units > known && after === contents) return contents;
  const late = lateUsageOf(id, Math.max(units, known), nowMs + keptMs, keptMs);
  return { spent: after.spent, entries: withNewEntry(withoutEntry(after.entries, before), late) };
}

/** Units that are not given back: those that were before, or those that the store may have kept. */
function knownUnits(limit: LimitSpec, contents: Contents, raise: Raise, nowMs: number): number {
  const before = entryIn(contents, raise.id);
  if (before !== undefined) return before.units;
  return raise.lost === "some" ? usedIn(limit, contents, nowMs) : 0;
}
