// A limiter that has a service. Each method is the way of one call: the call under a key, one request to the service (or this
// process's own decision while the service is unreachable), the decision.

import { countdown } from "../clock.ts";
import { type BucketDimensions, type Call, type Dimensions, mergeDimensions } from "../kernel/call.ts";
import type { BucketUsage, Decision, Denied } from "../kernel/decision.ts";
import { invalidOption } from "../kernel/errors.ts";
import type { PolicyInput } from "../kernel/policy/input.ts";
import type { Policy } from "../kernel/policy/parse.ts";
import { checkBucket, type NamedBucket } from "../limiter/bucket-name.ts";
import { type Abandonable, checkCallOptions, checkWaitOptions } from "../limiter/call-options.ts";
import { closeOnce } from "../limiter/close.ts";
import { limiterClosed } from "../limiter/closed.ts";
import { checkGrant, checkGrantId, checkReloadOptions } from "../limiter/grant.ts";
import { checkReserveOptions } from "../limiter/hold.ts";
import { emitDecision, emitEvent } from "../limiter/listener.ts";
import { checkRunOptions, runToEnd } from "../limiter/run.ts";
import { notifyPolicy } from "../limiter/telemetry.ts";
import type {
  Begun,
  CallOptions,
  ChangeOptions,
  CloseOptions,
  Grant,
  Hold,
  Limiter,
  Outcome,
  QuotaOptions,
  Ran,
  ReloadOptions,
  Reserved,
  ReserveOptions,
  Reset,
  Revoked,
  RunFunction,
  RunOptions,
  WaitOptions,
} from "../limiter.ts";
import { checkReady, checkSendable } from "./ask.ts";
import { changeBucket, readUsages, refuseQuotas } from "./buckets.ts";
import type { ClientContext } from "./context.ts";
import { decideRemotely } from "./decide.ts";
import { publicHold, serviceHold } from "./hold.ts";
import { type KeyedCall, keyedCall, sentQuotas } from "./keyed-call.ts";
import { reportRemotely } from "./outcome.ts";
import { holdRemotely } from "./reserve.ts";
import { beginRemotely } from "./run.ts";

const QUOTA_OPTIONS = ["signal", "quotas"];

export class ServiceLimiter implements Limiter {
  readonly #context: ClientContext;
  /** The dimensions that `for` has bound. */
  readonly #bound: Dimensions;

  constructor(context: ClientContext, bound: Dimensions) {
    this.#context = context;
    this.#bound = bound;
  }

  async consume(call: Call, options: WaitOptions = {}): Promise<Decision> {
    checkWaitOptions(options);
    return this.#decide("consume", this.#keyed(call, options), options);
  }

  async record(call: Call, options: QuotaOptions = {}): Promise<Decision> {
    checkCallOptions(options, QUOTA_OPTIONS);
    return this.#decide("record", this.#keyed(call, options));
  }

  async peek(call: Call, options: QuotaOptions = {}): Promise<Decision> {
    checkCallOptions(options, QUOTA_OPTIONS);
    const keyed = this.#keyed(call, options);
    // A peek charges nothing, so it needs no key.
    return this.#decide("peek", { ...keyed, sent: keyed.call, isRepeatable: true });
  }

  async reserve(call: Call, options: ReserveOptions = {}): Promise<Reserved | Denied> {
    checkReserveOptions(options);
    const keyed = this.#keyed(call, options);
    const { decision, hold } = await holdRemotely(this.#context, "reserve", keyed, options, async (away) => {
      const held = await away.limiter.reserve(keyed.call, { leaseMs: options.leaseMs, ...keyed.quotas });
      if (!held.allowed) return { decision: held, hold: null, facts: null };
      const { hold, ...decision } = held;
      // The client does not run a reserved call, so it never calls `fail` or `end`.
      return { decision, hold: { ...hold, fail: hold.settle, end: (usage) => hold.settle(usage) }, facts: null };
    });
    return hold === null ? decision : { ...decision, hold: publicHold(hold) };
  }

  getHold(id: string, call: Call, options: QuotaOptions = {}): Hold {
    checkCallOptions(options, QUOTA_OPTIONS);
    const whole = this.#whole(call);
    const hold = serviceHold(this.#context, id, whole, sentQuotas(options));
    return this.#context.away?.holds.get(id, whole) ?? hold;
  }

  async run<Value>(call: Call, work: RunFunction<Value>, options: RunOptions = {}): Promise<Ran<Value> | Denied> {
    checkRunOptions(options);
    if (typeof work !== "function") throw invalidOption("work", "a function", work);
    const { decision, running } = await beginRemotely(this.#context, this.#keyed(call, options), options);
    if (running === null) return decision;
    return { ...decision, value: await runToEnd(running, work, options) };
  }

  /** The first half of `run` (callsOf). */
  async begin(call: Call, { abandoned: signal, ...options }: Abandonable<ReserveOptions>): Promise<Begun> {
    checkReserveOptions(options);
    return beginRemotely(this.#context, this.#keyed(call, options), { ...options, signal });
  }

  async usage(dimensions: BucketDimensions = {}, options: QuotaOptions = {}): Promise<readonly BucketUsage[]> {
    refuseQuotas(options);
    return readUsages(this.#context, mergeDimensions(this.#bound, dimensions, "dimensions"), options);
  }

  async reset(bucket: NamedBucket, options: ChangeOptions = {}): Promise<Reset> {
    const named = this.#named("reset", bucket);
    const { reply, note } = await changeBucket(this.#context, "reset", named, {}, { type: "reset" }, options);
    const { before, after } = reply;
    emitEvent(this.#context, { type: "bucket.reset", before, after, ...note });
    return { before, after };
  }

  async grant(bucket: NamedBucket, grant: Grant, options: ChangeOptions = {}): Promise<BucketUsage> {
    const named = this.#named("grant", bucket);
    checkGrant(grant);
    const { id, units, durationMs: leaseMs } = grant;
    const event = { type: "grant", id, units, leaseMs } as const;
    const { reply, note } = await changeBucket(this.#context, "grant", named, { grant }, event, options);
    const { after } = reply;
    emitEvent(this.#context, { type: "bucket.granted", grant, after, ...note });
    return after;
  }

  async revoke(bucket: NamedBucket, id: string, options: ChangeOptions = {}): Promise<Revoked> {
    const named = this.#named("revoke", bucket);
    checkGrantId("id", id);
    const event = { type: "revoke", id } as const;
    const { reply, note } = await changeBucket(this.#context, "revoke", named, { id }, event, options);
    const { revoked, after } = reply;
    if (revoked) emitEvent(this.#context, { type: "bucket.revoked", id, after, ...note });
    return { revoked, after };
  }

  async reportOutcome(call: Call, outcome: Outcome, options: CallOptions = {}): Promise<void> {
    checkSendable(this.#context, options);
    await reportRemotely(this.#context, this.#whole(call), outcome);
  }

  reload(policy: Policy | PolicyInput, options: ReloadOptions = {}): void {
    const { away, hooks } = this.#context;
    const note = checkReloadOptions(options);
    if (away === null) {
      throw invalidOption("policy", "a client with failover: the service's policy is its own", policy);
    }
    try {
      notifyPolicy(hooks, away.reload(policy, note));
    } catch (error) {
      this.policyRefused(error);
      throw error;
    }
  }

  /** Also called by a watcher of a policy file. */
  policyRefused(error: unknown): void {
    emitEvent(this.#context, { type: "policy.refused", error });
  }

  for(dimensions: Dimensions): ServiceLimiter {
    return new ServiceLimiter(this.#context, mergeDimensions(this.#bound, dimensions, "dimensions"));
  }

  close(options: CloseOptions = {}): Promise<void> {
    return closeOnce(this.#context, options, (withinMs) => closeClient(this.#context, withinMs));
  }

  /** A bucket with its bound dimensions. */
  #named(verb: "reset" | "grant" | "revoke", bucket: NamedBucket): NamedBucket {
    checkBucket(verb, bucket);
    return mergeDimensions(this.#bound, bucket, "bucket");
  }

  /** A call with its bound dimensions. */
  #whole(call: Call): Call {
    return mergeDimensions(this.#bound, call, "call");
  }

  async #decide(verb: "consume" | "record" | "peek", keyed: KeyedCall, options: WaitOptions = {}): Promise<Decision> {
    const decision = await decideRemotely(this.#context, verb, keyed, options);
    emitDecision(this.#context, verb, keyed.call, decision);
    return decision;
  }

  /** A call in the form in which it is sent. Throws when the client is closed or the signal is aborted. */
  #keyed(call: Call, options: QuotaOptions): KeyedCall {
    checkReady(this.#context, options.signal);
    return keyedCall(this.#whole(call), options, this.#context.isKeyed);
  }
}

async function closeClient({ wire, away, waiting, undecided }: ClientContext, withinMs: number): Promise<void> {
  const leftMs = countdown(withinMs);
  for (const ending of waiting) ending.abort(limiterClosed());
  while (undecided.size > 0) await Promise.allSettled(undecided);
  await wire.close();
  await away?.close(leftMs());
}
