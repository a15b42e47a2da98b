// What a client has seen of the service's buckets, under its own copy of the policy: how they stood, what calls were priced at,
// and the service's time. It decides nothing.

import { monotonicClock } from "../clock.ts";
import type { BucketDimensions, Call } from "../kernel/call.ts";
import { algorithmOf } from "../kernel/algorithms/registry.ts";
import { type Bucket, bucketOf, type Match, missingIn, resolveMatches, stepOf } from "../kernel/charge.ts";
import type { BucketUsage, Decision, Verdict } from "../kernel/decision.ts";
import type { CompiledPolicy, Limit } from "../kernel/limit.ts";
import type { Step, StepEvent, StepReply } from "../kernel/request.ts";
import { usedWhenSeen } from "../layers/failover/shares.ts";
import { StoreTime } from "../layers/failover/store-time.ts";
import { Views } from "../layers/failover/views.ts";
import type { NamedBucket } from "../limiter/bucket-name.ts";
import { CalendarSpecs } from "../limiter/calendar-specs.ts";

/** What changes a bucket without a call. */
export type TouchEvent = Extract<StepEvent, { readonly type: "grant" | "revoke" | "reset" }>;

export class ServiceViews {
  readonly views = new Views();
  readonly time = new StoreTime();
  /** As of now: a client may be given another one. */
  #policy: CompiledPolicy;
  readonly #prefix: string;
  readonly #calendar = new CalendarSpecs(() => this.time.nowMs());

  /** @param prefix what the keys of this process begin with */
  constructor(policy: CompiledPolicy, prefix: string) {
    this.#policy = policy;
    this.#prefix = prefix;
    this.#calendar.load(policy);
  }

  get policy(): CompiledPolicy {
    return this.#policy;
  }

  set policy(policy: CompiledPolicy) {
    this.#policy = policy;
    this.#calendar.load(policy);
  }

  /** What a call waits for: until calendar windows can be computed. `null`: nothing. */
  get loading(): Promise<void> | null {
    return this.#calendar.loading;
  }

  /**
   * Remembers how the buckets of a call stood: where the answer is given again, how they stood when it was given first. Returns whether
   * the service has the policy that this client has; where it has not, what it says of limits that this client knows still counts.
   *
   * @param isForced whether the service has charged the call although it may have denied it
   */
  learn(call: Call, decision: Decision, sentMs: number, isForced = false): boolean {
    const { replayed } = decision;
    if (!replayed) this.time.learn(decision.decidedAtMs, sentMs);
    if (decision.degraded !== null || this.loading !== null) return true;
    const matches = this.#matchesOf(call);
    const known = decision.verdicts.flatMap((verdict) => pairOf(matches, verdict));
    // The verdict of an unlimited limit does not say what is used.
    const matched = known.filter(([, { quota }]) => quota !== null);
    const isNews = ([{ key }]: [Match, Verdict]) => (this.views.get(key)?.seenAtMs ?? 0) <= decision.decidedAtMs;
    const pairs = replayed ? matched.filter(isNews) : matched;
    const steps = pairs.map(([match, verdict]) => this.#stepOf(match, verdict));
    const { allowed, decidedAtMs: nowMs } = decision;
    const isCharged = allowed || isForced;
    const replies = pairs.map(([match, verdict], i) =>
      replyOf(verdict, this.#useWith(match, steps[i] as Step, decision, isCharged)),
    );
    // An answer that is given again was decided before it was asked for.
    const trip = { sentMs: replayed ? Number.NEGATIVE_INFINITY : sentMs, heardMs: monotonicClock.nowMs() };
    this.views.learn({ mode: "judge", steps }, { allowed, nowMs, steps: replies }, trip);
    // The policy may have changed since the first answer.
    const isSame = ([{ allotment }, { quota }]: [Match, Verdict]) => allotment.quota === quota;
    return replayed || (known.length === decision.verdicts.length && known.every(isSame));
  }

  /** What was known of the use of a bucket, and what a decision has charged it since. */
  #useWith({ key }: Match, { limit, event }: Step, { replayed, decidedAtMs }: Decision, isCharged: boolean): number {
    const view = this.views.get(key);
    const used = usedWhenSeen(view, limit, decidedAtMs);
    const isUseKnown = algorithmOf(limit).outage.isUseKnown && event.type === "charge" && event.seen === undefined;
    // An answer that is given again may be known already.
    const isNews = !replayed || (view?.seenAtMs ?? 0) < decidedAtMs;
    return isCharged && isUseKnown && isNews ? used + event.cost : used;
  }

  /** What a call asks of each limit that this client knows, as far as it knows the prices. None while calendar windows are computed. */
  chargesOf(call: Call): Step[] {
    if (this.loading !== null) return [];
    return this.#matchesOf(call).flatMap((match) => (match.price ? this.#stepOf(match, { cost: match.price }) : []));
  }

  /** What a decision of the service has charged each limit that this client knows. */
  chargesIn(call: Call, { verdicts }: Decision): Step[] {
    if (this.loading !== null) return [];
    const matches = this.#matchesOf(call);
    return verdicts
      .flatMap((verdict) => pairOf(matches, verdict))
      .map(([match, verdict]) => this.#stepOf(match, verdict));
  }

  /** Remembers how a bucket stands that this process has reset, granted units to, or revoked a grant of. */
  touched({ limit: name, ...dimensions }: NamedBucket, event: TouchEvent, usage: BucketUsage): void {
    const limit = this.#limitNamed(name);
    const bucket = limit === undefined ? null : this.#bucketOf(limit, dimensions);
    if (bucket?.limit.unit !== usage.unit || this.loading !== null) return;
    const { used, granted, grants, resetAfterMs } = usage;
    const reply = { allowed: true, used, granted, grants, resetAfterMs, retryAfterMs: 0 };
    const steps = [stepOf(bucket, this.#calendar.specOf(bucket), event)];
    this.views.learn({ mode: "judge", steps }, { allowed: true, nowMs: this.time.nowMs(), steps: [reply] });
  }

  #limitNamed(name: string): Limit | undefined {
    return this.policy.limits.find((limit) => limit.name === name);
  }

  /** The bucket of a limit; `null` where this policy does not know the dimensions. */
  #bucketOf(limit: Limit, dimensions: BucketDimensions): Bucket | null {
    if (missingIn(limit, dimensions) !== undefined) return null;
    return bucketOf(this.policy, this.#prefix, limit, dimensions);
  }

  /** The limits of a call; none where this policy asks for more than the call says. */
  #matchesOf(call: Call): readonly Match[] {
    try {
      return resolveMatches(this.policy, this.#prefix, call);
    } catch {
      return [];
    }
  }

  #stepOf(match: Match, { cost }: Pick<Verdict, "cost">): Step {
    const seen = match.seen === undefined ? {} : { seen: match.seen };
    return stepOf(match, this.#calendar.specOf(match), { type: "charge", cost, ...seen });
  }
}

/** A verdict with its limit, where this policy has that. */
function pairOf(matches: readonly Match[], verdict: Verdict): [Match, Verdict][] {
  const match = matches.find(({ limit }) => limit.name === verdict.limit);
  if (match?.limit.unit !== verdict.unit) return [];
  // The service may have another quota from the call, or from its own function.
  const allotment = match.allotment.claims?.allotmentFor(verdict.quota ?? "unlimited") ?? match.allotment;
  return [[{ ...match, allotment }, verdict]];
}

/** How the bucket stood, as a store would have replied. Where nothing is left, more may be used than the quota: as is known here. */
function replyOf(verdict: Verdict, knownUse: number): StepReply {
  const { exceeded, resetAfterMs, retryAfterMs, capacity, remaining } = verdict;
  const most = capacity ?? 0;
  const left = remaining ?? 0;
  const granted = Math.max(0, left - most);
  return {
    allowed: !exceeded,
    used: left === 0 ? Math.max(most, knownUse) : Math.max(0, most - left),
    resetAfterMs,
    retryAfterMs,
    ...(granted === 0 ? {} : { granted }),
  };
}
