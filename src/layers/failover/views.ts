// What this instance last saw of buckets: the use that its share is reckoned by while the store is away, and that it gives
// back to a store which has lost it. Bounded: what was not seen for long is forgotten first.

import { endOf } from "../../kernel/algorithms/fixed-window.ts";
import { algorithmOf, type LimitSpec, type SpentState } from "../../kernel/algorithms/registry.ts";
import type { Raise, Step, StepReply, StoreReply, StoreRequest } from "../../kernel/request.ts";
import type { Beat } from "../../store/shared-store.ts";

/** Most buckets of each of two generations: some 250 bytes each, 12 MB in all. */
export const VIEWS_PER_GENERATION = 25_000;

/** How long answers are under way at most: ms. */
const ANSWERED_WITHIN_MS = 10_000;

/** How long views of a store that may have kept some of a bucket are compared with one another: ms. */
const COMPARED_MS = 3_600_000;

/** How a bucket stood when it was last seen. */
export interface View {
  readonly limit: LimitSpec;
  readonly used: number;
  readonly granted: number;
  /** When the first of the grants ends that this instance has made or seen listed; `null` where it knows of none. */
  readonly grantEndsAtMs: number | null;
  readonly seenAtMs: number;
  /** When all of it is free again. */
  readonly endsAtMs: number;
  /** Whether values are counted: what was seen of them is not known here. */
  readonly isCount: boolean;
}

/** What was last seen of buckets. */
export class Views {
  #young = new Map<string, View>();
  #old = new Map<string, View>();

  get(bucket: string): View | undefined {
    return this.#young.get(bucket) ?? this.#old.get(bucket);
  }

  /** Remembers how the buckets of a request stood. */
  learn({ mode, steps }: StoreRequest, reply: StoreReply): void {
    if (reply.stale === true || reply.replay !== undefined) return;
    for (const [i, step] of steps.entries()) {
      const found = reply.steps[i];
      // A peek answers as if it had charged.
      if (found === undefined || (mode === "peek" && step.event.type !== "read")) continue;
      if (hasNoRate(step)) continue;
      this.#set(step.bucket, viewOf(step, found, this.get(step.bucket), reply.nowMs));
    }
  }

  /**
   * Ends the use of a counter as a limit which the bucket is asked about does: the store keeps it no longer than that limit
   * can write, also when a later limit could.
   */
  shorten(bucket: string, limit: LimitSpec, nowMs: number): void {
    const { kind, notAhead } = algorithmOf(limit);
    const view = this.get(bucket);
    const spent = spentOf(view, limit, nowMs);
    if (kind !== "counter" || view === undefined || spent?.kind !== kind) return;
    const { expiresAtMs } = notAhead(limit, spent, nowMs);
    if (expiresAtMs < view.endsAtMs) this.#put(bucket, { ...view, endsAtMs: expiresAtMs });
  }

  /** Buckets with use, those that were seen last among them. */
  *live(nowMs: number): Generator<[bucket: string, View]> {
    for (const generation of [this.#young, this.#old]) {
      for (const entry of generation) if (entry[1].used > 0 && nowMs < entry[1].endsAtMs) yield entry;
    }
  }

  #set(bucket: string, view: View): void {
    const before = this.get(bucket);
    if (before === undefined || !isOlder(view, before)) this.#put(bucket, view);
  }

  #put(bucket: string, view: View): void {
    if (this.#young.size >= VIEWS_PER_GENERATION && !this.#young.has(bucket)) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(bucket, view);
  }
}

/** Whether a step is of a rate that is unlimited, by which nothing is used: how the bucket stands is said by others. */
function hasNoRate({ limit, event, shadow }: Step): boolean {
  return limit.algorithm === "token-bucket" && shadow === true && event.type === "charge" && event.cost === 0;
}

/** Answers that were under way together may come in another order. Where it is much older, the store's clock was set back. */
function isOlder(view: View, before: View): boolean {
  const byMs = before.seenAtMs - view.seenAtMs;
  return byMs > 0 && byMs < ANSWERED_WITHIN_MS;
}

function viewOf({ limit, event }: Step, found: StepReply, before: View | undefined, nowMs: number): View {
  const { used, granted = 0, grants, resetAfterMs } = found;
  const seen = { limit, seenAtMs: nowMs, isCount: event.type === "charge" && event.seen !== undefined };
  // A reset says how the bucket stood before.
  if (event.type === "reset") return { ...seen, used: 0, granted: 0, grantEndsAtMs: null, endsAtMs: nowMs };
  const firstEndsMs = grants?.[0]?.endsAfterMs;
  const known = firstEndsMs === undefined ? grantEndOf(limit, event, before, nowMs) : nowMs + firstEndsMs;
  const grantEndsAtMs = granted === 0 ? null : known;
  const isCovered = grantEndsAtMs !== null && used > 0 && resetAfterMs === 0;
  const endsAtMs = isCovered ? latestEndOf(limit, before, nowMs) : nowMs + resetAfterMs;
  return { ...seen, used, granted, grantEndsAtMs, endsAtMs };
}

function grantEndOf(limit: LimitSpec, event: Step["event"], before: View | undefined, nowMs: number): number | null {
  const known = before?.grantEndsAtMs ?? null;
  const endsAtMs = known !== null && nowMs < known ? known : null;
  if (event.type !== "grant") return endsAtMs;
  const windowEndsAtMs =
    limit.algorithm === "fixed-window" ? latestEndOf(limit, before, nowMs) : Number.POSITIVE_INFINITY;
  return Math.min(nowMs + event.leaseMs, windowEndsAtMs, endsAtMs ?? Number.POSITIVE_INFINITY);
}

/** When use ends at the latest. Where as much is granted as used, the answer does not say it. */
function latestEndOf(limit: LimitSpec, before: View | undefined, nowMs: number): number {
  if (limit.algorithm !== "fixed-window") return nowMs + (lifeMsOf(limit) ?? 0);
  return before !== undefined && nowMs < before.endsAtMs ? before.endsAtMs : endOf(limit, nowMs);
}

/**
 * What the bucket would hold if all that was used were one booking that ends as it does; `undefined` where nothing does.
 *
 * @param limit what it is judged by now: of the same kind as the one that it was seen under
 */
export function spentOf(view: View | undefined, limit: LimitSpec, nowMs: number): SpentState | undefined {
  if (view === undefined || view.used === 0) return undefined;
  const spent = bookingOf(view, limit);
  return nowMs < spent.expiresAtMs ? spent : undefined;
}

function bookingOf({ limit: seen, used, seenAtMs, endsAtMs }: View, limit: LimitSpec): SpentState {
  const { kind, book } = algorithmOf(seen);
  // A bucket keeps the end that an earlier policy gave it.
  if (kind === "counter") return { kind, spent: used, expiresAtMs: endsAtMs };
  if (seen.algorithm !== "sliding-window" || limit.algorithm !== "sliding-window")
    return book(seen, undefined, used, seenAtMs);
  const atMs = endsAtMs - seen.windowMs;
  if (seen.windowMs === limit.windowMs) return { ...book(seen, undefined, used, atMs), expiresAtMs: endsAtMs };
  // It may have been counted under a third length: what is not known of its end is on the side of the limit.
  const expiresAtMs = Math.max(endsAtMs, seenAtMs + 2 * limit.windowMs);
  return { ...book(seen, undefined, used, Math.max(atMs, seenAtMs)), expiresAtMs };
}

/** What gives a lost view back; `null` where nothing can, or has to be. */
export function raiseOf(view: View, { incarnation, lost }: Beat): (Raise & { readonly type: "raise" }) | null {
  const { limit, used, isCount } = view;
  const lifeMs = lifeMsOf(limit);
  if (lifeMs === null || isCount) return null;
  const keptMs = lost === "some" ? Math.min(lifeMs, COMPARED_MS) : lifeMs;
  return { type: "raise", id: incarnation, units: used, atMs: bookedAtMs(view), keptMs, lost };
}

/** An instant at which a booking would have ended as the view does. */
function bookedAtMs({ limit, seenAtMs, endsAtMs }: View): number {
  switch (limit.algorithm) {
    case "budget":
      return endsAtMs - limit.ttlMs;
    case "fixed-window":
      return limit.align === "calendar" ? endsAtMs - 1 : endsAtMs - limit.windowMs;
    case "sliding-window":
      return Math.min(seenAtMs, endsAtMs - limit.windowMs);
    default:
      return seenAtMs;
  }
}

/** How long what is booked now may live; `null` where use cannot be given back. */
function lifeMsOf(limit: LimitSpec): number | null {
  switch (limit.algorithm) {
    case "budget":
      return limit.ttlMs;
    case "fixed-window":
      return limit.align === "calendar" ? limit.boundaries[2] - limit.boundaries[1] : limit.windowMs;
    case "sliding-window":
      return 2 * limit.windowMs;
    case "token-bucket":
      return Math.ceil((limit.burst * limit.levelPerUnit) / limit.levelPerMs);
    default:
      return null;
  }
}
