// A limiter that has a store. Each method is the way of one call: the call's limits in the policy, its charges, one request to the
// store, the decision.

import { resolveMatches } from "../kernel/charge.ts";
import { type BucketDimensions, type Call, checkDimensions, type Dimensions, mergeDimensions } from "../kernel/call.ts";
import { checkClaims } from "../kernel/claims.ts";
import type { BucketUsage, Decision, Denied } from "../kernel/decision.ts";
import { invalidOption } from "../kernel/errors.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import type { PolicyInput } from "../kernel/policy/input.ts";
import { compiledPolicy, type Policy } from "../kernel/policy/parse.ts";
import { askOne, type StoreAnswer } from "../store/store.ts";
import { checkedReply, checkOpen } from "./ask.ts";
import { checkBucket, type NamedBucket } from "./bucket-name.ts";
import { findBucket, grantTo, MAX_USAGES, readUsages, resetBucket, revokeFrom, type UsagePage } from "./buckets.ts";
import { CallCache, type ResolvedCall } from "./call-cache.ts";
import {
  type Abandonable,
  type AbandonableOptions,
  type CallOptions,
  checkCallOptions,
  checkWaitOptions,
  type QuotaOptions,
  type WaitOptions,
} from "./call-options.ts";
import { type CallPlan, planCall, stepsOf } from "./call-plan.ts";
import { chargesOfHold, consumeCharges } from "./charge-plan.ts";
import { type CloseOptions, closeLimiter, closeOnce } from "./close.ts";
import type { LimiterContext } from "./context.ts";
import {
  type ChangeOptions,
  checkChangeOptions,
  checkGrant,
  checkGrantId,
  type Grant,
  type Reset,
  type Revoked,
} from "./grant.ts";
import { heldBuckets, type HeldCall, pricesOf } from "./held-call.ts";
import { checkReserveOptions, type Hold, holdOf, type Reserved, type ReserveOptions } from "./hold.ts";
import { checkHoldId, holdNameOf, isPerArgs, newHoldId } from "./hold-id.ts";
import type { Begun, Ending, HostedLimiter } from "./hosted.ts";
import { emitDecision, emitEvent } from "./listener.ts";
import { reloadEvent } from "./policy-change.ts";
import { type Outcome, reportFor, reportOutcome } from "./report.ts";
import { checkRunOptions, type Ran, type RunFunction, type RunOptions, runToEnd } from "./run.ts";
import { runningHere } from "./running-call.ts";
import { type Settlement, settle } from "./settle.ts";
import { notifyPolicy } from "./telemetry.ts";
import { UsageSum } from "./usage.ts";
import { decideInTime } from "./wait.ts";

export class StoreLimiter implements HostedLimiter {
  readonly #context: LimiterContext;
  /** The dimensions that `for` has bound. */
  readonly #bound: Dimensions;

  constructor(context: LimiterContext, bound: Dimensions) {
    this.#context = context;
    this.#bound = bound;
  }

  get policy(): CompiledPolicy {
    return this.#context.policy;
  }

  // Not async: when the store answers at once, an await would take longer than the decision.
  consume(call: Call, options?: WaitOptions): Promise<Decision> {
    try {
      if (options !== undefined) checkWaitOptions(options);
      const isOneRequest = (options?.maxWaitMs ?? 0) === 0 && options?.quotas === undefined;
      const resolved = isOneRequest ? this.#resolve(call) : null;
      if (resolved === null) return this.#decide("consume", call, options ?? {});
      options?.signal?.throwIfAborted();
      checkOpen(this.#context);
      const reply = askOne(this.#context.store, resolved.request);
      return reply instanceof Promise
        ? reply.then((found) => this.#consumed(call, resolved, found))
        : Promise.resolve(this.#consumed(call, resolved, reply));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** The request and the charges of a call; `null` for a call with a key, and when requests change with time. */
  #resolve(call: Call): ResolvedCall | null {
    const { calls, policy, prefix } = this.#context;
    const cached = calls.get(this.#bound, call);
    if (cached !== undefined) return cached;
    if (!calls.isOn || (call?.idempotencyKey ?? null) !== null) return null;
    const charges = consumeCharges(resolveMatches(policy, prefix, this.#whole(call)));
    const request = { mode: "judge", steps: stepsOf(this.#context, charges, null) } as const;
    return calls.set(this.#bound, call, request, charges);
  }

  #consumed(call: Call, resolved: ResolvedCall, found: StoreAnswer | undefined): Decision {
    const decision = this.#context.calls.decide(resolved, checkedReply(resolved.request, found));
    if (this.#context.onDecision !== undefined) emitDecision(this.#context, "consume", this.#whole(call), decision);
    return decision;
  }

  async consumeFor(call: Call, { abandoned, ...options }: AbandonableOptions): Promise<Decision> {
    checkWaitOptions(options);
    return this.#decide("consume", call, { ...options, abandoned });
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

  async reserveFor(call: Call, { abandoned, ...options }: Abandonable<ReserveOptions>): Promise<Reserved | Denied> {
    checkReserveOptions(options);
    return this.#reserve(call, { ...options, abandoned });
  }

  getHold(id: string, call: Call, options: QuotaOptions = {}): Hold {
    checkQuotaOptions(options);
    return holdOf(this.#context, this.#findHold(id, call, options).held);
  }

  async run<Value>(call: Call, run: RunFunction<Value>, options: RunOptions = {}): Promise<Ran<Value> | Denied> {
    if (typeof run !== "function") throw invalidOption("run", "a function", run);
    const { decision, running } = await this.#begin(call, checkRunOptions(options));
    if (running === null) return { ...decision, allowed: false };
    return { ...decision, allowed: true, value: await runToEnd(running, run, options) };
  }

  begin(call: Call, options: Abandonable<ReserveOptions>): Promise<Begun> {
    return this.#begin(call, options);
  }

  async end(id: string, call: Call, ending: Ending, options: QuotaOptions = {}): Promise<Settlement> {
    checkQuotaOptions(options);
    const context = this.#context;
    const { held, matches } = this.#findHold(id, call, options);
    const usage = new UsageSum(held.policy.units, pricesOf(held), (unusable) =>
      emitEvent(context, { type: "usage.unusable", call: held.call, holdId: id, ...unusable }),
    );
    usage.add(ending.usage);
    const report = ending.outcome === null ? null : reportFor(context, held.call, matches, ending.outcome);
    return settle(context, held, usage.end(), ending.hasFailed ? "onError" : "held", {}, report);
  }

  async usage(dimensions: BucketDimensions = {}, options: QuotaOptions = {}): Promise<readonly BucketUsage[]> {
    checkQuotaOptions(options);
    const { usages } = await this.usagePage(dimensions, { skip: 0, take: MAX_USAGES }, options);
    return usages;
  }

  async usagePage(
    dimensions: BucketDimensions,
    page: { readonly skip: number; readonly take: number },
    options: QuotaOptions = {},
  ): Promise<UsagePage> {
    this.#checkClaims(options);
    return readUsages(this.#context, mergeDimensions(this.#bound, dimensions, "dimensions"), page, options);
  }

  async reset(bucket: NamedBucket, options: ChangeOptions = {}): Promise<Reset> {
    checkBucket("reset", bucket);
    checkChangeOptions(options);
    return resetBucket(this.#context, await this.#bucket(bucket, options), options);
  }

  async grant(bucket: NamedBucket, grant: Grant, options: ChangeOptions = {}): Promise<BucketUsage> {
    checkBucket("grant", bucket);
    checkGrant(grant);
    checkChangeOptions(options);
    return grantTo(this.#context, await this.#bucket(bucket, options), grant, options);
  }

  async revoke(bucket: NamedBucket, id: string, options: ChangeOptions = {}): Promise<Revoked> {
    checkBucket("revoke", bucket);
    checkGrantId("id", id);
    checkChangeOptions(options);
    return revokeFrom(this.#context, await this.#bucket(bucket, options), id, options);
  }

  async reportOutcome(call: Call, outcome: Outcome, options: CallOptions = {}): Promise<void> {
    checkCallOptions(options);
    const { policy, prefix } = this.#context;
    const whole = this.#whole(call);
    await reportOutcome(this.#context, whole, resolveMatches(policy, prefix, whole), outcome, options);
  }

  reload(policy: Policy | PolicyInput): void {
    const context = this.#context;
    const before = context.policy;
    try {
      const next = compiledPolicy(policy);
      context.checkPolicy(next);
      context.policy = next;
    } catch (error) {
      this.policyRefused(error);
      throw error;
    }
    context.calls = new CallCache(context.policy);
    notifyPolicy(context.hooks, context.policy);
    // The version is computed only for a listener.
    if (context.onEvent !== undefined) emitEvent(context, reloadEvent(before, context.policy));
  }

  policyRefused(error: unknown): void {
    emitEvent(this.#context, { type: "policy.refused", error });
  }

  for(dimensions: Dimensions): StoreLimiter {
    const bound = mergeDimensions(this.#bound, dimensions, "dimensions");
    checkDimensions(bound, this.policy.dimensions);
    return new StoreLimiter(this.#context, bound);
  }

  close(options: CloseOptions = {}): Promise<void> {
    return closeOnce(this.#context, options, (withinMs) => closeLimiter(this.#context, withinMs));
  }

  /** A call with its bound dimensions. */
  #whole(call: Call): Call {
    return mergeDimensions(this.#bound, call, "call");
  }

  /** The plan of a call; a promise when a quota has to be looked up. */
  #plan(verb: CallPlan["verb"], call: Call, { quotas }: QuotaOptions): CallPlan | Promise<CallPlan> {
    if (quotas !== undefined) checkClaims(this.policy, quotas);
    return planCall(this.#context, verb, this.#whole(call), quotas);
  }

  async #decide(verb: "consume" | "record" | "peek", call: Call, options: AbandonableOptions): Promise<Decision> {
    const { plan, decision } = await decideInTime(this.#context, await this.#plan(verb, call, options), options);
    emitDecision(this.#context, verb, plan.call, decision);
    return decision;
  }

  async #reserve(call: Call, options: Abandonable<ReserveOptions>): Promise<Reserved | Denied> {
    const { decision, held } = await this.#hold("reserve", call, options);
    return decision.allowed ? { ...decision, hold: holdOf(this.#context, held) } : decision;
  }

  async #begin(call: Call, { abandoned, ...options }: Abandonable<ReserveOptions>): Promise<Begun> {
    checkReserveOptions(options);
    const { decision, held, matches } = await this.#hold("run", call, { ...options, abandoned });
    if (!decision.allowed) return { decision, running: null };
    const { leaseMs } = options;
    return { decision, running: runningHere(this.#context, held, matches, { leaseMs, replayed: decision.replayed }) };
  }

  async #hold(verb: "reserve" | "run", call: Call, { leaseMs, ...options }: Abandonable<ReserveOptions>) {
    const plan = { ...(await this.#plan(verb, call, options)), leaseMs };
    const decided = await decideInTime(this.#context, plan, options);
    const { policy, matches, call: whole } = decided.plan;
    emitDecision(this.#context, verb, whole, decided.decision);
    const id = decided.holdId ?? newHoldId(verb === "run", isPerArgs(policy, whole));
    const name = decided.holdName ?? holdNameOf(policy, id, whole);
    const held: HeldCall = { id, name, policy, call: whole, buckets: heldBuckets(matches, decided.charges) };
    return { decision: decided.decision, matches, held };
  }

  /** A hold that was made before. */
  #findHold(id: string, call: Call, { quotas = {} }: QuotaOptions) {
    checkHoldId(id);
    const { policy, prefix } = this.#context;
    checkClaims(policy, quotas);
    const whole = this.#whole(call);
    const matches = resolveMatches(policy, prefix, whole);
    const buckets = heldBuckets(matches, chargesOfHold(id, matches));
    const held: HeldCall = { id, name: holdNameOf(policy, id, whole), policy, call: whole, buckets, quotas };
    return { held, matches };
  }

  #bucket(bucket: NamedBucket, options: QuotaOptions) {
    return findBucket(this.#context, this.#bound, bucket, options);
  }

  #checkClaims({ quotas }: QuotaOptions): void {
    if (quotas !== undefined) checkClaims(this.policy, quotas);
  }
}

function checkQuotaOptions(options: QuotaOptions): void {
  checkCallOptions(options, ["signal", "quotas"]);
}
