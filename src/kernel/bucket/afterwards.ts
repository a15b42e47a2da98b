// What is booked afterwards: units that were admitted while the store was away, units that nobody was given after all, and
// use that the store has lost. Each belongs into the window of its own instant, and is nothing once that is over.

import { algorithmOf, type LimitSpec } from "../algorithms/registry.ts";
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
  const algorithm = algorithmOf(limit);
  if (algorithm.isOver(limit, atMs, nowMs)) return contents;
  if (spent !== undefined && atMs < algorithm.beganAtMs(limit, spent)) return contents;
  const after = charged(limit, contents, cost, Math.min(atMs, nowMs));
  return liveAt(after.spent, nowMs) === undefined ? contents : after;
}

/** What is in the bucket after units were taken back that had been spent at an earlier instant. */
export function unspent(limit: LimitSpec, contents: Contents, cost: number, atMs: number, nowMs: number): Contents {
  const { spent } = contents;
  const algorithm = algorithmOf(limit);
  if (cost === 0 || spent === undefined || atMs < algorithm.beganAtMs(limit, spent)) return contents;
  const alone = algorithm.book(limit, undefined, cost, atMs);
  if (nowMs >= alone.expiresAtMs) return contents;
  return { ...contents, spent: algorithm.without(limit, spent, alone, cost, nowMs) };
}

/** What is in the bucket after lost use was given back. */
export function raised(limit: LimitSpec, contents: Contents, raise: Raise, nowMs: number): Contents {
  const { id, units, atMs, keptMs, lost } = raise;
  if (!algorithmOf(limit).outage.isUseKnown) return contents;
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
