// What is booked afterwards: units that were admitted while the store was away, units that nobody was given after all, and
// use that the store has lost. Each belongs into the window of its own instant, and is nothing once that is over.

import { lowered, returnable } from "./algorithms/token-bucket.ts";
import { algorithmOf, type LimitSpec, type SpentState } from "./algorithms/registry.ts";
import { hasLeft, withoutUnits } from "./algorithms/sliding-window.ts";
import { type Contents, charged, type Hold, holdIn, liveAt, roomIn, usedIn, withHold } from "./holds.ts";

/** Use of a bucket as somebody saw it before the store lost it. */
export interface Raise {
  /** The incarnation in which it is given back: 1 to 64 letters, digits, `_` or `-`. The highest view of one counts. */
  readonly id: string;
  /** Units that were used, 0 to 2^53 - 1. */
  readonly units: number;
  /** An instant (epoch ms) at which a booking of them would have ended as they do. */
  readonly atMs: number;
  /** How long the view is remembered, so that another one is compared with it. */
  readonly keptMs: number;
  /**
   * Whether the store had lost this bucket for sure, so that what it holds was spent since, or may have kept some of it: then
   * what it holds when its first view is given back counts as kept.
   */
  readonly lost: "all" | "some";
}

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
