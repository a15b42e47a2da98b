// Units that an operator grants on top of the capacity.

import { type LimitSpec, rulesOf } from "../algorithms/rules/registry.ts";
import type { UsageGrant } from "../decision.ts";
import type { NewHold } from "../request.ts";
import type { Entry, Grant } from "../state.ts";
import { type Contents, entryIn } from "./contents.ts";
import { sunk, withEntry, withNewEntry, withoutEntry } from "./entries.ts";
import { expiredAt, grantOf } from "./make.ts";

/** What is granted, once for an id. */
type NewGrant = Pick<NewHold, "id" | "units" | "leaseMs">;

/** Grants that are still there, the first that ends first. */
export function grantsIn(contents: Contents, nowMs: number): UsageGrant[] {
  const grants: UsageGrant[] = [];
  for (const entry of contents.entries) {
    if (entry.kind === "grant" && !entry.expired) {
      grants.push({ id: entry.id, units: entry.units, endsInMs: entry.expiresAtMs - nowMs });
    }
  }
  return grants;
}

export function grantIn(contents: Contents, id: string): Grant | undefined {
  for (const entry of contents.entries) if (entry.kind === "grant" && entry.id === id) return entry;
  return undefined;
}

/**
 * The contents after units were granted: there until the grant or the window ends. A bucket that flows is filled by them, at
 * most to the brim, and everything that was booked on it sinks.
 */
export function granted(limit: LimitSpec, contents: Contents, grant: NewGrant, nowMs: number): Contents {
  const { id, units, leaseMs } = grant;
  if (units === 0 || entryIn(contents, id) !== undefined) return contents;
  const { spent } = contents;
  const { flow, windowEndsAtMs } = rulesOf(limit);
  let expiresAtMs = nowMs + leaseMs;
  if (windowEndsAtMs !== undefined) {
    const endMs = windowEndsAtMs(limit, spent === undefined ? undefined : spent.expiresAtMs, nowMs);
    expiresAtMs = Math.min(expiresAtMs, endMs);
  }
  // In a bucket that flows it is spent at once: only its id is remembered.
  const entries = withNewEntry(contents.entries, grantOf(id, units, expiresAtMs, leaseMs, flow !== undefined));
  if (flow === undefined || spent === undefined) return { spent, entries };
  const by = flow.returnable(limit, spent, flow.levelOf(spent), units, nowMs);
  return { spent: flow.lowered(limit, spent, by), entries: sunk(entries, by, undefined) };
}

/** Whether an entry is what a grant asks for, and is still there. A grant that fills a bucket at once is there until it is forgotten. */
export function isSameGrant(limit: LimitSpec, entry: Entry, grant: NewGrant): boolean {
  if (entry.kind !== "grant" || entry.units !== grant.units || entry.leaseMs !== grant.leaseMs) return false;
  return !entry.expired || rulesOf(limit).flow !== undefined;
}

/** The contents after a live grant ended before its time. It is remembered, so that it is not granted again. */
export function revoked(contents: Contents, grant: Grant, nowMs: number): Contents {
  const others = withoutEntry(contents.entries, grant);
  return { spent: contents.spent, entries: withEntry(others, expiredAt(grant, nowMs)) };
}
