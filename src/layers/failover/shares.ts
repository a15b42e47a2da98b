// How much an instance may admit of a limit while the store is away, and how much may pass in all at worst.

import { type GcraLimit, gcra } from "../../kernel/algorithms/gcra.ts";
import { algorithmOf, type LimitSpec, type SpentState } from "../../kernel/algorithms/registry.ts";
import type { OnStoreError } from "../../kernel/policy-schema.ts";
import type { Step } from "../../store.ts";
import { spentOf, type View } from "./views.ts";

/** Which one of how many an instance is. */
export interface Place {
  readonly instances: number;
  /** From 0; `null` where it is not known: then it takes the smallest share. */
  readonly rank: number | null;
}

/** A limit as it holds for this instance alone. */
export interface Share {
  readonly limit: LimitSpec;
  /** What is in its bucket at first. */
  readonly spent: SpentState | undefined;
  /** When what was left is reckoned anew, because the use that was seen has ended; `null` for never. */
  readonly endsAtMs: number | null;
  /** Units beyond the quota that may pass at worst, over all instances; `null` without a bound. */
  readonly worstCaseOver: number | null;
}

const UNBOUNDED: LimitSpec = { algorithm: "quota", quota: Number.MAX_SAFE_INTEGER, ttlMs: 60_000, ttlFrom: "last" };
const NOTHING: LimitSpec = { ...UNBOUNDED, quota: 0 };

/**
 * The share of one of `instances` in what is left: of 10 among 4 the first two take 3 and the others 2, so that all of them
 * together take exactly what is left.
 */
export function shareOf(left: number, { instances, rank }: Place): number {
  return Math.floor((left + instances - 1 - (rank ?? instances - 1)) / instances);
}

/** How a step is judged while the store is away. */
export function modeOf({ limit, event, onStoreError }: Step): OnStoreError {
  if (onStoreError !== undefined) return onStoreError;
  const isLocal =
    limit.algorithm === "streak" ||
    limit.algorithm === "elapsed" ||
    (event.type === "charge" && event.seen !== undefined);
  return isLocal ? "local" : "share";
}

/**
 * The limit for this instance alone.
 *
 * @param place `null` when it knows of no others, nor that there are none: it admits no share
 */
export function shared(step: Step, view: View | undefined, place: Place | null, nowMs: number): Share {
  const { limit } = step;
  const mode = modeOf(step);
  if (mode === "allow") return { limit: UNBOUNDED, spent: undefined, endsAtMs: null, worstCaseOver: null };
  if (mode === "deny") return { limit: NOTHING, spent: undefined, endsAtMs: null, worstCaseOver: 0 };
  if (mode === "share" && place === null) {
    return { limit: NOTHING, spent: undefined, endsAtMs: null, worstCaseOver: null };
  }
  const { instances, rank } = mode === "share" && place !== null ? place : { instances: 1, rank: 0 };
  const capacity = algorithmOf(limit).capacity(limit);
  const left = Math.max(0, capacity + grantedIn(view, nowMs) - usedIn(view, nowMs));
  const own = shareOf(left, { instances, rank });
  const worstCaseOver =
    mode === "share"
      ? own + (instances - 1) * Math.ceil(capacity / instances)
      : place === null
        ? null
        : own + (place.instances - 1) * capacity;
  if (limit.algorithm === "gcra") return { ...slowed(limit, own, { instances, rank }, nowMs), worstCaseOver };
  const endsAtMs = view !== undefined && nowMs < view.endsAtMs ? view.endsAtMs : null;
  return { limit: { ...limit, quota: own }, spent: undefined, endsAtMs, worstCaseOver };
}

/** Units that were used when the bucket was last seen, and are not free yet. */
export function usedIn(view: View | undefined, nowMs: number): number {
  if (view === undefined) return 0;
  const { limit } = view;
  // What is held has no end that is known here; what has elapsed goes on.
  if (limit.algorithm === "concurrency" || limit.algorithm === "elapsed" || limit.algorithm === "streak") {
    return nowMs < view.endsAtMs ? view.used : 0;
  }
  return algorithmOf(limit).used(limit, spentOf(view, nowMs), nowMs);
}

function grantedIn(view: View | undefined, nowMs: number): number {
  return view !== undefined && nowMs < view.endsAtMs ? view.granted : 0;
}

/** A token bucket at its share of the rate and of the burst, in which so many units are free. */
function slowed(limit: GcraLimit, free: number, place: Place, nowMs: number): Omit<Share, "worstCaseOver"> {
  const burst = Math.max(free, shareOf(limit.burst, place));
  const slow: GcraLimit = { ...limit, burst, levelPerUnit: limit.levelPerUnit * place.instances };
  const spent = burst === free ? undefined : gcra.book(slow, undefined, burst - free, nowMs);
  return { limit: slow, spent, endsAtMs: null };
}
