// Units that an operator grants on top of the capacity.

import { algorithmOf, type LimitSpec } from "../algorithms/registry.ts";
import type { UsageGrant } from "../decision.ts";
import type { NewHold } from "../request.ts";
import type { Entry, Grant } from "../state.ts";
import { type Contents, entryIn, isStopped } from "./contents.ts";
import { sunk, withEntry, withNewEntry } from "./entries.ts";

/** What is granted, once for an id. */
type NewGrant = Pick<NewHold, "id" | "units" | "leaseMs">;

function isLiveGrant(entry: Entry): entry is Grant {
  return entry.kind === "grant" && !entry.expired;
}

/** Units that grants add to the capacity. They add nothing to a capacity of 0, which is a stop; they stay in the bucket. */
export function grantedIn(limit: LimitSpec, { entries }: Contents): number {
  if (isStopped(limit)) return 0;
  let units = 0;
  for (const entry of entries) if (isLiveGrant(entry)) units += entry.units;
  return Math.min(units, Number.MAX_SAFE_INTEGER);
}

/** Grants that are still there, the first that ends first. */
export function grantsIn({ entries }: Contents, nowMs: number): UsageGrant[] {
  const live = entries.filter(isLiveGrant);
  return live.map(({ id, units, expiresAtMs }) => ({ id, units, endsInMs: expiresAtMs - nowMs }));
}

export function grantIn({ entries }: Contents, id: string): Grant | undefined {
  return entries.find((entry) => entry.kind === "grant" && entry.id === id) as Grant | undefined;
}

/**
 * The contents after units were granted: there until the grant or the window ends. A bucket that flows is filled by them, at
 * most to the brim, and everything that was booked on it sinks.
 */
export function granted(limit: LimitSpec, contents: Contents, grant: NewGrant, nowMs: number): Contents {
  const { id, units, leaseMs } = grant;
  if (units === 0 || entryIn(contents, id) !== undefined) return contents;
  const { spent } = contents;
  const { flow, windowEndsAtMs } = algorithmOf(limit);
  const windowEndMs = windowEndsAtMs?.(limit, spent?.expiresAtMs, nowMs) ?? Number.POSITIVE_INFINITY;
  const expiresAtMs = Math.min(nowMs + leaseMs, windowEndMs);
  // It is spent at once: only its id is remembered.
  const expired = flow !== undefined;
  const entries = withNewEntry(contents.entries, { kind: "grant", id, units, expiresAtMs, leaseMs, expired });
  if (flow === undefined || spent === undefined) return { spent, entries };
  const by = flow.returnable(limit, spent, flow.levelOf(spent), units, nowMs);
  return { spent: flow.lowered(limit, spent, by), entries: sunk(entries, by) };
}

/** Whether an entry is what a grant asks for, and is still there. A grant that fills a bucket at once is there until it is forgotten. */
export function isSameGrant(limit: LimitSpec, entry: Entry, { units, leaseMs }: NewGrant): boolean {
  if (entry.kind !== "grant" || entry.units !== units || entry.leaseMs !== leaseMs) return false;
  return !entry.expired || algorithmOf(limit).flow !== undefined;
}

/** The contents after a live grant ended before its time. It is remembered, so that it is not granted again. */
export function revoked({ spent, entries }: Contents, grant: Grant, nowMs: number): Contents {
  const others = entries.filter((entry) => entry !== grant);
  return { spent, entries: withEntry(others, { ...grant, expiresAtMs: nowMs, expired: true }) };
}
