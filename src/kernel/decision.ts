// What a call is answered: a verdict of each limit, and what they come to.

import { hasMarker } from "./errors.ts";
import type { Mode } from "./policy/input.ts";

/** What the answer of a limit and the usage of its bucket both say. */
interface Standing<Limit extends string> {
  /** The limit's name. */
  readonly limit: Limit;
  /** What is counted, such as `calls`. */
  readonly unit: string;
  /** Units allotted; `null`: unlimited. */
  readonly quota: number | null;
  /** Most units that can be used at once: the burst of a token bucket, else the quota; `null`: unlimited. */
  readonly capacity: number | null;
  /** Units left, from 0 to the capacity and what was granted; `null`: unlimited. In a verdict: after the decision. */
  readonly remaining: number | null;
  /** Milliseconds until the full quota is back. */
  readonly resetAfterMs: number;
}

/** The answer of one limit. */
export interface Verdict<Limit extends string = string> extends Standing<Limit> {
  /** Whether this limit lets the call pass. A decision is allowed exactly when each of its verdicts is. */
  readonly allowed: boolean;
  /** Whether the call did not fit into this limit, also where the limit only warns or counts. */
  readonly exceeded: boolean;
  /** What the limit does with a call that does not fit: it denies the call, gives a notice, or only counts. */
  readonly mode: Mode;
  /** Units that the call takes; 0 when it has no price in this unit. */
  readonly cost: number;
  /** Units that were granted on top of the capacity and are still there. Absent: none. */
  readonly granted?: number;
  /**
   * Length of the window in milliseconds; `null` where it has no fixed length: budgets, windows of a calendar, and limits of
   * concurrency, time or streaks.
   */
  readonly windowMs: number | null;
  /**
   * Milliseconds until this call could pass if nothing else happens, 1 to 2,147,483,647, where waiting is sound advice. `null`
   * where it is not: the limit lets the call pass, the call can never pass, the units do not come back by waiting (a budget
   * that is used up), or they come back later than a timer can wait.
   */
  readonly retryAfterMs: number | null;
}

/** A verdict of a limit that counts against a number: one that is unlimited has none. */
export type CountedVerdict = Verdict & {
  readonly quota: number;
  readonly capacity: number;
  readonly remaining: number;
};

/** How an answer was found without the store. */
export interface Degraded {
  /** What the store failed with. */
  readonly reason: string;
  /**
   * Units that may pass at worst, over all instances, on top of what the store counts: the most of any limit; `null` when
   * there is no bound.
   */
  readonly maxOvershoot: number | null;
}

/** What every decision says. */
interface Decided<Limit extends string> {
  /** One for each limit that matched, in policy order. */
  readonly verdicts: readonly Verdict<Limit>[];
  /** Of a denial: the name of the limit that binds, which is the one of those that deny that keeps the call waiting longest. */
  readonly deniedBy: Limit | null;
  /**
   * Of a denial: milliseconds until the call could pass if nothing else happens, 1 to 2,147,483,647, when every limit that
   * denies says that waiting is sound; else `null`: do not wait.
   */
  readonly retryAfterMs: number | null;
  /** Of a denial: what to tell the model. At most 300 characters, made from the policy and numbers alone. */
  readonly message: string | null;
  /**
   * Of a denial: what to tell programs and people, the limit and when to retry, without advice for a model. At most 300
   * characters, also made from the policy and numbers alone.
   */
  readonly detail: string | null;
  /**
   * Of an allowed call: what to tell the model when little is left, or when a limit that only warns was exceeded. At most 300
   * characters, made from the policy and numbers alone. `null`: nothing.
   */
  readonly notice: string | null;
  /** Set when this instance decided without the store: why, and how far over the limits that may be at most. */
  readonly degraded: Degraded | null;
  /** Whether this repeats the first answer for the call's idempotency key. */
  readonly replayed: boolean;
  /** The store's time, epoch ms. */
  readonly decidedAtMs: number;
  /** The entry of the decision log that it has, or would have if it were kept. Absent: there is no log. */
  readonly id?: string;
}

/** The answer for a call that may be made. */
export interface Allowed<Limit extends string = string> extends Decided<Limit> {
  readonly allowed: true;
  readonly deniedBy: null;
  readonly retryAfterMs: null;
  readonly message: null;
  readonly detail: null;
}

/** The answer for a call that must not be made. */
export interface Denied<Limit extends string = string> extends Decided<Limit> {
  readonly allowed: false;
  readonly deniedBy: Limit;
  readonly message: string;
  readonly detail: string;
  readonly notice: null;
}

/** The answer for a call. Both kinds have the same keys. `Limit` is the names of the policy's limits. */
export type Decision<Limit extends string = string> = Allowed<Limit> | Denied<Limit>;

/** How one bucket stands. */
export interface Usage<Limit extends string = string> extends Standing<Limit> {
  /** Whose bucket it is: the values of the limit's dimensions. */
  readonly dimensions: Readonly<Record<string, string>>;
  /** Units on top of the quota, until grants end: `remaining` is what is left of both. 0 while the quota is 0. */
  readonly granted: number;
  /** Units that are not free: what was spent, and what calls under way hold. */
  readonly used: number;
}

/** How one bucket stands, with its grants. */
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

export const LIMIT_EXCEEDED = Symbol.for("tollgate.error.limit-exceeded");

/** A denial as an exception, for frameworks that have no other way to say no. */
export class LimitExceededError extends Error {
  override readonly name = "LimitExceededError";
  readonly decision: Denied;
  /** The name of the limit that binds. */
  readonly limit: string;
  /** Milliseconds until the call could pass; `null`: do not wait. */
  readonly retryAfterMs: number | null;

  constructor(decision: Denied) {
    super(decision.message);
    this.decision = decision;
    this.limit = decision.deniedBy;
    this.retryAfterMs = decision.retryAfterMs;
    Object.defineProperty(this, LIMIT_EXCEEDED, { value: true });
  }

  static isInstance(value: unknown): value is LimitExceededError {
    return hasMarker(value, LIMIT_EXCEEDED);
  }
}
