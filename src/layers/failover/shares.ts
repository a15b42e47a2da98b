// How much an instance may admit of a limit while the store is away, and the most that all
// instances together may admit above the quota.
//
// Example: a quota of 100, 90 used when last seen, 4 instances, rank 0. The share (`own`) is 3. The local state begins with the 90
// that were seen (`seeded`), and the local limit is 93: so the kernel's own judgement gives 3. Of a token bucket all is divided: of a
// burst of 100 with 60 used, the local burst is 25, 15 of it are used (`seeded`), and the rate is a quarter: 10 are free.

import { algorithmOf, type LimitSpec, type SpentState } from "../../kernel/algorithms/registry.ts";
import { isStopped } from "../../kernel/bucket/contents.ts";
import type { OnStoreError } from "../../kernel/policy/input.ts";
import type { Step } from "../../kernel/request.ts";
import { grantedIn, spentOf, type View } from "./views.ts";

/** Which one of how many an instance is. */
export interface Place {
  readonly instances: number;
  /** From 0; `null` where it is not known: then it takes the smallest share. */
  readonly rank: number | null;
}

/** What an instance knows of a bucket. */
export interface Known {
  /** How it stood when it was last seen, before this instance booked on it by itself. */
  readonly view: View | undefined;
  /** `null` when it knows of no other instances, nor that there are none: it admits no share then. */
  readonly place: Place | null;
  /** How much of the seen use is in the local state; `null`: there is no local state yet. */
  readonly seeded: number | null;
}

/** A limit as it holds for this instance alone. */
export interface Share {
  /** With this instance's part of the rate of a token bucket, and room for its share beside the units that are `seeded`. */
  readonly limit: LimitSpec;
  /** What the bucket's state begins with: the use that was seen, of a token bucket this instance's part of it. */
  readonly spent: SpentState | undefined;
  readonly seeded: number;
  /** Units beyond the quota that may pass at worst, over all instances; `null` without a bound. */
  readonly maxOvershoot: number | null;
}

const ALONE: Place = { instances: 1, rank: 0 };

/**
 * The share of one of `instances` in what is left: of 10 among 4 the first two take 3 and the others 2, so that all of them
 * together take exactly what is left.
 */
export function shareOf(left: number, { instances, rank }: Place): number {
  return Math.floor((left + instances - 1 - (rank ?? instances - 1)) / instances);
}

/** How a step is judged while the store is away. */
export function modeOf({ limit, event, hints }: Step): OnStoreError {
  if (hints?.onStoreError !== undefined) return hints.onStoreError;
  const isLocal = !algorithmOf(limit).countsUnits || (event.type === "charge" && event.seen !== undefined);
  return isLocal ? "local" : "share";
}

/** How a step's limit is divided: `local` divides nothing. So does an unknown place, for which `unitsIn` gives no units. */
export function placeIn(step: Step, place: Place | null): Place {
  return modeOf(step) === "local" ? ALONE : (place ?? ALONE);
}

/** The limit for this instance alone, as the step's own limit and mode have it. */
export function shareIn(step: Step, { view, place, seeded }: Known, nowMs: number): Share {
  const { limit } = step;
  const mode = modeOf(step);
  const among = placeIn(step, place);
  const { capacity: capacityOf, outage, book } = algorithmOf(limit);
  const capacity = capacityOf(limit);
  // Where all units come back together, those that the state began with are there as long as the state is.
  const used = seeded !== null && outage.endsTogether ? seeded : usedWhenSeen(view, limit, nowMs);
  const left = Math.max(0, capacity + grantedWhenSeen(view, limit, nowMs) - used);
  const own = outage.isDivided ? shareOf(left, among) : left;
  // A quota of 0 stops all calls, whatever `onStoreError` says.
  const rule = isStopped(limit) ? "deny" : mode;
  const bound = maxOvershoot(rule, own, capacity, place);
  const slow = slowed(limit, among);
  const withUnits = (units: number) => outage.withCapacity(slow, unitsIn(rule, place, units));
  if (outage.hasRate) {
    const part = partOfUse(limit, view, among, nowMs);
    const units = Math.min(shareOf(capacity, among), own + (seeded ?? part));
    const spent = part === 0 ? undefined : book(slow, undefined, part, nowMs);
    return { limit: withUnits(units), spent, seeded: seeded ?? part, maxOvershoot: bound };
  }
  if (!outage.isUseKnown) return { limit: withUnits(own), spent: undefined, seeded: 0, maxOvershoot: bound };
  const spent = used === 0 ? undefined : spentOf(view, limit, nowMs);
  return { limit: withUnits(own + used), spent, seeded: used, maxOvershoot: bound };
}

/** How many units the local limit has: `units`, unless the mode says none or all. */
function unitsIn(mode: OnStoreError, place: Place | null, units: number): number {
  if (mode === "allow") return Number.MAX_SAFE_INTEGER;
  return mode === "deny" || (mode === "share" && place === null) ? 0 : units;
}

function maxOvershoot(mode: OnStoreError, own: number, capacity: number, place: Place | null): number | null {
  if (mode === "deny") return 0;
  if (mode === "allow" || place === null) return null;
  const { instances } = place;
  return own + (instances - 1) * (mode === "share" ? Math.ceil(capacity / instances) : capacity);
}

/** Units that were used when the bucket was last seen, and are not free yet. Another kind of state is another bucket. */
export function usedWhenSeen(view: View | undefined, limit: LimitSpec, nowMs: number): number {
  if (view === undefined || !isOfKind(view, limit)) return 0;
  // Of slots, elapsed time and streaks no state can be made from what was seen: it counts as used until its end.
  if (!algorithmOf(limit).outage.isUseKnown) return nowMs < view.endsAtMs ? view.used : 0;
  return algorithmOf(limit).used(limit, spentOf(view, limit, nowMs), nowMs);
}

/** Units that were granted when the bucket was last seen, and may still be there. They add nothing to a quota of 0. */
export function grantedWhenSeen(view: View | undefined, limit: LimitSpec, nowMs: number): number {
  if (view === undefined || !isOfKind(view, limit) || isStopped(limit)) return 0;
  return grantedIn(view, nowMs);
}

function isOfKind(view: View, limit: LimitSpec): boolean {
  return algorithmOf(view.limit).kind === algorithmOf(limit).kind;
}

/** A limit at the rate of one of so many instances. */
export function slowed(limit: LimitSpec, { instances }: Place): LimitSpec {
  return algorithmOf(limit).outage.slowed(limit, instances);
}

/** This instance's part of the use that was seen: what is free beside it is its share of what is left. */
export function partOfUse(limit: LimitSpec, view: View | undefined, among: Place, nowMs: number): number {
  const used = usedWhenSeen(view, limit, nowMs);
  const whole = Math.max(algorithmOf(limit).capacity(limit), used);
  return shareOf(whole, among) - shareOf(whole - used, among);
}
