// The answer for a call: a verdict for each charge, and what they come to.

import { algorithmOf } from "./algorithms/registry.ts";
import type { Bucket, Charge } from "./charge.ts";
import type { Degraded, StepReply, StoreReply } from "./decide.ts";
import {
  type About,
  awayDetail,
  awayMessage,
  type CountedVerdict,
  denialDetail,
  denialMessage,
  isCountedElsewhere,
  isPartial,
  nearMessage,
  warning,
} from "./message.ts";
import type { Allotment } from "./policy.ts";
import type { Mode } from "./policy-input.ts";

/** The longest delay of a timer, ms: with a longer one it fires at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** What a charge is decided by, whose ever bucket it is. */
export type Priced = Pick<Charge, "limit" | "allotment" | "cost" | "tool">;

/** The answer of one limit. */
export interface Verdict<Limit extends string = string> {
  /** The limit's name. */
  readonly limit: Limit;
  /** Whether this limit lets the call pass. A decision is allowed exactly when each of its verdicts is. */
  readonly allowed: boolean;
  /** Whether the call did not fit into this limit, also where the limit only warns or counts. */
  readonly exceeded: boolean;
  /** What the limit does with a call that does not fit: it denies the call, gives a notice, or only counts. */
  readonly mode: Mode;
  readonly unit: string;
  /** Units that the call takes; 0 when it has no price in this unit. */
  readonly cost: number;
  /** Units allotted; `null`: unlimited. */
  readonly quota: number | null;
  /** Most units that can be used at once: the burst of a token bucket, else the quota; `null`: unlimited. */
  readonly capacity: number | null;
  /** Units left after this decision, from 0 to the capacity and what was granted; `null`: unlimited. */
  readonly remaining: number | null;
  /**
   * Length of the window in milliseconds; `null` where it has no fixed length: budgets, windows of a calendar, and limits of
   * concurrency, time or streaks.
   */
  readonly windowMs: number | null;
  /** Milliseconds until the full quota is back. */
  readonly resetAfterMs: number;
  /**
   * Milliseconds until this call could pass if nothing else happens, 1 to 2,147,483,647, where waiting is sound advice. `null`
   * where it is not: the limit lets the call pass, the call can never pass, the units do not come back by waiting (a budget
   * that is used up), or they come back later than a timer can wait.
   */
  readonly retryAfterMs: number | null;
}

/** What every decision says. */
interface Decided<Limit extends string> {
  /** One for each limit that matched, in policy order. */
  readonly verdicts: readonly Verdict<Limit>[];
  /** Set when this instance decided without the store: why, and how far over the limits that may be at most. */
  readonly degraded: Degraded | null;
  /** Whether this repeats the first answer for the call's idempotency key. */
  readonly replayed: boolean;
  /** The store's time, epoch ms. */
  readonly decidedAtMs: number;
}

/** The answer for a call that may be made. */
export interface Allowed<Limit extends string = string> extends Decided<Limit> {
  readonly allowed: true;
  /** A text for the model is in denials alone. */
  readonly message: null;
  /** A text for people is in denials alone. */
  readonly detail: null;
  /**
   * What to tell the model when little is left, or when a limit that only warns was exceeded: at most 300 characters, made
   * from the policy and numbers alone. `null`: nothing.
   */
  readonly notice: string | null;
  /** No limit denied the call. */
  readonly deniedBy: null;
  /** There is nothing to wait for. */
  readonly retryAfterMs: null;
}

/** The answer for a call that must not be made. */
export interface Denied<Limit extends string = string> extends Decided<Limit> {
  readonly allowed: false;
  /** What to tell the model: at most 300 characters, made from the policy and numbers alone. */
  readonly message: string;
  /**
   * What to tell programs and people: the limit and when to retry, without advice for a model. At most 300 characters, also
   * made from the policy and numbers alone.
   */
  readonly detail: string;
  /** Notices are in allowed decisions alone. */
  readonly notice: null;
  /** The name of the limit that binds: of those that deny, the one that keeps the call waiting longest. */
  readonly deniedBy: Limit;
  /**
   * Milliseconds until the call could pass if nothing else happens, 1 to 2,147,483,647, when every limit that denies says that
   * waiting is sound; else `null`: do not wait.
   */
  readonly retryAfterMs: number | null;
}

/** The answer for a call. Both kinds have the same keys. `Limit` is the names of the policy's limits. */
export type Decision<Limit extends string = string> = Allowed<Limit> | Denied<Limit>;

/** How one bucket stands. */
export interface Usage<Limit extends string = string> {
  readonly limit: Limit;
  /** Whose bucket it is: the values of the limit's dimensions. */
  readonly dimensions: Readonly<Record<string, string>>;
  readonly unit: string;
  /** Units allotted; `null`: unlimited. */
  readonly quota: number | null;
  /** Most units that can be used at once: the burst of a token bucket, else the quota; `null`: unlimited. */
  readonly capacity: number | null;
  /** Units on top of the quota, until grants end: `remaining` is what is left of both. */
  readonly granted: number;
  /** Units that are not free: what was spent, and what calls under way hold. */
  readonly used: number;
  /** Units left, from 0 to the capacity and what was granted; `null`: unlimited. */
  readonly remaining: number | null;
  /** Milliseconds until the full quota is back. */
  readonly resetAfterMs: number;
}

/** How one bucket stands, with the grants of which `granted` is made. */
export interface BucketUsage<Limit extends string = string> extends Usage<Limit> {
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
  let isDenied = false;
  for (let i = 0; i < charges.length; i++) {
    const charge = charges[i] as Priced;
    const verdict = verdictOf(charge, stepAt(reply, i), reply.allowed);
    verdicts[i] = verdict;
    isDenied ||= !verdict.allowed;
    isNoticed ||= isNear(charge, verdict) || (verdict.exceeded && verdict.mode === "warn");
  }
  return isDenied ? deniedOf(charges, verdicts, reply) : allowedOf(charges, verdicts, reply, isNoticed);
}

function allowedOf(
  charges: readonly Priced[],
  verdicts: readonly Verdict[],
  reply: StoreReply,
  isNoticed: boolean,
): Allowed {
  return {
    allowed: true,
    verdicts,
    deniedBy: null,
    retryAfterMs: null,
    message: null,
    detail: null,
    notice: isNoticed ? noticeOf(charges, verdicts, reply) : null,
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
    dimensions: Object.fromEntries(
      bucket.partitionKey.flatMap(([name, value]) => (value === null ? [] : [[name, value]])),
    ),
    unit: bucket.limit.unit,
    quota: bucket.allotment.quota,
    capacity: bucket.allotment.quota === null ? null : bucket.allotment.capacity,
    granted: step.granted ?? 0,
    used: step.used,
    remaining: remainingOf(bucket.allotment, step),
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

/**
 * @param isAllowed of the whole call. One that is sent again was decided in the modes of then: what it was allowed, no limit
 *   denies now
 */
function verdictOf({ limit, allotment, cost }: Priced, step: StepReply, isAllowed: boolean): Verdict {
  const isUnlimited = allotment.quota === null;
  const allowed = step.allowed || isAllowed || isUnlimited || limit.mode !== "enforce";
  return {
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
}

/** Until when waiting is sound advice; `null` where it is not. */
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

/** The denial by the limit that binds, in words. */
function deniedOf(charges: readonly Priced[], verdicts: readonly Verdict[], reply: StoreReply): Denied {
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
  const verdict = verdicts[binding] as CountedVerdict;
  const step = stepAt(reply, binding);
  const about = aboutOf(charges[binding] as Priced, verdict, step, { isOpen, isClosed, isFinal });
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
    if (verdict.mode === "warn" && verdict.exceeded && isKnown(charge, step)) {
      return warning(aboutOf(charge, verdict, step, state));
    }
    if (isCountedElsewhere(charge.limit)) continue;
    if (verdict.mode === "enforce" && verdict.remaining === 0 && !isPartial(charge.limit) && !isFreedByEnd(charge)) {
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

/** Whether what is left was counted. While the store is away, each instance counts streaks, and can only share out the rest. */
function isKnown({ allotment: { spec } }: Priced, { away }: StepReply): boolean {
  return away !== true || spec.algorithm === "streak";
}

/** Whether units are free again when the model reads a notice: the call has ended then. */
function isFreedByEnd({ allotment: { spec } }: Priced): boolean {
  return spec.algorithm === "concurrency";
}

function aboutOf(
  charge: Priced,
  verdict: CountedVerdict,
  step: StepReply,
  state: Pick<About, "isOpen" | "isClosed" | "isFinal">,
): About {
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

/** Whether no timer waits so long. */
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
