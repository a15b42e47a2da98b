// Calls that wait for their turn. Their units are kept from other calls until then, and spent then.

import { algorithmOf, type LimitSpec } from "../algorithms/registry.ts";
import type { NewHold } from "../request.ts";
import type { Entry, QueuedCall } from "../state.ts";
import { type Contents, charged } from "./contents.ts";
import { withNewEntry } from "./entries.ts";
import { freeAfterMs } from "./free-after.ts";
import { held } from "./reservations.ts";

/** Most calls that wait in one bucket: each decision on it looks at them all. */
export const MAX_QUEUED = 256;

export interface Turn {
  readonly id: string;
  /** Epoch ms. */
  readonly atMs: number;
}

/**
 * Milliseconds until `units` are free behind all calls that wait, whatever becomes of holds; `Infinity` where they never will
 * be, or where no more calls may wait.
 */
export function turnAfterMs(limit: LimitSpec, { spent, entries }: Contents, units: number, nowMs: number): number {
  const queue: Entry[] = [];
  for (const entry of entries) {
    if (entry.kind !== "queued") continue;
    const { becomes, ...charge } = entry;
    queue.push(becomes === undefined ? entry : charge);
  }
  if (queue.length >= MAX_QUEUED) return Number.POSITIVE_INFINITY;
  return freeAfterMs(limit, { spent, entries: queue }, units, nowMs);
}

/** The contents after units were kept for a call that is charged at its turn. */
export function queued(limit: LimitSpec, contents: Contents, units: number, turn: Turn, nowMs: number): Contents {
  if (units === 0 || !algorithmOf(limit).needsCost) return charged(limit, contents, units, nowMs);
  return withQueued(contents, { id: turn.id, units, expiresAtMs: turn.atMs }, nowMs);
}

/**
 * The contents after units were kept for a call that begins at its turn: in a bucket that flows, the entry becomes the hold
 * then; in another one, the units are held from now on, and the lease begins then.
 */
export function heldFrom(limit: LimitSpec, contents: Contents, hold: NewHold, atMs: number, nowMs: number): Contents {
  const { id, units, leaseMs, onExpiry } = hold;
  if (algorithmOf(limit).flow === undefined) {
    return held(limit, contents, { ...hold, leaseMs: atMs - nowMs + leaseMs }, nowMs);
  }
  if (units === 0) return contents;
  return withQueued(contents, { id, units, expiresAtMs: atMs, becomes: { onExpiry, leaseMs } }, nowMs);
}

function withQueued({ spent, entries }: Contents, call: Omit<QueuedCall, "kind">, nowMs: number): Contents {
  const leaseMs = call.expiresAtMs - nowMs;
  return { spent, entries: withNewEntry(entries, { kind: "queued", ...call, leaseMs }) };
}
