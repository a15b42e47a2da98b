// Decides while the service is away, as a limiter does whose store is: by its share of what was left of each bucket when
// that was last seen. What it admits is told to the service when that is back.

import { isWithin } from "../clock.ts";
import type { BucketDimensions, Call, Cost } from "../kernel/call.ts";
import { type Bucket, bucketOf, type Match, missingIn, resolveMatches, stepOf } from "../kernel/charge.ts";
import type { BucketUsage, Decision, Verdict } from "../kernel/decision.ts";
import { checkOptionKeys, checkWhole } from "../kernel/errors.ts";
import type { CompiledPolicy, Limit } from "../kernel/limit.ts";
import { compiledPolicy, type Policy } from "../kernel/policy/parse.ts";
import type { PolicyInput } from "../kernel/policy/input.ts";
import type { StepEvent } from "../kernel/request.ts";
import { Fallback } from "../layers/failover/fallback.ts";
import { probeAfterMs } from "../layers/failover/pace.ts";
import { StoreTime } from "../layers/failover/store-time.ts";
import { Views } from "../layers/failover/views.ts";
import { isOutage } from "../layers/failover.ts";
import { CalendarSpecs } from "../limiter/calendar-specs.ts";
import { onErrorOf } from "../limiter/charge-plan.ts";
import { changedLimits } from "../limiter/policy-change.ts";
import { createHostedLimiter, type HostedLimiter, type LimiterEvent } from "../limiter.ts";
import { type Found, type Step, type StepReply, type Store, StoreError, type StoreRequest } from "../store/store.ts";
import { type Booking, Bookings } from "./bookings.ts";
import { MAX_ITEMS, type Wire } from "./wire.ts";

/** What a client does while the service is away. */
export interface ClientFailover<Given = Policy | PolicyInput> {
  /** The service's policy. A bucket of a limit that the service has otherwise gets a share of the whole quota. */
  readonly policy: Given;
  /** How many clients share the limits at most, 1 to 10,000. */
  readonly instances: number;
}

type TouchEvent = Extract<StepEvent, { readonly type: "grant" | "revoke" | "reset" }>;

/** What keys begin with: they are only in this process. */
const PREFIX = "rate";
/** With no more to tell, calls wait for it. */
const FEW = MAX_ITEMS;

/**
 * Refuses options that are wrong.
 *
 * @throws MisuseError `invalid-option`
 */
export function checkClientFailover(options: ClientFailover): void {
  checkOptionKeys(options, ["policy", "instances"], "failover");
  checkWhole("failover.instances", options.instances, 1, 10_000);
}

/** A limiter for the time in which the service is away. */
export class Away {
  /** Decides by this process's share alone. */
  readonly limiter: HostedLimiter;
  readonly #wire: Wire;
  readonly #tell: (event: LimiterEvent) => void;
  readonly #time = new StoreTime();
  readonly #calendar = new CalendarSpecs(() => this.#time.nowMs());
  readonly #views = new Views();
  readonly #fallback = new Fallback(this.#views);
  readonly #instances: number;
  #policy: CompiledPolicy;
  readonly #bookings = new Bookings();
  #state: "here" | "away" | "closed" = "here";
  #wasReached = false;
  /** What calls wait for: the last of what has to be told. */
  #soon: Promise<void> | null = null;
  #failure = new StoreError("unavailable", "the service was never reached", { transient: true });
  #sinceMs = 0;
  /** Called when every booking was sent, for a client that is being closed. */
  #drained: () => void = () => {};
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** How often the service was looked for since it last took a booking. */
  #failures = 0;
  /** Whether it was told that the policy is another one. */
  #isTold = false;

  /** @throws MisuseError `invalid-policy` */
  constructor(wire: Wire, { policy, instances }: ClientFailover, tell: (event: LimiterEvent) => void) {
    this.#wire = wire;
    this.#tell = tell;
    this.#instances = instances;
    this.#policy = compiledPolicy(policy);
    const store: Store = {
      answer: (request) => this.#answer(request),
      apply: async (requests) => requests.map((request) => this.#answer(request)),
      close: async () => {},
    };
    this.limiter = createHostedLimiter({ policy: this.#policy, store, prefix: PREFIX });
  }

  /**
   * Whether this process decides now. Where that is nearly over it is waited for, as long as there is time.
   *
   * @param endsAtMs when the call has to be decided, by `performance.now()`
   */
  async isAway(endsAtMs: number): Promise<boolean> {
    while (this.#soon !== null) {
      const leftMs = endsAtMs - performance.now();
      if (leftMs > 0 && (await isWithin(leftMs, this.#soon))) continue;
      return this.leave(
        new StoreError("unavailable", "the service gets the bookings that it missed", { transient: true }),
      );
    }
    return this.#state === "away";
  }

  /** The service has answered. */
  reached(): void {
    this.#wasReached = true;
  }

  /** Takes an error for the beginning of an outage, if it is one: from now on this process decides. */
  leave(error: unknown): boolean {
    if (!isOutage(error)) return false;
    this.#failure = error;
    if (this.#state === "away" || this.#state === "closed") return this.#state === "away";
    this.#state = "away";
    this.#sinceMs = performance.now();
    this.#failures = 0;
    this.#tell({ type: "store.unreachable", error });
    this.#probeSoon();
    return true;
  }

  /** Remembers to tell the service something when it is back. `isSent`: it may know already. */
  book(booking: Booking, isSent: boolean): void {
    this.#bookings.add(booking, isSent);
    this.#tellLate();
  }

  /** Remembers how the buckets of a call stood. */
  learn(call: Call, decision: Decision, sentMs: number): void {
    this.#time.learn(decision.decidedAtMs, sentMs);
    if (decision.degraded !== null || decision.replayed) return;
    const pairs = this.#matched(call, decision.verdicts);
    if (pairs === null) {
      if (!this.#isTold) this.#tell({ type: "policy.differs" });
      this.#isTold = true;
      return;
    }
    const nowMs = decision.decidedAtMs;
    const steps = pairs.map(([match, verdict]) => this.#stepOf(match, verdict));
    const replies = pairs.map(([match, verdict]) => replyOf(match, verdict));
    this.#views.learn({ mode: "judge", steps }, { allowed: decision.allowed, nowMs, steps: replies });
  }

  /**
   * What a call was priced at: not what limits count that nobody can price. A failed call costs nothing of a unit that each of
   * its limits refunds.
   */
  pricesOf(call: Call, { verdicts }: Decision): Prices {
    const priced = verdicts.filter(({ unit }) => this.#policy.units.has(unit));
    const isCharged = ({ limit: name }: Verdict) => {
      const limit = this.#policy.limits.find((each) => each.name === name);
      return limit !== undefined && onErrorOf(this.#policy, call, limit) === "charge";
    };
    const charged = new Set(priced.filter(isCharged).map(({ unit }) => unit));
    return {
      whole: Object.fromEntries(priced.map(({ unit, cost }) => [unit, cost])),
      ofFailed: Object.fromEntries(priced.map(({ unit, cost }) => [unit, charged.has(unit) ? cost : 0])),
    };
  }

  /** Remembers how a bucket stands that this process has emptied, granted units to, or revoked a grant of. */
  touched(
    { limit: name, ...dimensions }: BucketDimensions & { readonly limit: string },
    event: TouchEvent,
    usage: BucketUsage,
  ) {
    const limit = this.#policy.limits.find((each) => each.name === name);
    const bucket = limit === undefined ? null : bucketIn(this.#policy, limit, dimensions);
    if (bucket?.limit.unit !== usage.unit) return;
    const { used, granted, resetAfterMs } = usage;
    const grants = usage.grants.map(({ id, units, endsInMs: endsAfterMs }) => ({ id, units, endsAfterMs }));
    const reply = { allowed: true, used, granted, grants, resetAfterMs, retryAfterMs: 0 };
    const steps = [stepOf(bucket, this.#calendar.specOf(bucket), event)];
    this.#views.learn({ mode: "judge", steps }, { allowed: true, nowMs: this.#time.nowMs(), steps: [reply] });
  }

  reload(policy: Policy | PolicyInput): void {
    const next = compiledPolicy(policy);
    const changed = changedLimits(this.#policy, next);
    this.limiter.reload(next);
    this.#policy = next;
    this.#isTold = false;
    this.#tell({ type: "policy.reloaded", version: next.version, restarted: [], ...changed });
  }

  /** Goes on trying to tell the service what is left, as long as there is time. */
  async close(withinMs: number): Promise<void> {
    if (this.#bookings.size > 0 && withinMs > 0) {
      const told = new Promise<void>((resolve) => {
        this.#drained = resolve;
      });
      await isWithin(withinMs, told);
    }
    this.#state = "closed";
    clearTimeout(this.#timer);
    const bookings = this.#bookings.size;
    if (bookings > 0) this.#tell({ type: "failover.lost", bookings });
    await this.limiter.close();
  }

  #answer(request: StoreRequest): Found {
    // A process that has never reached the service does not know what it admitted before it was started.
    const place = this.#wasReached ? { instances: this.#instances, rank: null } : null;
    try {
      return this.#fallback.decide(request, place, this.#time.nowMs(), this.#failure);
    } catch (error) {
      if (StoreError.isInstance(error)) return error;
      throw error;
    }
  }

  /** Each verdict with the limit that it is of; `null` where the service's policy is another one. */
  #matched(call: Call, verdicts: readonly Verdict[]): [Match, Verdict][] | null {
    let matches: readonly Match[];
    try {
      matches = resolveMatches(this.#policy, PREFIX, call);
    } catch {
      return null;
    }
    const pairs: [Match, Verdict][] = [];
    for (const verdict of verdicts) {
      const match = matches.find(({ limit }) => limit.name === verdict.limit);
      if (match?.limit.unit !== verdict.unit) return null;
      // The service may have another quota from the call, or from its own function.
      const allotment = match.allotment.claims?.allotmentFor(verdict.quota ?? "unlimited") ?? match.allotment;
      if (allotment.quota !== verdict.quota) return null;
      // What is used of an unlimited one the verdict does not say.
      if (verdict.quota !== null) pairs.push([{ ...match, allotment }, verdict]);
    }
    return pairs;
  }

  #stepOf(match: Match, { cost }: Verdict): Step {
    const seen = match.seen === undefined ? {} : { seen: match.seen };
    return stepOf(match, this.#calendar.specOf(match), { type: "charge", cost, ...seen });
  }

  #probeSoon(): void {
    this.#timer = setTimeout(() => void this.#probe(), probeAfterMs(this.#failures++, this.#instances));
    // In Node it must keep no process alive.
    (this.#timer as { unref?: () => void }).unref?.();
  }

  async #probe(): Promise<void> {
    const { done } = this.#bookings;
    try {
      await this.#wire.send({ method: "GET", path: "/readyz", isRepeatable: false });
      while (this.#bookings.size > FEW) await this.#bookings.send(this.#wire);
      await this.#return();
      this.#tellLate();
    } catch (error) {
      if (StoreError.isInstance(error)) this.#failure = error;
    }
    // There is more to tell than the service takes at once.
    if (this.#bookings.done > done) this.#failures = 0;
    if (this.#state === "away") this.#probeSoon();
  }

  /** What was decided here, and is remembered when the service is back already, is told at once. */
  #tellLate(): void {
    if (this.#state !== "here" || this.#soon !== null || this.#bookings.size === 0) return;
    this.#return().then(
      () => this.#tellLate(),
      (error) => this.leave(error),
    );
  }

  /** Tells the last of it while calls wait for that. */
  async #return(): Promise<void> {
    const told = (async () => {
      while (this.#bookings.size > 0) await this.#bookings.send(this.#wire);
    })();
    this.#soon = told.then(
      () => {},
      () => {},
    );
    try {
      await told;
      if (this.#state !== "away") return;
      this.#fallback.clear();
      this.#wasReached = true;
      this.#state = "here";
      const awayMs = Math.round(performance.now() - this.#sinceMs);
      this.#tell({ type: "store.recovered", awayMs, ...this.#bookings.takeCounts(), raised: 0 });
    } finally {
      this.#soon = null;
      if (this.#bookings.size === 0) this.#drained();
    }
  }
}

/** The bucket of a limit; `null` where this policy does not know the dimensions. */
function bucketIn(policy: CompiledPolicy, limit: Limit, dimensions: BucketDimensions): Bucket | null {
  return missingIn(limit, dimensions) === undefined ? bucketOf(policy, PREFIX, limit, dimensions) : null;
}

/** How the bucket stood, as a store would have said it. */
function replyOf({ allotment: { capacity } }: Match, verdict: Verdict): StepReply {
  const { exceeded, resetAfterMs, retryAfterMs } = verdict;
  const remaining = verdict.remaining ?? 0;
  const granted = Math.max(0, remaining - capacity);
  return {
    allowed: !exceeded,
    used: Math.max(0, capacity - remaining),
    resetAfterMs,
    retryAfterMs,
    ...(granted === 0 ? {} : { granted }),
  };
}

/** What a call was priced at, and what it costs when it fails. */
export interface Prices {
  readonly whole: Cost;
  readonly ofFailed: Cost;
}
