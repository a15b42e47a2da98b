// Calls that wait for their turn. Their units are kept from other calls until then, and spent then.

import { type LimitSpec, rulesOf } from "../algorithms/rules/registry.ts";
import type { NewHold } from "../request.ts";
import type { Entry } from "../state.ts";
import { type Contents, charged } from "./contents.ts";
import { withNewEntry } from "./entries.ts";
import { freeAfterMs } from "./free-after.ts";
import { type Becomes, queuedCallOf } from "./make.ts";
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
export function turnAfterMs(limit: LimitSpec, contents: Contents, units: number, nowMs: number): number {
  const queue: Entry[] = [];
  for (const entry of contents.entries) {
    if (entry.kind === "queued") {
      const { id, units, expiresAtMs, leaseMs, becomes } = entry;
      queue.push(becomes === undefined ? entry : queuedCallOf(id, units, expiresAtMs, leaseMs, undefined));
    }
  }
  if (queue.length >= MAX_QUEUED) return Number.POSITIVE_INFINITY;
  return freeAfterMs(limit, { spent: contents.spent, entries: queue }, units, nowMs);
}

/** The contents after units were kept for a call that is charged at its turn. */
export function queued(limit: LimitSpec, contents: Contents, units: number, turn: Turn, nowMs: number): Contents {
  if (units === 0 || !rulesOf(limit).needsCost) return charged(limit, contents, units, nowMs);
  return withQueued(contents, turn.id, units, turn.atMs, undefined, nowMs);
}

/**
 * The contents after units were kept for a call that begins at its turn: in a bucket that flows, the entry becomes the hold
 * then; in another one, the units are held from now on, and the lease begins then.
 */
export function heldFrom(limit: LimitSpec, contents: Contents, hold: NewHold, atMs: number, nowMs: number): Contents {
  const { id, units, leaseMs, onExpiry } = hold;
  if (rulesOf(limit).flow === undefined) {
    return held(limit, contents, { id, units, onExpiry, leaseMs: atMs - nowMs + leaseMs }, nowMs);
  }
  return units === 0 ? contents : withQueued(contents, id, units, atMs, { onExpiry, leaseMs }, nowMs);
}

function withQueued(
  contents: Contents,
  id: string,
  units: number,
  atMs: number,
  becomes: Becomes | undefined,
  nowMs: number,
): Contents {
  const call = queuedCallOf(id, units, atMs, atMs - nowMs, becomes);
  return { spent: contents.spent, entries: withNewEntry(contents.entries, call) };
}
