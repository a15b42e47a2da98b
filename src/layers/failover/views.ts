// What this instance last saw of buckets: the use from which its share is computed while the store is away, and that it gives
// back to a store which has lost it. Bounded: what was not seen for long is forgotten first.

import { algorithmOf, type LimitSpec, type SpentState } from "../../kernel/algorithms/registry.ts";
import { isStopped } from "../../kernel/bucket/contents.ts";
import { listsGrants, type Raise, type Step, type StepReply } from "../../kernel/request.ts";
import type { StoreReply, StoreRequest } from "../../kernel/request.ts";
import type { Beat } from "../../store/shared-store.ts";

/** Most buckets of each of two generations: some 250 bytes each, 12 MB in total. */
const VIEWS_PER_GENERATION = 25_000;

/** How long answers are under way at most: ms. */
const ANSWERED_WITHIN_MS = 10_000;

/** How long a store that may have kept part of a bucket remembers a raise, to compare it with those of other instances: ms. */
const COMPARED_MS = 3_600_000;

/** When a batch was sent, and when its answer was heard, by one clock of this process that does not run back: ms. */
export interface Trip {
  readonly sentMs: number;
  readonly heardMs: number;
}

/** How a bucket stood when it was last seen. */
export interface View {
  readonly limit: LimitSpec;
  readonly used: number;
  readonly granted: number;
  /** When the first of the grants ends that this instance has made or seen listed; `null` where it knows of none. */
  readonly grantEndsAtMs: number | null;
  readonly seenAtMs: number;
  /** Absent where it is newer than all that was seen before. */
  readonly trip?: Trip | undefined;
  /** When all of it is free again. */
  readonly endsAtMs: number;
  /** Whether values are counted: what was seen of them is not known here. */
  readonly isCount: boolean;
}

/** How many views there may be in all of several `Views` together. */
export class ViewsRoom {
  readonly #all = new Set<Views>();
  #young = 0;

  join(views: Views): void {
    this.#all.add(views);
  }

  /** Makes room for one more. */
  take(): void {
    if (this.#young >= VIEWS_PER_GENERATION) {
      for (const views of this.#all) views.age();
      this.#young = 0;
    }
    this.#young++;
  }
}

export class Views {
  readonly #room: ViewsRoom;
  #young = new Map<string, View>();
  #old = new Map<string, View>();

  constructor(room = new ViewsRoom()) {
    this.#room = room;
    room.join(this);
  }

  /** Begins another generation: what is not seen until the next one is forgotten. */
  age(): void {
    this.#old = this.#young;
    this.#young = new Map();
  }

  get(bucket: string): View | undefined {
    return this.#young.get(bucket) ?? this.#old.get(bucket);
  }

  /**
   * Remembers how the buckets of a request stood.
   *
   * @param trip one object for all requests of a batch
   */
  learn({ mode, steps }: StoreRequest, reply: StoreReply, trip?: Trip): void {
    if (reply.stale === true || reply.replay !== undefined) return;
    for (const [i, step] of steps.entries()) {
      const found = reply.steps[i];
      // A peek answers as if it had charged.
      if (found === undefined || (mode === "peek" && step.event.type !== "read")) continue;
      if (isUnlimitedRate(step)) continue;
      const before = this.get(step.bucket);
      const view = viewOf(step, found, before, reply.nowMs, trip);
      if (before === undefined || !isOlder(view, before)) this.#put(step.bucket, view);
    }
  }

  /**
   * A store that is asked under a shorter window cuts the bucket's life, also for later requests with a longer one. Without the
   * store, this does the same to the view.
   */
  shorten(bucket: string, limit: LimitSpec, nowMs: number): void {
    const { kind, notAhead, outage } = algorithmOf(limit);
    const view = this.get(bucket);
    if (!outage.endsTogether || view === undefined || algorithmOf(view.limit).kind !== kind) return;
    const spent = spentOf(view, limit, nowMs);
    if (spent === undefined) return;
    const { expiresAtMs } = notAhead(limit, spent, nowMs);
    if (expiresAtMs < view.endsAtMs) this.#put(bucket, { ...view, endsAtMs: expiresAtMs });
  }

  /** Buckets with use; those that were seen since the last change of generations first. */
  *live(nowMs: number): Generator<[bucket: string, View]> {
    for (const generation of [this.#young, this.#old]) {
      for (const entry of generation) if (entry[1].used > 0 && nowMs < entry[1].endsAtMs) yield entry;
    }
  }

  #put(bucket: string, view: View): void {
    if (!this.#young.has(bucket)) this.#room.take();
    this.#old.delete(bucket);
    this.#young.set(bucket, view);
  }
}

/** A token bucket that is unlimited, or in shadow, and is charged 0: its reply does not say how the bucket stands. */
function isUnlimitedRate({ limit, event, shadow }: Step): boolean {
  return algorithmOf(limit).outage.hasRate && shadow === true && event.type === "charge" && event.cost === 0;
}

/**
 * Answers that were under way together may come in another order. Where it is much older, the store's clock was set back. Of two
 * that the store gave in one millisecond, the one with more use counts, so that no unit is forgotten.
 */
function isOlder({ seenAtMs, used, trip }: View, before: View): boolean {
  const byMs = before.seenAtMs - seenAtMs;
  // The replies of one answer have an order.
  if (byMs === 0 && trip !== before.trip && used < before.used)
    return (trip?.sentMs ?? Number.POSITIVE_INFINITY) < (before.trip?.heardMs ?? 0);
  return byMs > 0 && byMs < ANSWERED_WITHIN_MS;
}

function viewOf(step: Step, found: StepReply, before: View | undefined, nowMs: number, trip?: Trip): View {
  const { limit, event } = step;
  const { used, grants, resetAfterMs } = found;
  const seen = { limit, seenAtMs: nowMs, trip, isCount: event.type === "charge" && event.seen !== undefined };
  // A reset says how the bucket stood before.
  if (event.type === "reset") return { ...seen, used: 0, granted: 0, grantEndsAtMs: null, endsAtMs: nowMs };
  const given = grantedBy(step, found, before, nowMs);
  const firstEndsMs = grants?.[0]?.endsInMs;
  const known = firstEndsMs === undefined ? grantEndOf(limit, event, before, nowMs) : nowMs + firstEndsMs;
  const grantEndsAtMs = given === 0 ? null : known;
  // `resetAfterMs` is 0 although there is use, because as much is granted as used.
  const isCovered = used > 0 && resetAfterMs === 0;
  // Until when more may be used by such a grant of another process is not known.
  const granted = isCovered && grantEndsAtMs === null ? Math.min(given, used) : given;
  const endsAtMs = isCovered ? latestEndOf(limit, before, nowMs) : nowMs + resetAfterMs;
  return { ...seen, used, granted, grantEndsAtMs, endsAtMs };
}

/** Units that are granted. A quota of 0 hides them in a reply that does not list the grants: then it is what was known before. */
function grantedBy({ limit, event }: Step, found: StepReply, before: View | undefined, nowMs: number): number {
  const { granted = 0, grants = [] } = found;
  if (!isStopped(limit)) return granted;
  if (!listsGrants(event.type)) return before === undefined ? 0 : grantedIn(before, nowMs);
  return Math.min(
    grants.reduce((sum, { units }) => sum + units, 0),
    Number.MAX_SAFE_INTEGER,
  );
}

/** Units that were granted when a bucket was seen, and may still be there. */
export function grantedIn({ granted, grantEndsAtMs, endsAtMs }: View, nowMs: number): number {
  return nowMs < (grantEndsAtMs ?? endsAtMs) ? granted : 0;
}

function grantEndOf(limit: LimitSpec, event: Step["event"], before: View | undefined, nowMs: number): number | null {
  const known = before?.grantEndsAtMs ?? null;
  const endsAtMs = known !== null && nowMs < known ? known : null;
  if (event.type !== "grant") return endsAtMs;
  return Math.min(nowMs + event.leaseMs, windowEndOf(limit, before, nowMs), endsAtMs ?? Number.POSITIVE_INFINITY);
}

/** When use ends at the latest. */
function latestEndOf(limit: LimitSpec, before: View | undefined, nowMs: number): number {
  const endMs = windowEndOf(limit, before, nowMs);
  return endMs === Number.POSITIVE_INFINITY ? nowMs + algorithmOf(limit).outage.lifeMs(limit) : endMs;
}

/** When the window ends that takes a grant along; `Infinity` where none does. */
function windowEndOf(limit: LimitSpec, before: View | undefined, nowMs: number): number {
  const isLive = before !== undefined && nowMs < before.endsAtMs;
  return (
    algorithmOf(limit).windowEndsAtMs?.(limit, isLive ? before.endsAtMs : undefined, nowMs) ?? Number.POSITIVE_INFINITY
  );
}

/** What the bucket would hold, by a limit of the same kind, if all that was used were one booking that ends as it does. */
export function spentOf(view: View | undefined, limit: LimitSpec, nowMs: number): SpentState | undefined {
  if (view === undefined || view.used === 0) return undefined;
  const spent = algorithmOf(view.limit).outage.stateOf(view.limit, view, limit);
  return nowMs < spent.expiresAtMs ? spent : undefined;
}

/** What gives a lost view back; `null` where nothing can, or has to be. */
export function raiseOf(view: View, { incarnation, lost }: Beat): (Raise & { readonly type: "raise" }) | null {
  const { limit, used, isCount, seenAtMs, endsAtMs } = view;
  const { outage } = algorithmOf(limit);
  if (!outage.isUseKnown || isCount) return null;
  const lifeMs = outage.lifeMs(limit);
  const atMs = outage.bookedAtMs(limit, seenAtMs, endsAtMs);
  const keptMs = lost === "some" ? Math.min(lifeMs, COMPARED_MS) : lifeMs;
  return { type: "raise", id: incarnation, units: used, atMs, keptMs, lost };
}
