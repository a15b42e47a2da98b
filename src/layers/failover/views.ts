// What this instance last saw of buckets: the use that its share is reckoned by while the store is away, and that it gives
// back to a store which has lost it. Bounded: what was not seen for long is forgotten first.

import type { Raise } from "../../kernel/afterwards.ts";
import { algorithmOf, type LimitSpec, type SpentState } from "../../kernel/algorithms/registry.ts";
import type { Beat, Step, StepReply, StoreReply, StoreRequest } from "../../store.ts";

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
      this.#set(step.bucket, viewOf(step, found, reply.nowMs));
    }
  }

  /** Buckets with use, those that were seen last among them. */
  *live(nowMs: number): Generator<[bucket: string, View]> {
    for (const generation of [this.#young, this.#old]) {
      for (const entry of generation) if (entry[1].used > 0 && nowMs < entry[1].endsAtMs) yield entry;
    }
  }

  #set(bucket: string, view: View): void {
    const before = this.get(bucket);
    if (before !== undefined && isOlder(view, before)) return;
    if (this.#young.size >= VIEWS_PER_GENERATION && !this.#young.has(bucket)) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(bucket, view);
  }
}

/** Answers that were under way together may come in another order. Where it is much older, the store's clock was set back. */
function isOlder(view: View, before: View): boolean {
  const byMs = before.seenAtMs - view.seenAtMs;
  return byMs > 0 && byMs < ANSWERED_WITHIN_MS;
}

function viewOf({ limit, event }: Step, { used, granted = 0, resetAfterMs }: StepReply, nowMs: number): View {
  return {
    limit,
    // A reset says how the bucket stood before.
    used: event.type === "reset" ? 0 : used,
    granted,
    seenAtMs: nowMs,
    endsAtMs: nowMs + resetAfterMs,
    isCount: event.type === "charge" && event.seen !== undefined,
  };
}

/** What the bucket would hold if all that was used were one booking that ends as it does; `undefined` where nothing does. */
export function spentOf(view: View | undefined, nowMs: number): SpentState | undefined {
  if (view === undefined || view.used === 0 || nowMs >= view.endsAtMs) return undefined;
  const { limit, used } = view;
  const spent = algorithmOf(limit).book(limit, undefined, used, bookedAtMs(view));
  return nowMs < spent.expiresAtMs ? spent : undefined;
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
    case "quota":
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
    case "quota":
      return limit.ttlMs;
    case "fixed-window":
      return limit.align === "calendar" ? limit.boundaries[2] - limit.boundaries[1] : limit.windowMs;
    case "sliding-window":
      return 2 * limit.windowMs;
    case "gcra":
      return Math.ceil((limit.burst * limit.levelPerUnit) / limit.levelPerMs);
    default:
      return null;
  }
}
