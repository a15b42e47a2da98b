// The answer for a call: a verdict for each charge, and what they come to.

import { algorithmOf } from "./algorithms/registry.ts";
import type { Bucket, Charge } from "./charge.ts";
import type { Degraded, StepReply, StoreReply } from "./decide.ts";
import {
  type About,
  awayDetail,
  awayMessage,
  denialDetail,
  denialMessage,
  isCountedElsewhere,
  isPartial,
  nearMessage,
  warning,
} from "./message.ts";

/** What a charge is decided by, whose ever bucket it is. */
export type Priced = Pick<Charge, "limit" | "allotment" | "cost" | "tool">;

/** The answer for one charge. */
export interface Verdict {
  /** The limit's name. */
  readonly limit: string;
  /** Whether this limit allows the call. */
  readonly allowed: boolean;
  /** Whether this limit only counts, reports or warns, and never denies a call. */
  readonly shadow: boolean;
  readonly unit: string;
  /** Units that the call takes; 0 when it has no price in this unit. */
  readonly cost: number;
  /** Units allotted. */
  readonly quota: number;
  /** Units left after this decision, never negative; of a token bucket: of its burst. */
  readonly remaining: number;
  /** Milliseconds until the full quota is back. */
  readonly resetAfterMs: number;
  /** Milliseconds until this cost could pass if nothing else happens; 0 when allowed, `null` when it never can. */
  readonly retryAfterMs: number | null;
  /** Whether trying again later is sound advice. Not for a budget that is used up, although its scope ends one day. */
  readonly retryable: boolean;
}

/** The answer for a call. */
export interface Decision {
  readonly allowed: boolean;
  /** One for each limit that matched, in policy order. */
  readonly verdicts: readonly Verdict[];
  /** 0 when allowed; else the longest of the denying limits', `null` when one of them never lets this call pass. */
  readonly retryAfterMs: number | null;
  /** What to tell the model when denied: at most 300 characters, made from the policy and numbers alone. */
  readonly message: string | null;
  /**
   * What to tell programs and people when denied: the limit and when to retry, without advice for a model. At most 300
   * characters, also made from the policy and numbers alone.
   */
  readonly detail: string | null;
  /** What to tell the model when little is left after an allowed call: at most 300 characters, made as `message` is. */
  readonly notice: string | null;
  /** Set when the store was away, and this instance decided by what it knew: why, and how far over that may be at worst. */
  readonly degraded: Degraded | null;
  /** Whether this repeats the first answer for the call's idempotency key. */
  readonly replayed: boolean;
  /** The store's time, epoch ms. */
  readonly decidedAtMs: number;
}

/** How one bucket stands. */
export interface Usage {
  readonly limit: string;
  /** Whose bucket it is: the values of the limit's dimensions. */
  readonly dimensions: Readonly<Record<string, string>>;
  readonly unit: string;
  readonly quota: number;
  /** Units on top of the quota, until grants end: `remaining` is what is left of both. */
  readonly granted: number;
  /** Units that are not free. */
  readonly used: number;
  /** Units left, never negative; of a token bucket: of its burst. */
  readonly remaining: number;
  /** Milliseconds until the full quota is back. */
  readonly resetAfterMs: number;
}

/** How one bucket stands, with the grants of which `granted` is made. */
export interface BucketUsage extends Usage {
  /** The first that ends first. A token bucket has none: a grant fills it at once. */
  readonly grants: readonly UsageGrant[];
}

/** Units that were granted, and are still there. */
export interface UsageGrant {
  /** By which it can be revoked. */
  readonly id: string;
  readonly units: number;
  /** Milliseconds until it ends. */
  readonly endsInMs: number;
}

/** The decision for charges that a store has answered. */
export function decisionOf(charges: readonly Priced[], reply: StoreReply): Decision {
  const verdicts = new Array<Verdict>(charges.length);
  let isNoticed = false;
  for (let i = 0; i < charges.length; i++) {
    const charge = charges[i] as Priced;
    const verdict = verdictOf(charge, stepAt(reply, i));
    verdicts[i] = verdict;
    isNoticed ||= isNear(charge, verdict) || (charge.limit.isWarning && !verdict.allowed);
  }
  const denial = reply.allowed ? null : denialOf(charges, verdicts, reply);
  return {
    allowed: reply.allowed,
    verdicts,
    retryAfterMs: denial === null ? 0 : denial.retryAfterMs,
    message: denial === null ? null : denial.message,
    detail: denial === null ? null : denial.detail,
    notice: reply.allowed && isNoticed ? noticeOf(charges, verdicts, reply) : null,
    degraded: reply.degraded ?? null,
    replayed: reply.replay !== undefined,
    decidedAtMs: reply.nowMs,
  };
}

/** How a bucket stands that a store was asked about, alone. */
export function usageOf(bucket: Bucket, reply: StoreReply): Usage {
  const step = stepAt(reply, 0);
  return {
    limit: bucket.limit.name,
    dimensions: Object.fromEntries(bucket.partitionKey),
    unit: bucket.limit.unit,
    quota: bucket.allotment.quota,
    granted: step.granted ?? 0,
    used: step.used,
    remaining: remainingOf(bucket, step),
    resetAfterMs: step.resetAfterMs,
  };
}

/** How a bucket stands that a store was asked about, alone, with its grants. */
export function bucketUsageOf(bucket: Bucket, reply: StoreReply): BucketUsage {
  const { grants = [] } = stepAt(reply, 0);
  const listed = grants.map(({ id, units, endsAfterMs: endsInMs }) => ({ id, units, endsInMs }));
  return { ...usageOf(bucket, reply), grants: listed };
}

/** How a bucket stands that was emptied. */
export function emptyUsageOf(bucket: Bucket): BucketUsage {
  const step: StepReply = { allowed: true, used: 0, resetAfterMs: 0, retryAfterMs: 0 };
  return bucketUsageOf(bucket, { allowed: true, nowMs: 0, steps: [step] });
}

function verdictOf(charge: Priced, step: StepReply): Verdict {
  const { limit, allotment, cost } = charge;
  return {
    limit: limit.name,
    allowed: step.allowed || allotment.quota === null,
    shadow: limit.isShadow || limit.isWarning,
    unit: limit.unit,
    cost,
    quota: allotment.quota,
    remaining: remainingOf(charge, step),
    resetAfterMs: step.resetAfterMs,
    retryAfterMs: step.retryAfterMs,
    retryable: step.allowed || (step.retryAfterMs !== null && (mayChange(step) || refills(charge))),
  };
}

function remainingOf(bucket: Pick<Priced, "allotment">, { used, granted = 0 }: StepReply): number | null {
  if (bucket.allotment.quota === null) return null;
  // Taken off before the grants are added, so that no sum passes 2^53.
  return Math.max(0, Math.min(bucket.allotment.capacity - used + granted, Number.MAX_SAFE_INTEGER));
}

/** The denial that keeps the call waiting longest, the first that never ends else the first of the longest, in words. */
function denialOf(charges: readonly Priced[], verdicts: readonly Verdict[], reply: StoreReply) {
  const { steps } = reply;
  let binding = -1;
  let isOpen = true;
  let isClosed = false;
  let isFinal = false;
  for (const [i, charge] of charges.entries()) {
    const verdict = verdicts[i];
    if (verdict === undefined || verdict.allowed || verdict.shadow) continue;
    isOpen &&= isPartial(charge.limit);
    const isSpent = isSpentForGood(charge, verdict, stepAt(reply, i));
    isClosed ||= isSpent && !isPartial(charge.limit);
    isFinal ||= isSpent;
    const bound = verdicts[binding];
    if (bound === undefined || waitOf(verdict) > waitOf(bound)) binding = i;
  }
  const [charge, verdict, step] = [charges[binding], verdicts[binding], steps[binding]];
  if (charge === undefined || verdict === undefined || step === undefined) return null;
  const { retryAfterMs } = verdict;
  if (step.away === true) return { retryAfterMs, message: awayMessage(verdict), detail: awayDetail(verdict) };
  const about = aboutOf(charge, verdict, step, { isOpen, isClosed, isFinal });
  return { retryAfterMs, message: denialMessage(about), detail: denialDetail(about) };
}

/**
 * Of the limits that are near their end, the one with the smallest share left. While the store is away it is unknown what
 * is left, and only warnings are given.
 */
function noticeOf(charges: readonly Priced[], verdicts: readonly Verdict[], reply: StoreReply): string | null {
  let nearest: { readonly i: number; readonly share: number } | null = null;
  const state = { isOpen: true, isClosed: false, isFinal: false };
  for (let i = 0; i < charges.length; i++) {
    const charge = charges[i] as Priced;
    const verdict = verdicts[i] as Verdict;
    if (charge.limit.isShadow || isCountedElsewhere(charge.limit)) continue;
    if (charge.limit.isWarning) {
      if (!verdict.allowed) return warning(aboutOf(charge, verdict, stepAt(reply, i), state));
      continue;
    }
    // When the model reads the notice, the call has ended and its place is free.
    const isFull = verdict.remaining === 0 && charge.allotment.spec.algorithm !== "concurrency";
    if (isFull && !isPartial(charge.limit)) {
      state.isOpen = false;
      state.isClosed ||= isSpentForGood(charge, verdict, stepAt(reply, i));
    }
    const share = verdict.remaining / totalOf(charge, stepAt(reply, i));
    if (isNear(charge, verdict) && (nearest === null || share < nearest.share)) nearest = { i, share };
  }
  if (nearest === null || reply.degraded !== undefined) return null;
  const { i } = nearest;
  return nearMessage(aboutOf(charges[i] as Priced, verdicts[i] as Verdict, stepAt(reply, i), state));
}

function aboutOf(
  charge: Priced,
  verdict: Verdict,
  step: StepReply,
  state: Pick<About, "isOpen" | "isClosed" | "isFinal">,
): About {
  const { limit, tool, allotment } = charge;
  const isBorrowed = step.isBorrowed === true;
  return { limit, tool, verdict, spec: allotment.spec, total: totalOf(charge, step), isBorrowed, ...state };
}

/** Most units that can be free at once, with those that were granted. */
function totalOf({ allotment }: Pick<Priced, "allotment">, { granted = 0 }: StepReply): number {
  return Math.min(allotment.capacity + granted, Number.MAX_SAFE_INTEGER);
}

function isNear({ allotment }: Priced, { remaining }: Verdict): boolean {
  return remaining < allotment.noticeBelow;
}

function refills({ allotment: { spec } }: Priced): boolean {
  return algorithmOf(spec).refills;
}

/** Whether nothing is left, and neither time nor another instance gives any back. */
function isSpentForGood(charge: Priced, { remaining }: Verdict, step: StepReply): boolean {
  return remaining === 0 && !mayChange(step) && (!refills(charge) || totalOf(charge, step) === 0);
}

/** Whether it is denied for a reason that ends sooner than the bucket's window. */
function mayChange({ away, isBorrowed }: StepReply): boolean {
  return away === true || isBorrowed === true;
}

function waitOf({ retryAfterMs }: Verdict): number {
  return retryAfterMs ?? Number.POSITIVE_INFINITY;
}

function stepAt(reply: StoreReply, i: number): StepReply {
  const step = reply.steps[i];
  if (step === undefined) throw new RangeError("the store answered fewer steps than it was asked");
  return step;
}
