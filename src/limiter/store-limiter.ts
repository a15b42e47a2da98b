// A limiter that has a store. Every method that decides a call works in the same steps: match its limits, plan its charges, send
// a request, make the decision of the reply. `consume` has a fast path, which takes the request from the call cache.

import { type Match, resolveMatches } from "../kernel/charge.ts";
import { type BucketDimensions, type Call, checkDimensions, type Dimensions, mergeDimensions } from "../kernel/call.ts";
import { checkClaims } from "../kernel/claims.ts";
import type { BucketUsage, Decision, Denied } from "../kernel/decision.ts";
import { invalidOption } from "../kernel/errors.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import type { PolicyInput } from "../kernel/policy/input.ts";
import type { Policy } from "../kernel/policy/parse.ts";
import { askOne } from "../layers/layer.ts";
import type { StoreAnswer } from "../store/store.ts";
import { checkedReply, checkOpen } from "./ask.ts";
import { checkBucket, type NamedBucket } from "./bucket-name.ts";
import {
  grantTo,
  MAX_USAGES,
  type PageRange,
  readBuckets,
  readUsages,
  resetBucket,
  revokeFrom,
  type UsagePage,
} from "./buckets.ts";
import type { PreparedCall } from "./call-cache.ts";
import { checkCallOptions, checkQuotaOptions, checkWaitOptions } from "./call-options.ts";
import type { CallOptions, QuotaOptions, WaitOptions } from "./call-options.ts";
import { type CallPlan, planCall, stepsOf } from "./call-plan.ts";
import { chargesOfHold, consumeCharges, type Verb } from "./charge-plan.ts";
import { type CloseOptions, closeLimiter, closeOnce } from "./close.ts";
import type { LimiterContext } from "./context.ts";
import { endCall } from "./end-call.ts";
import { checkGrant, checkGrantId } from "./grant.ts";
import type { ChangeOptions, Grant, ReloadOptions, Reset, Revoked } from "./grant.ts";
import { bucketsOfCall, type FoundHold, type HeldCall } from "./held-call.ts";
import { checkReserveOptions, type Hold, holdOf, type Reserved, type ReserveOptions, type RunOptions } from "./hold.ts";
import { checkHoldId, holdNameOf, newHold } from "./hold-id.ts";
import type { Begun, Ending, ForRemote, HostedLimiter } from "./hosted.ts";
import { emitEvent } from "./listener.ts";
import { passOn, startOf } from "./logging.ts";
import { replacePolicy } from "./policy-change.ts";
import { type Outcome, reportOutcome } from "./report.ts";
import { checkResumeOptions, resumeCall, type Resumed, type ResumeOptions } from "./resume.ts";
import { checkRunOptions, type Ran, type RunFunction, runToEnd } from "./run.ts";
import { runningHere } from "./running-call.ts";
import type { Settlement } from "./settle.ts";
import { decideInTime } from "./wait.ts";

export class StoreLimiter implements HostedLimiter {
  readonly #context: LimiterContext;
  /** The dimensions that `for` has bound. */
  readonly #bound: Dimensions;
  /** What asks, for the log. */
  readonly #via: string;

  constructor(context: LimiterContext, bound: Dimensions, via: string) {
    this.#context = context;
    this.#bound = bound;
    this.#via = via;
  }

  get policy(): CompiledPolicy {
    return this.#context.policy;
  }

  // Does what `ask` does (ask.ts), but is not async: when the store answers at once, an await would take longer than the decision.
  consume(call: Call, options?: WaitOptions): Promise<Decision> {
    try {
      if (options !== undefined) checkWaitOptions(options);
      const isPlain = (options?.maxWaitMs ?? 0) === 0 && options?.quotas === undefined;
      const prepared = isPlain ? this.#prepared(call) : null;
      if (prepared === null) return this.#decide("consume", call, options ?? {});
      options?.signal?.throwIfAborted();
      checkOpen(this.#context);
      const startedMs = startOf(this.#context, options);
      const reply = askOne(this.#context.store, prepared.request);
      return reply instanceof Promise
        ? reply.then((found) => this.#consumed(call, prepared, found, startedMs))
        : Promise.resolve(this.#consumed(call, prepared, reply, startedMs));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * The request and the charges of a call; `null` for a call with a key (the cache never has one), and under a policy with
   * quotas from elsewhere or calendar windows, whose requests change with time. So no reply is stale, and one request is enough.
   */
  #prepared(call: Call): PreparedCall | null {
    const { callCache } = this.#context;
    if (!callCache.isOn) return null;
    const prepared = callCache.prepare(this.#bound, call);
    // Not checked yet: the call may be anything.
    if (prepared !== null || (call?.idempotencyKey ?? null) !== null) return prepared;
    const charges = consumeCharges(this.#matches(this.#whole(call)));
    return { request: { mode: "judge", steps: stepsOf(this.#context, charges, null) }, charges };
  }

  #consumed(call: Call, prepared: PreparedCall, found: StoreAnswer | undefined, startedMs: number | null): Decision {
    const { callCache, onDecision, log } = this.#context;
    const decision = callCache.decide(prepared, checkedReply(prepared.request, found));
    // Without a listener and a log, the whole call is not needed.
    if (onDecision === undefined && log === null) return decision;
    return passOn(this.#context, { verb: "consume", call: this.#whole(call), decision, via: this.#via, startedMs });
  }

  async consumeForRemote(call: Call, { abandoned, force, ...options }: ForRemote<WaitOptions>): Promise<Decision> {
    checkWaitOptions(options);
    return this.#decide("consume", call, { ...options, abandoned, force });
  }

  async record(call: Call, options: QuotaOptions = {}): Promise<Decision> {
    checkQuotaOptions(options);
    return this.#decide("record", call, options);
  }

  async peek(call: Call, options: QuotaOptions = {}): Promise<Decision> {
    checkQuotaOptions(options);
    return this.#decide("peek", call, options);
  }

  async reserve(call: Call, options: ReserveOptions = {}): Promise<Reserved | Denied> {
    checkReserveOptions(options);
    return this.#reserve(call, options);
  }

  async reserveForRemote(
    call: Call,
    { abandoned, force, ...options }: ForRemote<ReserveOptions>,
  ): Promise<Reserved | Denied> {
    checkReserveOptions(options);
    return this.#reserve(call, { ...options, abandoned, force });
  }

  getHold(id: string, call: Call, options: QuotaOptions = {}): Hold {
    checkQuotaOptions(options);
    return holdOf(this.#context, this.#findHold(id, call, options).held);
  }

  async run<Value>(call: Call, work: RunFunction<Value>, options: RunOptions = {}): Promise<Ran<Value> | Denied> {
    if (typeof work !== "function") throw invalidOption("work", "a function", work);
    checkRunOptions(options);
    const { decision, running } = await this.#begin(call, options);
    if (running === null) return decision;
    return { ...decision, value: await runToEnd(running, work, options) };
  }

  async begin(call: Call, { abandoned, force, ...options }: ForRemote<ReserveOptions>): Promise<Begun> {
    checkReserveOptions(options);
    return this.#begin(call, { ...options, abandoned, force });
  }

  async end(id: string, call: Call, ending: Ending, options: QuotaOptions = {}): Promise<Settlement> {
    checkQuotaOptions(options);
    return endCall(this.#context, this.#findHold(id, call, options), ending);
  }

  async resume(id: string, call: Call, options: ResumeOptions): Promise<Resumed> {
    checkResumeOptions(options);
    return resumeCall(this.#context, this.#findHold(id, call, options), options);
  }

  async usage(dimensions: BucketDimensions = {}, options: QuotaOptions = {}): Promise<readonly BucketUsage[]> {
    checkQuotaOptions(options);
    const { usages } = await this.usagePage(dimensions, { skip: 0, take: MAX_USAGES }, options);
    return usages;
  }

  async usagePage(dimensions: BucketDimensions, page: PageRange, options: QuotaOptions = {}): Promise<UsagePage> {
    this.#checkClaims(options);
    return readUsages(this.#context, mergeDimensions(this.#bound, dimensions, "dimensions"), page, options);
  }

  bucketUsages(buckets: readonly NamedBucket[]): Promise<readonly (BucketUsage | null)[]> {
    return readBuckets(this.#context, buckets);
  }

  async reset(bucket: NamedBucket, options: ChangeOptions = {}): Promise<Reset> {
    checkBucket("reset", bucket);
    return resetBucket(this.#context, { bucket, bound: this.#bound, options });
  }

  async grant(bucket: NamedBucket, grant: Grant, options: ChangeOptions = {}): Promise<BucketUsage> {
    checkBucket("grant", bucket);
    checkGrant(grant);
    return grantTo(this.#context, { bucket, bound: this.#bound, options }, grant);
  }

  async revoke(bucket: NamedBucket, id: string, options: ChangeOptions = {}): Promise<Revoked> {
    checkBucket("revoke", bucket);
    checkGrantId("id", id);
    return revokeFrom(this.#context, { bucket, bound: this.#bound, options }, id);
  }

  async reportOutcome(call: Call, outcome: Outcome, options: CallOptions = {}): Promise<void> {
    checkCallOptions(options);
    const whole = this.#whole(call);
    await reportOutcome(this.#context, whole, this.#matches(whole), outcome, options);
  }

  reload(policy: Policy | PolicyInput, options: ReloadOptions = {}): void {
    replacePolicy(this.#context, policy, options);
  }

  policyRefused(error: unknown): void {
    emitEvent(this.#context, { type: "policy.refused", error });
  }

  for(dimensions: Dimensions): StoreLimiter {
    const bound = mergeDimensions(this.#bound, dimensions, "dimensions");
    checkDimensions(bound, this.policy.dimensions);
    return new StoreLimiter(this.#context, bound, this.#via);
  }

  via(name: string): StoreLimiter {
    return new StoreLimiter(this.#context, this.#bound, name);
  }

  close(options: CloseOptions = {}): Promise<void> {
    return closeOnce(this.#context, options, (withinMs) => closeLimiter(this.#context, withinMs));
  }

  #whole(call: Call): Call {
    return mergeDimensions(this.#bound, call, "call");
  }

  #matches(whole: Call): readonly Match[] {
    return resolveMatches(this.policy, this.#context.prefix, whole);
  }

  /** The plan of a call; a promise when a quota has to be looked up. */
  #plan(verb: Verb, call: Call, options: QuotaOptions): CallPlan | Promise<CallPlan> {
    this.#checkClaims(options);
    return planCall(this.#context, verb, this.#whole(call), options.quotas);
  }

  #checkClaims({ quotas }: QuotaOptions): void {
    if (quotas !== undefined) checkClaims(this.policy, quotas);
  }

  async #decide(
    verb: "consume" | "record" | "peek",
    call: Call,
    { force, ...options }: ForRemote<WaitOptions>,
  ): Promise<Decision> {
    const startedMs = startOf(this.#context, options);
    const asked = { ...(await this.#plan(verb, call, options)), isForced: force };
    const { plan, decision } = await decideInTime(this.#context, asked, options);
    return passOn(this.#context, { verb, call: plan.call, decision, via: this.#via, startedMs });
  }

  async #reserve(call: Call, options: ForRemote<ReserveOptions>): Promise<Reserved | Denied> {
    const { decision, held } = await this.#decideHeld("reserve", call, options);
    return decision.allowed ? { ...decision, hold: holdOf(this.#context, held) } : decision;
  }

  async #begin(call: Call, options: ForRemote<ReserveOptions>): Promise<Begun> {
    const { decision, held, matches } = await this.#decideHeld("run", call, options);
    if (!decision.allowed) return { decision, running: null };
    const { leaseMs } = options;
    return { decision, running: runningHere(this.#context, held, matches, { leaseMs, replayed: decision.replayed }) };
  }

  async #decideHeld(verb: "reserve" | "run", call: Call, { leaseMs, force, ...options }: ForRemote<ReserveOptions>) {
    const startedMs = startOf(this.#context, options);
    const asked = { ...(await this.#plan(verb, call, options)), leaseMs, isForced: force };
    // A reload while the call waited may have replaced the plan.
    const { hold, charges, plan, ...decided } = await decideInTime(this.#context, asked, options);
    const { policy, matches, call: whole } = plan;
    const decision = passOn(this.#context, {
      verb,
      call: whole,
      decision: decided.decision,
      via: this.#via,
      startedMs,
    });
    // A call that holds nothing has names of a hold, too: its usage is settled under them.
    const names = hold ?? newHold(policy, whole, verb === "run");
    const held: HeldCall = { ...names, policy, call: whole, buckets: bucketsOfCall(matches, charges) };
    return { decision, matches, held };
  }

  #findHold(id: string, call: Call, { quotas = {} }: QuotaOptions): FoundHold {
    checkHoldId(id);
    const { policy } = this;
    checkClaims(policy, quotas);
    const whole = this.#whole(call);
    const matches = this.#matches(whole);
    const buckets = bucketsOfCall(matches, chargesOfHold(id, matches));
    // With `quotas`, even `{}`, quotas that are not in the policy are looked up when the hold ends.
    const held: HeldCall = { id, name: holdNameOf(policy, id, whole), policy, call: whole, buckets, quotas };
    return { held, matches };
  }
}
