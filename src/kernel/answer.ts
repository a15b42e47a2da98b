// The answer for a call: a verdict for each charge, and what they come to.

import { algorithmOf } from "./algorithms/registry.ts";
import type { Bucket, Charge } from "./charge.ts";
import type { Allowed, BucketUsage, CountedVerdict, Decision, Denied, Usage, Verdict } from "./decision.ts";
import { MAX_TIMER_MS } from "./duration.ts";
import type { Allotment } from "./limit.ts";
import { awayDetail, awayMessage, denialDetail, denialMessage, nearMessage, warning } from "./message.ts";
import type { AboutLimit } from "./message.ts";
import { isCountedElsewhere, isPartial } from "./phrases.ts";
import type { StepReply, StoreReply } from "./request.ts";

/** A charge without its bucket. */
export type Priced = Pick<Charge, "limit" | "allotment" | "cost" | "tool">;

export function decisionOf(charges: readonly Priced[], reply: StoreReply): Decision {
  const verdicts = new Array<Verdict>(charges.length);
  let isNoticed = false;
  let isDenied = false;
  for (let i = 0; i < charges.length; i++) {
    const charge = charges[i] as Priced;
    const verdict = verdictOf(charge, stepAt(reply, i), reply.allowed);
    verdicts[i] = verdict;
    isDenied ||= !verdict.allowed;
    isNoticed ||= isNear(charge, verdict) || (verdict.exceeded && verdict.mode === "warn");
  }
  if (isDenied) return deniedOf(charges, verdicts, reply);
  return allowedOf(verdicts, reply, isNoticed ? noticeOf(charges, verdicts, reply) : null);
}

/** A decision without its texts, which take longer than all of the rest. */
export type Judgement = Pick<Allowed, Judged> | Pick<Denied, Judged>;
type Judged = "allowed" | "deniedBy" | "verdicts";

export function judgementOf(charges: readonly Priced[], reply: StoreReply): Judgement {
  const verdicts = charges.map((charge, i) => verdictOf(charge, stepAt(reply, i), reply.allowed));
  if (verdicts.every(({ allowed }) => allowed)) return { allowed: true, deniedBy: null, verdicts };
  const { binding } = bindingOf(charges, verdicts, reply);
  return { allowed: false, deniedBy: (verdicts[binding] as Verdict).limit, verdicts };
}

function allowedOf(verdicts: readonly Verdict[], reply: StoreReply, notice: string | null): Allowed {
  return {
    allowed: true,
    verdicts,
    deniedBy: null,
    retryAfterMs: null,
    message: null,
    detail: null,
    notice,
    degraded: reply.degraded ?? null,
    replayed: reply.replay !== undefined,
    decidedAtMs: reply.nowMs,
  };
}

/** How a bucket stands that a store was asked about, alone. */
export function usageOf(bucket: Bucket, reply: StoreReply): Usage {
  const { limit, allotment, partitionKey } = bucket;
  const step = stepAt(reply, 0);
  const { granted = 0, used, resetAfterMs } = step;
  return {
    limit: limit.name,
    dimensions: Object.fromEntries(partitionKey.flatMap(([name, value]) => (value === null ? [] : [[name, value]]))),
    unit: limit.unit,
    quota: allotment.quota,
    capacity: allotment.quota === null ? null : allotment.capacity,
    granted,
    used,
    remaining: remainingOf(allotment, step),
    resetAfterMs,
  };
}

/** How a bucket stands that a store was asked about, alone, with its grants. */
export function bucketUsageOf(bucket: Bucket, reply: StoreReply): BucketUsage {
  const { grants = [] } = stepAt(reply, 0);
  return { ...usageOf(bucket, reply), grants };
}

export function emptyUsageOf(bucket: Bucket): BucketUsage {
  const step: StepReply = { allowed: true, used: 0, resetAfterMs: 0, retryAfterMs: 0 };
  return bucketUsageOf(bucket, { allowed: true, nowMs: 0, steps: [step] });
}

/**
 * @param isAllowed of the whole call. A call that is sent again was decided under the modes of that time: if it was allowed
 *   then, no limit denies it now
 */
function verdictOf({ limit, allotment, cost }: Priced, step: StepReply, isAllowed: boolean): Verdict {
  const isUnlimited = allotment.quota === null;
  const allowed = step.allowed || isAllowed || isUnlimited || limit.mode !== "enforce";
  const verdict = {
    limit: limit.name,
    allowed,
    exceeded: !step.allowed && !isUnlimited,
    mode: limit.mode,
    unit: limit.unit,
    cost,
    quota: allotment.quota,
    capacity: isUnlimited ? null : allotment.capacity,
    remaining: remainingOf(allotment, step),
    windowMs: allotment.windowMs,
    resetAfterMs: step.resetAfterMs,
    retryAfterMs: allowed ? null : retryAfterOf(allotment, step),
  };
  return step.granted === undefined || isUnlimited ? verdict : { ...verdict, granted: step.granted };
}

/** How long to wait, ms; `null` where waiting is not sound advice. */
function retryAfterOf(allotment: Allotment, step: StepReply): number | null {
  const { retryAfterMs } = step;
  if (retryAfterMs === null || isTooLong(step) || !(mayChange(step) || refills(allotment))) return null;
  return retryAfterMs;
}

function remainingOf({ quota, capacity }: Allotment, { used, granted = 0 }: StepReply): number | null {
  if (quota === null) return null;
  // Taken off before the grants are added, so that no sum passes 2^53.
  return Math.max(0, Math.min(capacity - used + granted, Number.MAX_SAFE_INTEGER));
}

/** The limit that binds a denial, and what its text has to know of the others. */
interface Binding extends Pick<AboutLimit, "isOpen" | "isClosed" | "isFinal"> {
  readonly binding: number;
}

function bindingOf(charges: readonly Priced[], verdicts: readonly Verdict[], reply: StoreReply): Binding {
  // Unlike a notice, a denial is about the limits that deny alone.
  let binding = -1;
  let isOpen = true;
  let isClosed = false;
  let isFinal = false;
  for (let i = 0; i < charges.length; i++) {
    const charge = charges[i] as Priced;
    const verdict = verdicts[i] as Verdict;
    if (verdict.allowed || !isCounted(verdict)) continue;
    isOpen &&= isPartial(charge.limit);
    const isSpent = isSpentForGood(charge, verdict, stepAt(reply, i));
    isClosed ||= isSpent && !isPartial(charge.limit);
    isFinal ||= isSpent;
    if (binding < 0 || waitsLonger(verdicts, reply, i, binding)) binding = i;
  }
  return { binding, isOpen, isClosed, isFinal };
}

/** The denial by the limit that binds, in words. */
function deniedOf(charges: readonly Priced[], verdicts: readonly Verdict[], reply: StoreReply): Denied {
  const { binding, ...state } = bindingOf(charges, verdicts, reply);
  const verdict = verdicts[binding] as CountedVerdict;
  const step = stepAt(reply, binding);
  const about = aboutOf(charges[binding] as Priced, verdict, step, state);
  return {
    allowed: false,
    verdicts,
    deniedBy: verdict.limit,
    retryAfterMs: verdict.retryAfterMs,
    message: step.away === true ? awayMessage(verdict) : denialMessage(about),
    detail: step.away === true ? awayDetail(verdict) : denialDetail(about),
    notice: null,
    degraded: reply.degraded ?? null,
    replayed: reply.replay !== undefined,
    decidedAtMs: reply.nowMs,
  };
}

/** Whether a limit keeps the call waiting longer than another one: first those for which waiting is not sound. */
function waitsLonger(verdicts: readonly Verdict[], { steps }: StoreReply, one: number, other: number): boolean {
  const [oneMs, otherMs] = [waitOf(verdicts[one]), waitOf(verdicts[other])];
  return oneMs === otherMs ? waitOf(steps[one]) > waitOf(steps[other]) : oneMs > otherMs;
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
    const step = stepAt(reply, i);
    if (!isCounted(verdict) || verdict.mode === "shadow") continue;
    const { isHeldOnly, outage } = algorithmOf(charge.allotment.spec);
    // While the store is away, an instance knows only what it counts by itself anyway.
    const isKnown = step.away !== true || outage.isCountedLocally;
    if (verdict.mode === "warn" && verdict.exceeded && isKnown) {
      return warning(aboutOf(charge, verdict, step, state));
    }
    if (isCountedElsewhere(charge.limit)) continue;
    // Units that are only held are free when the model reads a notice: the call has ended then.
    if (verdict.mode === "enforce" && verdict.remaining === 0 && !isPartial(charge.limit) && !isHeldOnly) {
      state.isOpen = false;
      state.isClosed ||= isSpentForGood(charge, verdict, step);
    }
    const share = verdict.remaining / totalOf(charge, step);
    if (isNear(charge, verdict) && (nearest === null || share < nearest.share)) nearest = { i, share };
  }
  if (nearest === null || reply.degraded !== undefined) return null;
  const { i } = nearest;
  return nearMessage(aboutOf(charges[i] as Priced, verdicts[i] as CountedVerdict, stepAt(reply, i), state));
}

function aboutOf(
  charge: Priced,
  verdict: CountedVerdict,
  step: StepReply,
  state: Pick<AboutLimit, "isOpen" | "isClosed" | "isFinal">,
): AboutLimit {
  const { limit, tool, allotment } = charge;
  const { spec } = allotment;
  const { used, retryAfterMs: waitMs, isBorrowed = false } = step;
  return { limit, tool, verdict, spec, total: totalOf(charge, step), used, waitMs, isBorrowed, ...state };
}

/** Most units that can be free at once, with those that were granted. */
function totalOf({ allotment }: Pick<Priced, "allotment">, { granted = 0 }: StepReply): number {
  return Math.min(allotment.capacity + granted, Number.MAX_SAFE_INTEGER);
}

function isNear({ allotment }: Priced, { remaining }: Verdict): boolean {
  return remaining !== null && remaining < allotment.noticeBelow;
}

/** Whether a limit counts against a number. One that is unlimited is never said to have denied, or to be near its end. */
function isCounted(verdict: Verdict): verdict is CountedVerdict {
  return verdict.remaining !== null;
}

function refills({ spec }: Allotment): boolean {
  return algorithmOf(spec).refills(spec);
}

/** Whether nothing is left, and neither a wait nor another instance gives any back. */
function isSpentForGood(charge: Priced, { remaining }: CountedVerdict, step: StepReply): boolean {
  if (remaining > 0 || mayChange(step)) return false;
  return !refills(charge.allotment) || isTooLong(step) || totalOf(charge, step) === 0;
}

/** Whether it is denied for a reason that ends sooner than the bucket's window. */
function mayChange({ away, isBorrowed }: StepReply): boolean {
  return away === true || isBorrowed === true;
}

function isTooLong({ retryAfterMs }: StepReply): boolean {
  return retryAfterMs !== null && retryAfterMs > MAX_TIMER_MS;
}

/** `null`, for ever, is the longest. */
function waitOf(answer: { readonly retryAfterMs: number | null } | undefined): number {
  return answer?.retryAfterMs ?? Number.POSITIVE_INFINITY;
}

function stepAt(reply: StoreReply, i: number): StepReply {
  const step = reply.steps[i];
  if (step === undefined) throw new RangeError("the store answered fewer steps than it was asked");
  return step;
}
