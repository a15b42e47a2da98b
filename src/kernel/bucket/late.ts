// What is booked late: units that were admitted while the store was away, units that are taken back because no caller got
// them, and use that the store has lost. All of them belong to the windows of their own instants, and are dropped once those
// are over.

import { algorithmOf, type LimitSpec } from "../algorithms/registry.ts";
import type { Raise } from "../request.ts";
import { type Contents, charged, entryIn, usedIn } from "./contents.ts";
import { withNewEntry } from "./entries.ts";
import { liveAt } from "./expiry.ts";

/** The contents after units were spent that were admitted at an earlier instant. */
export function chargedLate(limit: LimitSpec, contents: Contents, cost: number, atMs: number, nowMs: number): Contents {
  if (algorithmOf(limit).isInWindow?.(limit, contents.spent, atMs, nowMs) === false) return contents;
  const after = charged(limit, contents, cost, Math.min(atMs, nowMs));
  return liveAt(after.spent, nowMs) === undefined ? contents : after;
}

/** The contents after units were taken back that had been spent at an earlier instant. */
export function takenBack(limit: LimitSpec, contents: Contents, cost: number, atMs: number, nowMs: number): Contents {
  const { spent } = contents;
  const algorithm = algorithmOf(limit);
  if (cost === 0 || spent === undefined || algorithm.isInWindow?.(limit, spent, atMs, nowMs) === false) return contents;
  const alone = algorithm.book(limit, undefined, cost, atMs);
  if (nowMs >= alone.expiresAtMs) return contents;
  return { ...contents, spent: algorithm.takeBack?.(limit, spent, alone, cost, nowMs) ?? spent };
}

/** The contents after lost use was given back. The entry remembers how much, so that it is not given back twice. */
export function raised(limit: LimitSpec, contents: Contents, raise: Raise, nowMs: number): Contents {
  const { id, units, atMs, keptMs, lost } = raise;
  // What cannot be taken back is not raised.
  if (algorithmOf(limit).takeBack === undefined) return contents;
  const before = entryIn(contents, id);
  const known = before?.units ?? (lost === "some" ? usedIn(limit, contents, nowMs) : 0);
  if (units <= known && (before !== undefined || lost === "all")) return contents;
  const after = units > known ? chargedLate(limit, contents, units - known, atMs, nowMs) : contents;
  if (units > known && after === contents) return contents;
  const others = after.entries.filter((entry) => entry !== before);
  const expiresAtMs = nowMs + keptMs;
  const late = { kind: "late", id, units: Math.max(units, known), expiresAtMs, leaseMs: keptMs } as const;
  return { ...after, entries: withNewEntry(others, late) };
}
