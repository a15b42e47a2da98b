// What the bucket of a step holds once the step is booked.

import type { LimitSpec } from "../algorithms/rules/registry.ts";
import { afterReport, type Contents, charged, isSeen, withSeen } from "../bucket/contents.ts";
import { isLive, NO_ENTRIES } from "../bucket/entries.ts";
import { granted, revoked } from "../bucket/grants.ts";
import { chargedLate, raised } from "../bucket/late.ts";
import { heldFrom, queued, type Turn } from "../bucket/queue.ts";
import { ended, extended, held, unspentOf } from "../bucket/reservations.ts";
import type { StepEvent } from "../request.ts";
import type { Judged } from "./judge.ts";

/** What a reset leaves: never the contents that were found, so that it is written. */
const EMPTIED: Contents = { spent: undefined, entries: NO_ENTRIES };

/**
 * The contents after a step.
 *
 * @param turn when its turn is, where the request waits
 * @param requestAtMs when the request was admitted, if that is over
 */
export function booked(judged: Judged, turn: Turn | null, requestAtMs: number | undefined, nowMs: number): Contents {
  const { limit, event, atMs: ownAtMs } = judged.step;
  const atMs = requestAtMs === undefined || ownAtMs === undefined ? requestAtMs : ownAtMs;
  const { type } = event;
  if (type === "hold") {
    return turn === null ? held(limit, judged, event, nowMs) : heldFrom(limit, judged, event, turn.atMs, nowMs);
  }
  if (type === "charge") {
    if (event.seen !== undefined) return chargedFor(event.seen, limit, judged, event.cost, atMs, nowMs);
    if (turn === null) return spentAt(limit, judged, event.cost, atMs, nowMs);
    return queued(limit, judged, event.cost, turn, nowMs);
  }
  if (type === "settle") {
    const rest = ended(limit, judged, judged.entry, event.units, nowMs);
    return spentAt(limit, rest, unspentOf(judged.entry, event.units), atMs, nowMs);
  }
  return changedBy(event, limit, judged, nowMs);
}

/** The contents after an event that spends nothing. */
function changedBy(event: StepEvent, limit: LimitSpec, judged: Judged, nowMs: number): Contents {
  const { type } = event;
  const { entry } = judged;
  if (type === "extend") {
    // A forced one cannot bring back what has ended.
    return entry !== undefined && isLive(entry) ? extended(judged, entry, event.leaseMs, nowMs) : judged;
  }
  if (type === "report") return afterReport(limit, judged, event.outcome, nowMs);
  if (type === "grant") return granted(limit, judged, event, nowMs);
  if (type === "revoke") {
    return entry !== undefined && entry.kind === "grant" && isLive(entry) ? revoked(judged, entry, nowMs) : judged;
  }
  if (type === "raise") return raised(limit, judged, event, nowMs);
  return type === "reset" ? EMPTIED : judged;
}

/** The contents after units were spent: now, or at an earlier instant. */
function spentAt(
  limit: LimitSpec,
  contents: Contents,
  units: number,
  atMs: number | undefined,
  nowMs: number,
): Contents {
  if (atMs === undefined) return charged(limit, contents, units, nowMs);
  return chargedLate(limit, contents, units, atMs, nowMs);
}

/** The contents after a value was counted, once. */
function chargedFor(
  value: string,
  limit: LimitSpec,
  before: Contents,
  cost: number,
  atMs: number | undefined,
  nowMs: number,
): Contents {
  if (isSeen(limit, before, value)) return before;
  const after = spentAt(limit, before, cost, atMs, nowMs);
  // What belongs to a window that is over was not seen in this one.
  return after === before && atMs !== undefined ? before : withSeen(limit, after, value);
}
