// What is booked afterwards: units that were admitted while the store was away, units that nobody was given after all, and
// use that the store has lost. Each belongs into the window of its own instant, and is nothing once that is over.

import { algorithmOf, type LimitSpec, type SpentState } from "../algorithms/registry.ts";
import { hasLeft, withoutUnits } from "../algorithms/sliding-window.ts";
import { lowered, returnable } from "../algorithms/token-bucket.ts";
import { type Contents, charged, holdIn, liveAt, roomIn, usedIn, withHold } from "./holds.ts";
import type { Raise } from "../request.ts";
import type { Hold } from "../state.ts";

/** What is in the bucket after units were spent that were admitted at an earlier instant. */
export function chargedAfterwards(
  limit: LimitSpec,
  contents: Contents,
  cost: number,
  atMs: number,
  nowMs: number,
): Contents {
  const { spent } = contents;
  if (limit.algorithm === "sliding-window" && hasLeft(limit, atMs, nowMs)) return contents;
  if (spent !== undefined && atMs < beganAtMs(limit, spent)) return contents;
  const after = charged(limit, contents, cost, Math.min(atMs, nowMs));
  return liveAt(after.spent, nowMs) === undefined ? contents : after;
}

/** What is in the bucket after units were taken back that had been spent at an earlier instant. */
export function unspent(limit: LimitSpec, contents: Contents, cost: number, atMs: number, nowMs: number): Contents {
  const { spent } = contents;
  if (cost === 0 || spent === undefined || atMs < beganAtMs(limit, spent)) return contents;
  const alone = algorithmOf(limit).book(limit, undefined, cost, atMs);
  if (nowMs >= alone.expiresAtMs) return contents;
  return { ...contents, spent: without(limit, spent, alone, cost, nowMs) };
}

/** What is in the bucket after lost use was given back. */
export function raised(limit: LimitSpec, contents: Contents, raise: Raise, nowMs: number): Contents {
  const { id, units, atMs, keptMs, lost } = raise;
  if (limit.algorithm === "concurrency" || limit.algorithm === "elapsed" || limit.algorithm === "streak") {
    return contents;
  }
  const memo = holdIn(contents, id);
  const known = memo?.units ?? (lost === "some" ? usedIn(limit, contents, nowMs) : 0);
  if (units <= known && (memo !== undefined || lost === "all")) return contents;
  const after = units > known ? chargedAfterwards(limit, contents, units - known, atMs, nowMs) : contents;
  if (units > known && after === contents) return contents;
  const others = after.holds.filter((hold) => hold !== memo);
  const next: Hold = {
    id,
    units: Math.max(units, known),
    expiresAtMs: nowMs + keptMs,
    leaseMs: keptMs,
    onExpiry: "memo",
    expired: true,
    mark: null,
  };
  return { ...after, holds: withHold(roomIn(others), next) };
}

/** The earliest instant whose bookings may be in a state. */
function beganAtMs(limit: LimitSpec, { expiresAtMs }: SpentState): number {
  if (limit.algorithm === "budget" && limit.ttlFrom === "first") return expiresAtMs - limit.ttlMs;
  if (limit.algorithm !== "fixed-window") return 0;
  if (limit.align !== "calendar") return expiresAtMs - limit.windowMs;
  return limit.boundaries.findLast((boundary) => boundary < expiresAtMs) ?? 0;
}

function without(limit: LimitSpec, spent: SpentState, alone: SpentState, cost: number, nowMs: number): SpentState {
  if (spent.kind === "counter") return { ...spent, spent: Math.max(0, spent.spent - cost) };
  if (spent.kind === "sliding-window" && alone.kind === "sliding-window") return withoutUnits(spent, alone, cost);
  if (limit.algorithm === "token-bucket" && spent.kind === "token-bucket" && alone.kind === "token-bucket") {
    return lowered(limit, spent, returnable(limit, spent, alone, cost, nowMs));
  }
  return spent;
}
