// The same limiter over HTTP: what `tollgate serve` decides, as an object in this process. It needs `fetch` alone, so it is
// there for Node, Workers and whatever else runs servers.

import { Away } from "./client/away.ts";
import { asFirst, decideAway, type Held, type Made, undoing } from "./client/decide.ts";
import {
  type Claims,
  type EndableHold,
  type Named,
  type OutcomeWords,
  OwnHold,
  reportOf,
  serviceHold,
} from "./client/holds.ts";
import { type ClientOptions, checkOptions } from "./client/options.ts";
import { type About, type HeldAnswer, type Replies, replyTo } from "./client/replies.ts";
import { askInTime, askOr, type ClientShared, checkOpen } from "./client/shared.ts";
import { type Item, MAX_BYTES, textOf, Wire } from "./client/wire.ts";
import { monotonicClock } from "./clock.ts";
import { isWithinBounds, resultDigest } from "./kernel/args.ts";
import { type BucketDimensions, type Call, type Cost, type Dimensions, mergeDimensions } from "./kernel/call.ts";
import type { BucketUsage, Decision, Denied } from "./kernel/decision.ts";
import { invalidOption } from "./kernel/errors.ts";
import type { CompiledPolicy } from "./kernel/limit.ts";
import { compiledPolicy, type Policy } from "./kernel/policy/parse.ts";
import type { PolicyInput } from "./kernel/policy/input.ts";
import type {
  BucketFor,
  DimensionsFor,
  LimitOf,
  OnlyDimensions,
  OwnOf,
  PolicyFor,
  Said,
} from "./kernel/policy/typed.ts";
import type { Checked, WrittenPolicy } from "./kernel/policy/typed-keys.ts";
import type { Begun, RunOptions } from "./limiter/begun.ts";
import { type CallOptions, checkCallOptions, type QuotaOptions } from "./limiter/call-options.ts";
import { type CloseOptions, closeOnce } from "./limiter/close.ts";
import { limiterClosed } from "./limiter/closed.ts";
import {
  type ChangeOptions,
  checkChangeOptions,
  checkGrant,
  checkGrantId,
  type Grant,
  type Reset,
  type Revoked,
} from "./limiter/grant.ts";
import { checkReserveOptions, type Hold, type ReserveOptions } from "./limiter/hold.ts";
import { tell } from "./limiter/listener.ts";
import { measured } from "./limiter/measured.ts";
import { checkBucket } from "./limiter/named.ts";
import { newHoldId } from "./limiter/parts.ts";
import type { Outcome } from "./limiter/report.ts";
import { checkRunOptions, type Ran, type RunFunction, runBegun } from "./limiter/run.ts";
import { tellEvent } from "./limiter/shared.ts";
import { decisionListener, eventListener, tellPolicy } from "./limiter/telemetry.ts";
import { checkWaitOptions, type WaitOptions } from "./limiter/wait.ts";
import { beginCall, type Limiter, type LimiterEvent, type Reserved } from "./limiter.ts";

export type { ClientFailover } from "./client/away.ts";
export type { ClientOptions } from "./client/options.ts";

/** A limiter whose service knows the quotas: those of calls alone may be brought. */
export interface RemoteLimiter<P extends Policy = Policy, Bound extends string = never> extends Limiter<P, Bound> {
  usage<Own extends OwnOf<P>>(
    dimensions?: BucketFor<P, Own>,
    options?: CallOptions,
  ): Promise<readonly BucketUsage<LimitOf<P>>[]>;
  reset<Own extends OwnOf<P>>(
    bucket: BucketFor<P, Own> & { readonly limit: LimitOf<P> },
    options?: Omit<ChangeOptions, "quotas">,
  ): Promise<Reset<LimitOf<P>>>;
  grant<Own extends OwnOf<P>>(
    bucket: BucketFor<P, Own> & { readonly limit: LimitOf<P> },
    grant: Grant,
    options?: Omit<ChangeOptions, "quotas">,
  ): Promise<BucketUsage<LimitOf<P>>>;
  revoke<Own extends OwnOf<P>>(
    bucket: BucketFor<P, Own> & { readonly limit: LimitOf<P> },
    id: string,
    options?: Omit<ChangeOptions, "quotas">,
  ): Promise<Revoked<LimitOf<P>>>;
  for<const Given extends object>(
    dimensions: Given & DimensionsFor<P> & OnlyDimensions<P, Given>,
  ): RemoteLimiter<P, Bound | Said<Given>>;
}

/**
 * Makes a limiter that asks a service. Calls are gathered: what one tick asks goes in one request. `reload` changes the
 * policy of the time without the service alone; a call's `maxWaitMs` is bound by the service's own (30 s).
 *
 * @throws MisuseError `invalid-option`, `invalid-policy`
 *
 * @example
 * ```ts
 * import { createRemoteLimiter } from "tollgate/client";
 * import { createService } from "tollgate/service";
 * import { listen } from "tollgate/service/node";
 * import { memoryStore } from "tollgate/stores/memory";
 *
 * const policy = "version: 1\nlimits: [{ name: per-session, per: [session], quota: 2 }]";
 * const server = await listen(createService({ policy, store: memoryStore(), keys: false }), { port: 0 });
 *
 * const limiter = createRemoteLimiter({ url: server.url });
 * const decision = await limiter.consume({ tool: "search", session: "s1" });
 * console.log(decision.verdicts[0]?.remaining); // 1
 * await limiter.close();
 * await server.close();
 * ```
 */
export function createRemoteLimiter<const Source extends Policy | WrittenPolicy = Policy>(
  options: ClientOptions<Source & Checked<Source>>,
): RemoteLimiter<PolicyFor<Source>> {
  // What the compiler knows of the policy is checked here at run time, for every caller.
  const plain = options as unknown as ClientOptions;
  const { apiKey, deadlineMs = 1_000, idempotency = "auto", failover, telemetry } = plain;
  const url = checkOptions(plain);
  const hooks = telemetry?.observe(failover === undefined ? null : compiledPolicy(failover.policy)) ?? null;
  const onDecision = decisionListener(hooks, plain.onDecision);
  const onEvent = eventListener(hooks, plain.onEvent);
  // As a method of something else it would not work in every runtime.
  const send = plain.fetch ?? ((...asked: Parameters<typeof fetch>) => fetch(...asked));
  const wire = new Wire({ url, apiKey, deadlineMs, fetch: send });
  const told = (event: LimiterEvent) => tellEvent({ onEvent }, event);
  const away = failover === undefined ? null : new Away(wire, failover, told);
  const shared: ClientShared = {
    wire,
    away,
    isKeyed: idempotency === "auto",
    onDecision,
    onEvent,
    hooks,
    ending: new AbortController(),
    closing: null,
  };
  const limiter = new ServiceLimiter(shared, {});
  return (hooks === null ? limiter : measured(limiter, hooks)) as Limiter as RemoteLimiter<PolicyFor<Source>>;
}

class ServiceLimiter implements Limiter {
  readonly #shared: ClientShared;
  readonly #bound: Dimensions;

  constructor(shared: ClientShared, bound: Dimensions) {
    this.#shared = shared;
    this.#bound = bound;
  }

  async consume(call: Call, options: WaitOptions = {}): Promise<Decision> {
    checkWaitOptions(options);
    const { maxWaitMs = 0 } = options;
    const named = this.#named(call, options);
    const decision = maxWaitMs === 0 ? await this.#decide("consume", named) : await this.#wait(named, options);
    this.#tell(decision, named.call);
    return decision;
  }

  async record(call: Call, options: QuotaOptions = {}): Promise<Decision> {
    checkCallOptions(options, ["signal", "quotas"]);
    const named = this.#named(call, options);
    const decision = await this.#decide("record", named);
    this.#tell(decision, named.call, true);
    return decision;
  }

  async peek(call: Call, options: QuotaOptions = {}): Promise<Decision> {
    checkCallOptions(options, ["signal", "quotas"]);
    const named = this.#named(call, options);
    return this.#decide("peek", { ...named, sent: named.call, isRepeatable: true });
  }

  async reserve(call: Call, options: ReserveOptions = {}): Promise<Reserved | Denied> {
    checkReserveOptions(options);
    const named = this.#named(call, options);
    const { decision, hold } = await this.#hold("reserve", named, options, async (away) => {
      const held = await away.limiter.reserve(named.call, { leaseMs: options.leaseMs, ...named.claims });
      if (!held.allowed) return { decision: held, made: null };
      const { hold: made, ...decision } = held;
      return { decision, made: { ...made, fail: made.settle, end: (actual) => made.settle(actual) } };
    });
    return hold === null ? decision : { ...decision, hold: shownHold(hold) };
  }

  getHold(id: string, call: Call, options: QuotaOptions = {}): Hold {
    checkCallOptions(options, ["signal", "quotas"]);
    return serviceHold(this.#shared, id, mergeDimensions(this.#bound, call, "call"), claimsOf(options));
  }

  async run<Value>(call: Call, run: RunFunction<Value>, options: RunOptions = {}): Promise<Ran<Value> | Denied> {
    const holdOptions = checkRunOptions(options);
    checkReserveOptions(holdOptions);
    if (typeof run !== "function") throw invalidOption("run", "a function", run);
    const named = this.#named(call, options);
    let began: About | null = null;
    const { decision, hold, answer } = await this.#hold("begin", named, holdOptions, async (away) => {
      const { decision, begun } = await beginCall(away.limiter, named.call, {
        leaseMs: holdOptions.leaseMs,
        ...named.claims,
      });
      if (begun !== null) began = { ...begun, heldUnits: begun.held, wantsOutcome: begun.reports };
      if (begun === null) return { decision, made: null };
      return { decision, made: endable(begun) };
    });
    if (hold === null) return { ...decision, allowed: false };
    const { heldUnits: held, units, leaseMs, maxHoldMs, wantsOutcome: reports } = began ?? (answer as About);
    const counted = new Set(units);
    // The service takes what is not named for used as it was held.
    const nothing = Object.fromEntries(held.map((unit) => [unit, 0]));
    const begun: Begun = {
      call: named.call,
      hold,
      prices: pricesIn(decision, counted),
      held,
      units: counted,
      leaseMs,
      maxHoldMs,
      clock: monotonicClock,
      reports,
      replayed: decision.replayed,
      settle: (actual, rest) =>
        rest === "onError" ? hold.fail(actual) : hold.settle(rest === "nothing" ? { ...nothing, ...actual } : actual),
      settleWith: (outcome, actual) => hold.end(actual, outcome, this.#told(named.call, outcome)),
      book: (excess) =>
        serviceHold(this.#shared, newHoldId(true), bareCall(named.call, counted), named.claims).settle(excess),
      reportOutcome: (outcome) => this.#report(named.call, outcome),
      tell: (event) => tellEvent(this.#shared, event),
    };
    return { ...decision, allowed: true, value: await runBegun(begun, run, options) };
  }

  async usage(dimensions: BucketDimensions = {}, options: QuotaOptions = {}): Promise<readonly BucketUsage[]> {
    refuseQuotas(options);
    const whole = mergeDimensions(this.#bound, dimensions, "dimensions");
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(whole)) {
      query.set(name, name === "args" ? textOf(value) : String(value));
    }
    const usages: BucketUsage[] = [];
    for (let cursor: string | null = null; ; ) {
      if (cursor !== null) query.set("cursor", cursor);
      const asked = { method: "GET", path: `/v1/usage?${query}`, isRepeatable: true } as const;
      const { items, nextCursor } = await this.#alone("usage", asked, options);
      usages.push(...items);
      if (nextCursor === null) return usages;
      cursor = nextCursor;
    }
  }

  async reset(bucket: BucketDimensions & { readonly limit: string }, options: ChangeOptions = {}): Promise<Reset> {
    checkBucket("reset", bucket);
    refuseQuotas(options);
    const reason = checkChangeOptions(options);
    const more = { ...(reason === null ? {} : { reason }) };
    const { before, after } = await this.#touch("reset", bucket, more, { type: "reset" }, { signal: options.signal });
    tellEvent(this.#shared, { type: "bucket.reset", before, after, reason });
    return { before, after };
  }

  async grant(
    bucket: BucketDimensions & { readonly limit: string },
    grant: Grant,
    options: ChangeOptions = {},
  ): Promise<BucketUsage> {
    checkBucket("grant", bucket);
    checkGrant(grant);
    refuseQuotas(options);
    const reason = checkChangeOptions(options);
    const { id, units, durationMs: leaseMs } = grant;
    const event = { type: "grant", id, units, leaseMs } as const;
    const more = { grant, ...(reason === null ? {} : { reason }) };
    const { after } = await this.#touch("grant", bucket, more, event, { signal: options.signal });
    tellEvent(this.#shared, { type: "bucket.granted", grant, after, reason });
    return after;
  }

  async revoke(
    bucket: BucketDimensions & { readonly limit: string },
    id: string,
    options: ChangeOptions = {},
  ): Promise<Revoked> {
    checkBucket("revoke", bucket);
    checkGrantId("id", id);
    refuseQuotas(options);
    const reason = checkChangeOptions(options);
    const more = { id, ...(reason === null ? {} : { reason }) };
    const event = { type: "revoke", id } as const;
    const { revoked, after } = await this.#touch("revoke", bucket, more, event, { signal: options.signal });
    if (revoked) tellEvent(this.#shared, { type: "bucket.revoked", id, after, reason });
    return { revoked, after };
  }

  async reportOutcome(call: Call, outcome: Outcome, options: CallOptions = {}): Promise<void> {
    await this.#report(this.#named(call, options).call, outcome);
  }

  reload(policy: Policy | PolicyInput): void {
    const { away } = this.#shared;
    if (away === null) {
      throw invalidOption("policy", "a client with failover: the service's policy is its own", policy);
    }
    let next: CompiledPolicy;
    try {
      next = compiledPolicy(policy);
      away.reload(next);
    } catch (error) {
      this.policyRefused(error);
      throw error;
    }
    tellPolicy(this.#shared.hooks, next);
  }

  /** Also called by what watches a policy file. */
  policyRefused(error: unknown): void {
    tellEvent(this.#shared, { type: "policy.refused", error });
  }

  for(dimensions: Dimensions): ServiceLimiter {
    return new ServiceLimiter(this.#shared, mergeDimensions(this.#bound, dimensions, "dimensions"));
  }

  close(options: CloseOptions = {}): Promise<void> {
    return closeOnce(this.#shared, options, (withinMs) => close(this.#shared, withinMs));
  }

  #named(call: Call, options: QuotaOptions): Named {
    if (options.signal !== undefined) checkCallOptions({ signal: options.signal });
    options.signal?.throwIfAborted();
    checkOpen(this.#shared);
    const whole = mergeDimensions(this.#bound, call, "call");
    const claims = claimsOf(options);
    if (whole.idempotencyKey !== undefined) return { call: whole, sent: whole, isRepeatable: true, claims };
    if (!this.#shared.isKeyed) return { call: whole, sent: whole, isRepeatable: false, claims };
    return { call: whole, sent: { ...whole, idempotencyKey: crypto.randomUUID() }, isRepeatable: true, claims };
  }

  async #decide(op: "consume" | "record" | "peek", named: Named): Promise<Decision> {
    const { away } = this.#shared;
    const { call, sent, isRepeatable, claims } = named;
    const body = { call: sent, ...claims };
    const sentMs = performance.now();
    let isHere = true;
    const decision = await askOr(this.#shared, { op, body, isRepeatable }, async (away, isDoubted) => {
      isHere = false;
      return decideAway(away, op, named, isDoubted);
    });
    if (isHere && op === "consume") away?.learn(call, decision, sentMs);
    return decision;
  }

  #wait(named: Named, options: WaitOptions): Promise<Decision> {
    const body = { call: named.sent, ...named.claims };
    const item: Item<"consume"> = { op: "consume", body, isRepeatable: named.isRepeatable };
    return askInTime(this.#shared, item, options, (away, isDoubted) => decideAway(away, "consume", named, isDoubted));
  }

  /** Asks for a decision and a hold. */
  async #hold(
    op: "reserve" | "begin",
    named: Named,
    { leaseMs, ...options }: ReserveOptions,
    locally: (away: Away) => Promise<Made>,
  ): Promise<Held> {
    const { call, sent, isRepeatable, claims } = named;
    const item: Item<typeof op> = {
      op,
      body: { call: sent, ...claims, ...(leaseMs === undefined ? {} : { leaseMs }) },
      isRepeatable,
    };
    const sentMs = performance.now();
    const here = async (away: Away, isDoubted: boolean): Promise<Held> => {
      const { decision, made } = await locally(away);
      if (made === null) {
        if (isDoubted) away.book(undoing(item, call, claims), true);
        return { decision, hold: null, answer: null };
      }
      const hold = new OwnHold(this.#shared, made, named, item, away.pricesOf(call, decision));
      away.book(hold.booking(), isDoubted);
      return { decision, hold, answer: null };
    };
    const mayWait = (options.maxWaitMs ?? 0) > 0;
    const found = mayWait ? await askInTime(this.#shared, item, options, here) : await askOr(this.#shared, item, here);
    if ("decision" in found) {
      this.#tell(found.decision, call);
      return found;
    }
    const answered: Decision & Partial<HeldAnswer> = found;
    const {
      holdId: id,
      heldUnits = [],
      units: _,
      leaseMs: __,
      maxHoldMs: ___,
      wantsOutcome: ____,
      ...decision
    } = answered;
    this.#shared.away?.learn(call, decision, sentMs);
    this.#tell(decision, call);
    if (!decision.allowed) return { decision, hold: null, answer: found };
    const made = decision.replayed ? asFirst(call, decision, heldUnits) : call;
    // The reply was checked: an allowed call has a hold.
    return { decision, hold: serviceHold(this.#shared, id as string, made, claims), answer: found };
  }

  async #report(call: Call, outcome: Outcome): Promise<void> {
    const item = reportOf(call, this.#told(call, outcome));
    await askOr(this.#shared, item, async (away, isDoubted) => {
      await away.limiter.reportOutcome(call, outcome);
      if (!isDoubted) away.book({ item: () => item, endsCall: true }, false);
      return null;
    });
  }

  #told(call: Call, outcome: Outcome): OutcomeWords {
    return "error" in outcome ? { error: true } : { result: this.#sayable(call, outcome.result) };
  }

  /** A result as it is sent: only a hash of one that the service would not take. */
  #sayable(call: Call, result: unknown): unknown {
    const text = isWithinBounds(result) ? textOf(result) : null;
    // Also what JSON has nothing for.
    if (text === "null") return null;
    if (text !== null && text.length <= MAX_BYTES) return result;
    const { outcome, error } = resultDigest(result);
    if (error !== null) tellEvent(this.#shared, { type: "outcome.unusable", call, error });
    return outcome;
  }

  async #touch<Op extends "reset" | "grant" | "revoke">(
    op: Op,
    bucket: BucketDimensions & { readonly limit: string },
    more: object,
    event: Parameters<Away["touched"]>[1],
    options: CallOptions,
  ): Promise<Replies[Op]> {
    const whole = mergeDimensions(this.#bound, bucket, "bucket");
    const { limit, ...dimensions } = whole;
    const body = { limit, dimensions, ...more };
    const asked = { method: "POST", path: `/v1/${op}`, body, isRepeatable: op === "grant" } as const;
    const answer = await this.#alone(op, asked, options);
    if (answer.after !== null) this.#shared.away?.touched(whole, event, answer.after);
    return answer;
  }

  async #alone<Op extends keyof Replies>(
    op: Op,
    asked: Parameters<Wire["send"]>[0],
    options: CallOptions,
  ): Promise<Replies[Op]> {
    checkCallOptions(options);
    options.signal?.throwIfAborted();
    checkOpen(this.#shared);
    return replyTo(op, await this.#shared.wire.send(asked));
  }

  #tell(decision: Decision, call: Call, isRecorded = false): void {
    const { onDecision } = this.#shared;
    if (onDecision !== undefined) tell("onDecision", () => onDecision(decision, call, isRecorded));
  }
}

/** Quotas that came with a call. */
function claimsOf({ quotas }: QuotaOptions): Claims {
  return quotas === undefined ? {} : { quotas };
}

/** Refuses quotas where the service takes none. */
function refuseQuotas({ quotas }: QuotaOptions): void {
  if (quotas !== undefined) throw invalidOption("quotas", "none: the service applies the quota that it knows", quotas);
}

/** A hold as users know it: one that runs and may fail ends elsewhere. */
function shownHold(hold: EndableHold): Hold {
  return {
    get id() {
      return hold.id;
    },
    settle: (...asked) => hold.settle(...asked),
    release: (...asked) => hold.release(...asked),
    extend: (...asked) => hold.extend(...asked),
  };
}

async function close({ wire, away, ending }: ClientShared, withinMs: number): Promise<void> {
  const endsAtMs = performance.now() + withinMs;
  ending.abort(limiterClosed());
  await wire.close();
  await away?.close(Math.max(0, endsAtMs - performance.now()));
}

/** The hold of a call that this process began. */
function endable({ hold, settle, settleWith }: Begun): EndableHold {
  return {
    ...hold,
    fail: (actual) => settle(actual, "onError"),
    end: (actual, outcome) => settleWith(outcome, actual, "error" in outcome ? "onError" : "held"),
  };
}

/** The same call, with nothing held or charged: to settle it books all of the actual. */
function bareCall(call: Call, counted: ReadonlySet<string>): Call {
  return { ...call, cost: Object.fromEntries([...counted].map((unit) => [unit, 0])) };
}

/** What a call was priced at, in units that some limit counts. */
function pricesIn({ verdicts }: Decision, counted: ReadonlySet<string>): Cost {
  const prices: Record<string, number> = {};
  for (const { unit, cost } of verdicts) {
    if (counted.has(unit) && cost > 0) prices[unit] = Math.max(prices[unit] ?? 0, cost);
  }
  return prices;
}
