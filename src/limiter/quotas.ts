// The quota of a bucket of a limit with `quota: { from: call }`: the one that came with the call, else the answer of the program's
// resolver, which is asked once per bucket and cached for a while, else the policy's default.

import type { Clock } from "../clock.ts";
import { within } from "../deadlines.ts";
import type { Bucket } from "../kernel/charge.ts";
import { claimFault, takesClaims } from "../kernel/claims.ts";
import { MisuseError } from "../kernel/errors.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import type { ClaimedQuota, ClaimedQuotas } from "../kernel/policy/typed.ts";
import { ANSWER_WITHIN_MS, QuestionQueue } from "./quota-questions.ts";

/** The question to a resolver about one bucket. */
export interface QuotaQuestion<Limit extends string = string, Per extends string = string> {
  /** The limit's name. */
  readonly limit: Limit;
  /** The values of the limit's `per`; `null` for all calls that lack one (`onMissing: shared`). */
  readonly dimensions: Readonly<Record<Per, string | null>>;
  /** Aborted when the answer is no longer awaited. */
  readonly signal: AbortSignal;
}

/**
 * Returns the quota of a bucket, or a promise of it. `undefined`: the policy's `default`.
 *
 * When it throws or returns no valid quota, the bucket keeps its last quota, or gets the `default`.
 *
 * @typeParam Limits the limits that ask, each with the dimensions of its `per`
 */
export type QuotaResolver<Limits extends Readonly<Record<string, string>> = Readonly<Record<string, string>>> = (
  question: { [Limit in keyof Limits & string]: QuotaQuestion<Limit, Limits[Limit]> }[keyof Limits & string],
) => ClaimedQuota | undefined | PromiseLike<ClaimedQuota | undefined>;

/** A resolver returned no valid quota. */
export interface QuotaEvent {
  readonly type: "quota.unresolved";
  readonly limit: string;
  /** The dimensions of the bucket that was asked about last. */
  readonly dimensions: Readonly<Record<string, string | null>>;
  /** The quota that this bucket has instead; `null`: unlimited. */
  readonly quota: number | null;
  /** How many questions about this limit failed since the last of these events. */
  readonly failures: number;
  readonly error: unknown;
}

/** The most buckets whose quota is cached, in two generations of half as many. */
export const MAX_QUOTAS = 10_000;
/** How long a quota is not asked for again, ms. */
export const FRESH_MS = 60_000;
/** How long after a failed question, ms. */
export const RETRY_MS = 5_000;
/** The shortest time between two events of a limit, ms. */
const EVENT_EACH_MS = 10_000;

interface Entry {
  readonly claim: ClaimedQuota | undefined;
  /** When it is asked for again, by the limiter's clock. */
  readonly freshUntilMs: number;
  /** Numbers the question that it answers. */
  readonly question: number;
}

export class QuotaLookup {
  readonly #resolve: QuotaResolver | null;
  readonly #clock: Clock;
  readonly #emit: (event: QuotaEvent) => void;
  readonly #questions = new QuestionQueue();
  readonly #asking = new Map<string, Promise<ClaimedQuota | undefined>>();
  #young = new Map<string, Entry>();
  #old = new Map<string, Entry>();
  #lastQuestion = 0;
  /** The failed questions of each limit since its last event. */
  readonly #failures = new Map<string, { count: number; emittedAtMs: number }>();

  /** @param clock the clock by which quotas expire */
  constructor(resolve: QuotaResolver | null, clock: Clock, emit: (event: QuotaEvent) => void) {
    this.#resolve = resolve;
    this.#clock = clock;
    this.#emit = emit;
  }

  /** Sets the quotas of buckets. Returns the same list when all quotas are the policy's. */
  of<Each extends Bucket>(
    buckets: readonly Each[],
    given: ClaimedQuotas = {},
  ): readonly Each[] | Promise<readonly Each[]> {
    if (!buckets.some(takesClaims)) return buckets;
    const claims = buckets.map((bucket) => (takesClaims(bucket) ? this.#claimOf(bucket, given) : undefined));
    const allot = (known: readonly (ClaimedQuota | undefined)[]) =>
      buckets.map((bucket, i) => allotted(bucket, known[i]));
    return claims.some((claim) => claim instanceof Promise)
      ? Promise.all(claims).then(allot)
      : allot(claims as (ClaimedQuota | undefined)[]);
  }

  /** Ends the questions in flight, as if they had failed, without an event. */
  close(): void {
    this.#questions.close();
  }

  #claimOf(bucket: Bucket, given: ClaimedQuotas): ClaimedQuota | undefined | Promise<ClaimedQuota | undefined> {
    const { key, limit } = bucket;
    if (Object.hasOwn(given, limit.name)) return given[limit.name];
    if (this.#resolve === null) return undefined;
    const known = this.#find(key);
    if (known !== undefined && this.#clock.nowMs() < known.freshUntilMs) return known.claim;
    const asking = this.#asking.get(key);
    return asking === undefined ? this.#ask(bucket, this.#resolve) : this.#join(bucket, asking);
  }

  /** Waits for the question of another call, for as long as for a question. */
  #join(bucket: Bucket, asking: Promise<ClaimedQuota | undefined>): Promise<ClaimedQuota | undefined> {
    return within(ANSWER_WITHIN_MS, asking).catch((error) => {
      // It is lost, unless it was answered at the last moment.
      if (this.#asking.get(bucket.key) !== asking) return this.#find(bucket.key)?.claim;
      this.#asking.delete(bucket.key);
      return this.#failed(bucket, this.#lastQuestion, error);
    });
  }

  #ask(bucket: Bucket, resolve: QuotaResolver): ClaimedQuota | undefined | Promise<ClaimedQuota | undefined> {
    const { key, limit, partitionKey } = bucket;
    const question = ++this.#lastQuestion;
    const dimensions = Object.fromEntries(partitionKey);
    const late = (answer: unknown) => this.#late(bucket, question, answer);
    let asked: unknown;
    try {
      asked = this.#questions.ask((signal) => resolve({ limit: limit.name, dimensions, signal }), late);
    } catch (error) {
      return this.#failed(bucket, question, error);
    }
    if (!(asked instanceof Promise)) return this.#answered(bucket, question, asked);
    const claim = asked
      .then(
        (answer) => this.#answered(bucket, question, answer),
        (error) => this.#failed(bucket, question, error),
      )
      .finally(() => {
        if (this.#asking.get(key) === claim) this.#asking.delete(key);
      });
    this.#asking.set(key, claim);
    return claim;
  }

  #answered(bucket: Bucket, question: number, answer: unknown): ClaimedQuota | undefined {
    const fault = answer === undefined ? null : claimFault("quotas", answer);
    if (fault !== null) return this.#failed(bucket, question, new MisuseError("invalid-option", fault));
    const claim = answer as ClaimedQuota | undefined;
    this.#put(bucket.key, { claim, freshUntilMs: this.#clock.nowMs() + FRESH_MS, question });
    return claim;
  }

  /** An answer that came after its time is used, unless a later question has been answered. */
  #late(bucket: Bucket, question: number, answer: unknown): void {
    if ((this.#find(bucket.key)?.question ?? 0) <= question) this.#answered(bucket, question, answer);
  }

  #failed(bucket: Bucket, question: number, error: unknown): ClaimedQuota | undefined {
    const { key, limit, partitionKey } = bucket;
    const claim = this.#find(key)?.claim;
    const nowMs = this.#clock.nowMs();
    this.#put(key, { claim, freshUntilMs: nowMs + RETRY_MS, question });
    const failures = this.#failures.get(limit.name) ?? { count: 0, emittedAtMs: Number.NEGATIVE_INFINITY };
    this.#failures.set(limit.name, failures);
    failures.count++;
    if (nowMs - failures.emittedAtMs < EVENT_EACH_MS || this.#questions.isClosed) return claim;
    const { quota } = allotted(bucket, claim).allotment;
    const dimensions = Object.fromEntries(partitionKey);
    this.#emit({ type: "quota.unresolved", limit: limit.name, dimensions, quota, failures: failures.count, error });
    failures.count = 0;
    failures.emittedAtMs = nowMs;
    return claim;
  }

  #find(key: string): Entry | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) this.#put(key, old);
    return old;
  }

  #put(key: string, entry: Entry): void {
    if (this.#young.size >= MAX_QUOTAS / 2 && !this.#young.has(key)) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, entry);
  }
}

function allotted<Each extends Bucket>(bucket: Each, claim: ClaimedQuota | undefined): Each {
  const { claims } = bucket.allotment;
  return claims === null || claim === undefined ? bucket : { ...bucket, allotment: claims.allotmentFor(claim) };
}

/** Throws `invalid-option` unless some limit of the policy asks the resolver, or there is none. */
export function checkResolver(resolve: QuotaResolver | undefined, { limits }: CompiledPolicy): void {
  if (resolve === undefined || limits.some(takesClaims)) return;
  throw new MisuseError("invalid-option", {
    path: "quotas",
    expected: "a policy with a limit that takes its quota from here",
    got: "none",
    hint: "Write quota: { from: call, default: 1000, max: 1000000 } in such a limit, or remove the option.",
  });
}
