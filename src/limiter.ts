// The centre: a call comes in, its charges are resolved, the store decides them in one request, a decision goes out.
// It knows no concrete store.

import { monotonicClock, systemClock } from "./clock.ts";
import { bucketUsageOf, decisionOf, emptyUsageOf } from "./kernel/answer.ts";
import {
  type BucketDimensions,
  type Call,
  type Cost,
  checkDimensions,
  type Dimensions,
  mergeDimensions,
} from "./kernel/call.ts";
import {
  type Bucket,
  bucketOf,
  type Match,
  mayMatch,
  missingDimension,
  missingIn,
  resolveMatches,
  stepOf,
  withGroup,
} from "./kernel/charge.ts";
import { checkClaims } from "./kernel/claims.ts";
import type { Allowed, BucketUsage, Decision, Denied } from "./kernel/decision.ts";
import { checkOptionKeys, checkWhole, invalidOption, MisuseError } from "./kernel/errors.ts";
import type { CompiledPolicy, Limit } from "./kernel/limit.ts";
import { allotmentsOf, compiledPolicy, type Policy } from "./kernel/policy/parse.ts";
import type { PolicyInput } from "./kernel/policy/input.ts";
import type { StepEvent, StoreRequest, StoreReply } from "./kernel/request.ts";
import type {
  BucketFor,
  CallFor,
  ClaimedOf,
  ClaimedQuotas,
  ClaimsBy,
  DimensionsFor,
  LimitOf,
  OnlyDimensions,
  OwnOf,
  PolicyFor,
  QuotasOf,
  Refused,
  Said,
  UnitOf,
} from "./kernel/policy/typed.ts";
import type { Checked, WrittenPolicy } from "./kernel/policy/typed-keys.ts";
import { batchLayer } from "./layers/batch.ts";
import { checkedLayer } from "./layers/checked.ts";
import { denyCacheLayer, MAX_DENIED_MS } from "./layers/deny-cache.ts";
import { checkFailover, type FailoverEvent, type FailoverOptions, failoverLayer } from "./layers/failover.ts";
import { leaseLayer } from "./layers/borrow.ts";
import type { Begun, RunOptions } from "./limiter/begun.ts";
import { CalendarSpecs } from "./limiter/calendar-specs.ts";
import { type CallOptions, checkCallOptions, type QuotaOptions } from "./limiter/call-options.ts";
import { type CloseOptions, closeLimiter, closeOnce } from "./limiter/close.ts";
import { type Asked, askedFor, lastingRequest, tellDecision } from "./limiter/decide-call.ts";
import type { LimiterEvent } from "./limiter/events.ts";
import {
  type ChangeOptions,
  checkChangeOptions,
  checkChosen,
  checkGrant,
  checkGrantable,
  checkGranted,
  checkGrantId,
  checkReached,
  checkRevocable,
  type Grant,
  type Reset,
  type Revoked,
} from "./limiter/grant.ts";
import {
  checkReserveOptions,
  type Hold,
  type HoldOf,
  heldParts,
  holdOf,
  pricesOf,
  type Reserved,
  type ReserveOptions,
  type Settlement,
  settle,
} from "./limiter/hold.ts";
import { type KnownCall, KnownCalls } from "./limiter/known-calls.ts";
import { measured } from "./limiter/measured.ts";
import { checkBucket, limitNamed } from "./limiter/named.ts";
import { changedBy, holdNameOf, isPerArgs, isRestarted, newHoldId, partsOfHold } from "./limiter/parts.ts";
import { checkResolver, type QuotaResolver, Quotas } from "./limiter/quotas.ts";
import { type Outcome, reportFor, reportOutcome } from "./limiter/report.ts";
import { begunHere, checkRunOptions, type Ran, type RunFunction, runBegun } from "./limiter/run.ts";
import { watchSetup } from "./limiter/setup.ts";
import { askAll, checkedReply, checkOpen, type Shared, tellEvent } from "./limiter/shared.ts";
import { SlotRows } from "./limiter/slots.ts";
import { checkTelemetry, decisionListener, eventListener, type Telemetry, tellPolicy } from "./limiter/telemetry.ts";
import { UsageSum } from "./limiter/usage.ts";
import {
  type Abandonable,
  type AbandonableOptions,
  checkWaitOptions,
  decideInTime,
  type WaitOptions,
} from "./limiter/wait.ts";
import { askOne, type Found } from "./store/ask.ts";
import { isShared, type SharedStore } from "./store/shared-store.ts";
import type { Store } from "./store/store.ts";

export type { FailoverOptions, Journal } from "./layers/failover.ts";
export type { Begun, RunOptions } from "./limiter/begun.ts";
export type { CallOptions, QuotaOptions } from "./limiter/call-options.ts";
export type { CloseOptions } from "./limiter/close.ts";
export type { HoldLimit, LimiterEvent } from "./limiter/events.ts";
export type { ChangeOptions, Grant, Reset, Revoked } from "./limiter/grant.ts";
export type { Hold, HoldOptions, Reserved, ReserveOptions, Settlement } from "./limiter/hold.ts";
export { isRunHold } from "./limiter/parts.ts";
export type { QuotaEvent, QuotaQuestion, QuotaResolver } from "./limiter/quotas.ts";
export type { Outcome } from "./limiter/report.ts";
export type { AddUsage, AddUsageOptions, Ran, RunContext, RunFunction } from "./limiter/run.ts";
export { UnreachableError } from "./limiter/run.ts";
export {
  checkTelemetry,
  type Operation,
  type Telemetry,
  type TelemetryHooks,
  withTelemetry,
} from "./limiter/telemetry.ts";
export { checkMaxWait, type WaitOptions } from "./limiter/wait.ts";

/** How a limiter is made. */
export interface LimiterOptions<Source extends Policy | WrittenPolicy = Policy | PolicyInput, Given = Source> {
  /** What calls are judged by. */
  readonly policy: Given;
  /** Where the state lives. Instances that share a store share its limits. */
  readonly store: Store | SharedStore;
  /** What keys begin with: 1 to 64 of letters, digits, `_ . : -`. Default `rate`. */
  readonly prefix?: string;
  /** Called after each `consume`, `record`, `reserve` and `run`, before its promise resolves (`run`: before it runs). What it throws becomes a process warning. */
  readonly onDecision?: (decision: Decision, call: Call) => unknown;
  /**
   * What this instance does while the store is away. By default it decides by its share, for stores that other processes
   * reach through a network: Redis and Postgres. `false`: calls fail with `StoreError`, as they do with other stores,
   * whatever this says.
   */
  readonly failover?: FailoverOptions | false;
  /**
   * For how long a denial is given again without asking the store, 0 to 1,000 ms. Default 1,000. Only one that time alone
   * can lift, for the same call; what another process grants or resets in between is seen after that.
   */
  readonly denyCacheMs?: number;
  /** Called with what befalls the store, and holds of `run`. */
  readonly onEvent?: (event: LimiterEvent) => unknown;
  /**
   * Says the quota of a bucket of a limit with `quota: { from: call }`, such as a customer's from a database. Asked once for
   * each bucket: an answer is remembered for 60 s, at most 10,000 of them. One that does not come within a second, or is no
   * quota, leaves the last one in place, else the policy's `default`, and `onEvent` gets `quota.unresolved`. Refused where no
   * limit takes its quota from here.
   */
  readonly quotas?: Resolver<Source>;
  /** What measures the limiter, such as `otel()` of `tollgate/otel`. Default: nothing does. */
  readonly telemetry?: Telemetry;
}

/** A function that says quotas, under a policy with limits that ask for them. */
type Resolver<Source> = [ClaimedOf<Source>] extends [never]
  ? Refused<"quotas", "no limit of the policy says quota: { from: call }">
  : QuotaResolver<ClaimsBy<Source>>;

declare const POLICY: unique symbol;
declare const BOUND: unique symbol;

/** Options under a policy: quotas are of its limits that take them. */
type Under<P, Options extends QuotaOptions> = Omit<Options, "quotas"> & {
  /** @see QuotaOptions */
  readonly quotas?: QuotasOf<P> | undefined;
};

/**
 * Decides calls. Denials are values; what is thrown is a `MisuseError`, a `StoreError`, or the signal's reason. With the type
 * of a policy, as in `Limiter<typeof policy>`, the compiler checks the dimensions and units of calls, and the names of limits,
 * against that policy. A plain `Limiter` is for any policy, and checks them at run time alone.
 *
 * @typeParam Bound dimensions that calls need not say any more: `limiter.for({ session })` is a
 *   `Limiter<typeof policy, "session">`
 */
export interface Limiter<P extends Policy = Policy, Bound extends string = never> {
  /** There is nothing at run time: a limiter of one policy is none of another. */
  readonly [POLICY]?: P | undefined;
  /** Nothing, either: one that is bound to more can stand where less is bound. */
  readonly [BOUND]?: ((dimension: Bound) => void) | undefined;

  /**
   * Judges a call by every limit that matches and charges all of them, or none when one denies. With `maxWaitMs` it waits
   * until it is allowed, if that is in time.
   *
   * @throws MisuseError `invalid-call`, `missing-dimension`, `invalid-dimension`, `invalid-cost`, `unknown-unit`,
   *   `needs-reserve` (a limit of concurrency matches), `idempotency-conflict`, `limiter-closed`
   * @throws StoreError when the store failed
   */
  consume<Own extends OwnOf<P>>(
    call: CallFor<P, Bound, Own>,
    options?: Under<P, WaitOptions>,
  ): Promise<Decision<LimitOf<P>>>;

  /**
   * Books a call that has happened already, also past the quota, and answers what `consume` would have.
   *
   * @throws as `consume`
   */
  record<Own extends OwnOf<P>>(
    call: CallFor<P, Bound, Own>,
    options?: Under<P, QuotaOptions>,
  ): Promise<Decision<LimitOf<P>>>;

  /** Answers as `consume` would, and charges nothing. */
  peek<Own extends OwnOf<P>>(
    call: CallFor<P, Bound, Own>,
    options?: Under<P, QuotaOptions>,
  ): Promise<Decision<LimitOf<P>>>;

  /**
   * Judges a call by every limit that matches and holds what it is priced at, or nothing when one denies. Every limit
   * that matches must have a price, in the call or in the policy's tools. With `maxWaitMs` it waits as `consume` does, also for
   * a slot of a limit of concurrency.
   *
   * @throws as `consume`, but for `needs-reserve`; MisuseError `missing-cost`
   *
   * @example
   * ```ts
   * import { createLimiter } from "tollgate";
   * import { memoryStore } from "tollgate/stores/memory";
   *
   * const limiter = createLimiter({
   *   policy: { version: 1, limits: [{ name: "tokens", per: ["session"], unit: "tokens", quota: 10_000 }] },
   *   store: memoryStore(),
   * });
   * const held = await limiter.reserve({ tool: "model", session: "s1", cost: { tokens: 4_000 } });
   * if (held.allowed) {
   *   const { usages } = await held.hold.settle({ tokens: 3_127 });
   *   console.log(usages[0]?.used); // 3127
   * }
   * ```
   */
  reserve<Own extends OwnOf<P>>(
    call: CallFor<P, Bound, Own>,
    options?: Under<P, ReserveOptions>,
  ): Promise<Reserved<UnitOf<P>, LimitOf<P>> | Denied<LimitOf<P>>>;

  /**
   * A hold that was made before, perhaps by another process: its id, and the call that it was reserved for.
   *
   * @throws MisuseError as `reserve`
   */
  getHold<Own extends OwnOf<P>>(
    id: string,
    call: CallFor<P, Bound, Own>,
    options?: Under<P, QuotaOptions>,
  ): Hold<UnitOf<P>, LimitOf<P>>;

  /**
   * Runs a function if its call is allowed. `calls` are charged when it begins (in limits with `onError: refund` when it
   * ends); what else is priced is held while it runs, extended at a third of its lease for at most the policy's `maxHold`,
   * and settled with what the function adds by `addUsage`, else with its price. What the function throws is thrown again, after it was
   * settled as the `onError` of each limit says. When the process dies, holds expire. With
   * `maxWaitMs` it waits as `reserve` does, before it runs.
   *
   * @throws as `reserve`, but for `missing-cost`
   *
   * @example
   * ```ts
   * import { createLimiter } from "tollgate";
   * import { memoryStore } from "tollgate/stores/memory";
   *
   * const limiter = createLimiter({
   *   policy: { version: 1, limits: [{ name: "at-once", per: ["session"], algorithm: "concurrency", quota: 1 }] },
   *   store: memoryStore(),
   * });
   * const call = { tool: "search", session: "s1" };
   * const ran = await limiter.run(call, async () => {
   *   const second = await limiter.run(call, () => "never");
   *   return second.allowed;
   * });
   * console.log(ran.allowed && ran.value); // false
   * ```
   */
  run<Value, Own extends OwnOf<P> = OwnOf<P>>(
    call: CallFor<P, Bound, Own>,
    run: RunFunction<Value, UnitOf<P>>,
    options?: Under<P, RunOptions>,
  ): Promise<Ran<Value, LimitOf<P>> | Denied<LimitOf<P>>>;

  /**
   * How buckets stand: of each limit whose dimensions are all given, for the tool given, else for every tool that the
   * policy names, and the same for groups. A limit per `args` is included only for given arguments. Each has its grants.
   */
  usage<Own extends OwnOf<P>>(
    dimensions?: BucketFor<P, Own>,
    options?: Under<P, QuotaOptions>,
  ): Promise<readonly BucketUsage<LimitOf<P>>[]>;

  /**
   * Empties one bucket, named by its limit and all of that limit's dimensions: also what is held and granted in it. Returns
   * how it stood before, and how it stands after. Refused for dimensions that the limit does not apply to.
   *
   * @throws MisuseError `unknown-limit`, `missing-dimension`, `invalid-dimension`, `invalid-option`, `limiter-closed`
   */
  reset<Own extends OwnOf<P>>(
    bucket: BucketFor<P, Own> & { readonly limit: LimitOf<P> },
    options?: Under<P, ChangeOptions>,
  ): Promise<Reset<LimitOf<P>>>;

  /**
   * Adds units to the quota of one bucket, named as for `reset`, until the grant or the bucket's window ends. The same grant
   * sent again while it is there is one grant; any other use of its id is refused, until ten minutes after its end. A token
   * bucket is filled by the units, at most to the brim. A quota of 0 forbids calls, and is refused. Returns how the bucket
   * stands then.
   *
   * @throws MisuseError as `reset`, and `grant-exists`
   */
  grant<Own extends OwnOf<P>>(
    bucket: BucketFor<P, Own> & { readonly limit: LimitOf<P> },
    grant: Grant,
    options?: Under<P, ChangeOptions>,
  ): Promise<BucketUsage<LimitOf<P>>>;

  /**
   * Ends a grant of one bucket, named as for `reset`, before its time; `usage` lists the grants there are. What was used of
   * it stays used, so that calls may be denied until that has come back. The id stays taken for ten minutes, so that a
   * grant that is sent again does not come back. What was granted to a token bucket filled it at once and cannot be revoked.
   *
   * @throws MisuseError as `reset`
   */
  revoke<Own extends OwnOf<P>>(
    bucket: BucketFor<P, Own> & { readonly limit: LimitOf<P> },
    id: string,
    options?: Under<P, ChangeOptions>,
  ): Promise<Revoked<LimitOf<P>>>;

  /**
   * Says what came of a call, for limits of streaks. `run` does so by itself.
   *
   * @throws as `consume`
   */
  reportOutcome<Own extends OwnOf<P>>(
    call: CallFor<P, Bound, Own>,
    outcome: Outcome,
    options?: CallOptions,
  ): Promise<void>;

  /**
   * Judges by another policy from now on. Counts stay where the bucket is the same: a limit of the same name and `per`. One
   * whose algorithm keeps another kind of state counts from zero, and `onEvent` is told. Calls under way, and holds, end by
   * the policy that they began with; calls that wait and hold nothing ask by the new one.
   *
   * @throws MisuseError `invalid-policy`, `unsupported-limit` (the store cannot keep it), and nothing has changed
   */
  reload(policy: Policy | PolicyInput): void;

  /** The same limiter with dimensions bound; a call's own come before them. */
  for<const Given extends object>(
    dimensions: Given & DimensionsFor<P> & OnlyDimensions<P, Given>,
  ): Limiter<P, Bound | Said<Given>>;

  /**
   * Waits for what the store was asked, books what was admitted while it was away, and closes it. Calls from now on fail
   * with `limiter-closed`, and so do calls that wait (`maxWaitMs`): their places are given back. Functions that `run` has
   * begun go on, and their holds expire. Closing again is the same promise.
   *
   * @throws MisuseError `invalid-option`
   */
  close(options?: CloseOptions): Promise<void>;
}

/**
 * Makes a limiter.
 *
 * @throws MisuseError `invalid-option`, `invalid-policy`, `unsupported-limit` (the store cannot keep it)
 *
 * @example
 * ```ts
 * import { createLimiter } from "tollgate";
 * import { memoryStore } from "tollgate/stores/memory";
 *
 * const limiter = createLimiter({
 *   policy: { version: 1, limits: [{ name: "tool-per-turn", per: ["session", "turn", "tool"], quota: 3 }] },
 *   store: memoryStore(),
 * });
 * const turn = limiter.for({ session: "s1", turn: "t1" });
 * const decision = await turn.consume({ tool: "search" });
 * console.log(decision.allowed, decision.verdicts[0]?.remaining); // true 2
 * await limiter.close();
 * ```
 */
export function createLimiter<const Source extends Policy | WrittenPolicy>(
  options: LimiterOptions<Source, Source & Checked<Source>>,
): Limiter<PolicyFor<Source>> {
  // What the compiler knows of the policy is checked here at run time, for every caller.
  const plain = options as unknown as LimiterOptions;
  checkOptions(plain);
  const { store, prefix = "rate", failover = {}, denyCacheMs = MAX_DENIED_MS, telemetry } = plain;
  const policy = compiledPolicy(plain.policy);
  checkResolver(plain.quotas, policy);
  store.checkPolicy?.(policy);
  const hooks = telemetry?.observe(policy) ?? null;
  const onDecision = decisionListener(hooks, plain.onDecision);
  const onEvent = eventListener(hooks, plain.onEvent);
  const calendar = new CalendarSpecs(systemClock.nowMs);
  const setup = watchSetup(store, onEvent === undefined ? null : (event) => tellEvent(shared, event));
  const told = (event: FailoverEvent) => {
    if (event.type === "store.unreachable") setup?.failed();
    tellFailover(shared, event);
  };
  const checked = store.answer === undefined || isShared(store) ? checkedLayer(store, setup) : store;
  const recovering = failover !== false && isShared(checked) ? failoverLayer(checked, prefix, failover, told) : null;
  const safe = recovering ?? checked;
  const gathered = safe.batching === undefined ? safe : batchLayer(safe, safe.batching);
  const clock = store.clock ?? monotonicClock;
  const giveBack: Store["apply"] = (requests) => store.apply(requests);
  // What answers at once needs nobody before it.
  const lending = store.answer === undefined ? leaseLayer(gathered, giveBack, clock) : null;
  const quick = lending === null ? gathered : denyCacheLayer(lending, denyCacheMs, clock);
  const shared: Shared = {
    policy,
    known: new KnownCalls(policy),
    prefix,
    calendar,
    onDecision,
    onEvent,
    store: quick,
    checkPolicy: (policy) => store.checkPolicy?.(policy),
    deadlineMs: safe.deadlineMs,
    quotas: new Quotas(plain.quotas ?? null, clock, (event) => tellEvent(shared, event)),
    recovered: async (withinMs) => recovering?.recovered(withinMs, lending?.owes),
    clock,
    isStoreClock: store.clock !== undefined,
    waiting: new Map(),
    slots: new SlotRows(clock),
    waits: new Set(),
    sleepers: new Set(),
    undo: async (request) => checkedReply(request, await askOne(store, request)),
    setup,
    hooks,
    closing: null,
    last: null,
  };
  const limiter = new StoreLimiter(shared, {});
  return (hooks === null ? limiter : measured(limiter, hooks)) as Limiter as Limiter<PolicyFor<Source>>;
}

/**
 * Begins a call that runs elsewhere: the first half of `run`.
 *
 * @param limiter one that `createLimiter` made
 * @throws as `run`
 */
export function beginCall(
  limiter: Limiter,
  call: Call,
  options: Abandonable<ReserveOptions>,
): ReturnType<StoreLimiter["begin"]> {
  return (limiter as StoreLimiter).begin(call, options);
}

/** What a limiter judges by now; `null` for one that leaves that to others, as a client does. */
export function policyOf(limiter: Limiter): CompiledPolicy | null {
  return (limiter as { readonly policy?: CompiledPolicy | null }).policy ?? null;
}

/** Emits `policy.refused` for a policy that a limiter was to take, and that could not even be read. */
export function refusePolicy(limiter: Limiter, error: unknown): void {
  (limiter as StoreLimiter).policyRefused(error);
}

/** How a call ended that `beginCall` began. */
export interface Ending {
  readonly usage: Cost;
  /** Whether units that `usage` does not name take what the `onError` of each limit says. */
  readonly hasFailed: boolean;
  /** What came of it, for limits of streaks; `null`: nothing is reported. */
  readonly outcome: Outcome | null;
}

/**
 * Ends a call that `beginCall` began, perhaps in another process: as `run` does, with what it used.
 *
 * @param limiter one that `createLimiter` made
 * @throws as `getHold`
 */
export function endCall(
  limiter: Limiter,
  id: string,
  call: Call,
  ending: Ending,
  options?: QuotaOptions,
): Promise<Settlement> {
  return (limiter as StoreLimiter).end(id, call, ending, options);
}

/**
 * Some of what `usage` answers, in its order.
 *
 * @param limiter one that `createLimiter` made
 * @returns `isLast`: there is no more behind it
 * @throws as `usage`
 */
export function usagePage(
  limiter: Limiter,
  dimensions: BucketDimensions,
  skip: number,
  take: number,
): Promise<{ readonly usages: readonly BucketUsage[]; readonly isLast: boolean }> {
  return (limiter as StoreLimiter).usagePage(dimensions, skip, take);
}

/**
 * Consumes a call for a remote caller that may disconnect while the call waits: then it is not sent again.
 *
 * @param limiter one that `createLimiter` made
 * @throws as `consume`
 */
export function consumeFor(limiter: Limiter, call: Call, options: AbandonableOptions): Promise<Decision> {
  return (limiter as StoreLimiter).consumeFor(call, options);
}

/** Reserves for a remote caller, as `consumeFor` consumes. */
export function reserveFor(
  limiter: Limiter,
  call: Call,
  options: Abandonable<ReserveOptions>,
): Promise<Reserved | Denied> {
  return (limiter as StoreLimiter).reserveFor(call, options);
}

type BegunCall =
  | { readonly decision: Allowed; readonly begun: Begun }
  | { readonly decision: Denied; readonly begun: null };

class StoreLimiter implements Limiter {
  readonly #shared: Shared;
  readonly #bound: Dimensions;

  constructor(shared: Shared, bound: Dimensions) {
    this.#shared = shared;
    this.#bound = bound;
  }

  get policy(): CompiledPolicy {
    return this.#shared.policy;
  }

  // No async function: where the store answers at once, that would take longer than the decision.
  consume(call: Call, options?: WaitOptions): Promise<Decision> {
    try {
      if (options !== undefined) {
        this.#checkWait(options);
        if ((options.maxWaitMs ?? 0) > 0 || options.quotas !== undefined) return this.#consumeAnew(call, options);
      }
      const known = this.#shared.known.find(this.#bound, call);
      return known === undefined || !this.#isFresh(known)
        ? this.#consumeAnew(call, options ?? {})
        : this.#consumeKnown(call, known, options?.signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** `consume`, for a caller elsewhere. */
  async consumeFor(call: Call, { abandoned, ...options }: AbandonableOptions): Promise<Decision> {
    this.#checkWait(options);
    return this.#consumeAnew(call, { ...options, abandoned });
  }

  async record(call: Call, options: QuotaOptions = {}): Promise<Decision> {
    this.#checkQuotas(options);
    return this.#decide(this.#asked("record", call, options.quotas), options);
  }

  async peek(call: Call, options: QuotaOptions = {}): Promise<Decision> {
    this.#checkQuotas(options);
    return this.#decide(this.#asked("peek", call, options.quotas), options);
  }

  async reserve(call: Call, options: ReserveOptions = {}): Promise<Reserved | Denied> {
    this.#checkReserve(options);
    return this.#reserve(call, options);
  }

  /** `reserve`, for a caller elsewhere. */
  async reserveFor(call: Call, { abandoned, ...options }: Abandonable<ReserveOptions>): Promise<Reserved | Denied> {
    this.#checkReserve(options);
    return this.#reserve(call, { ...options, abandoned });
  }

  async #reserve(call: Call, options: Abandonable<ReserveOptions>): Promise<Reserved | Denied> {
    const { decision, of } = await this.#hold("reserve", call, options);
    return decision.allowed ? { ...decision, hold: holdOf(this.#shared, of) } : decision;
  }

  getHold(id: string, call: Call, options: QuotaOptions = {}): Hold {
    this.#checkQuotas(options);
    return holdOf(this.#shared, this.#known(id, call, options.quotas).of);
  }

  /** The second half of `run`, for a function that ran elsewhere. */
  async end(
    id: string,
    call: Call,
    { usage: used, hasFailed, outcome }: Ending,
    options: QuotaOptions = {},
  ): Promise<Settlement> {
    this.#checkQuotas(options);
    const { of, matches } = this.#known(id, call, options.quotas);
    const usage = new UsageSum(of.policy.units, pricesOf(of), (unusable) =>
      tellEvent(this.#shared, { type: "usage.unusable", call: of.call, holdId: id, ...unusable }),
    );
    usage.add(used);
    const report = outcome === null ? null : reportFor(this.#shared, of.call, matches, outcome);
    return settle(this.#shared, of, usage.end(), hasFailed ? "onError" : "held", {}, report);
  }

  /** A hold that was made before. */
  #known(
    id: string,
    call: Call,
    quotas: ClaimedQuotas = {},
  ): { readonly of: HoldOf; readonly matches: readonly Match[] } {
    if (typeof id !== "string" || !/^[\w-]{1,64}$/.test(id)) {
      throw invalidOption("id", "a hold's id: 1 to 64 letters, digits, _ or -", id);
    }
    const { whole, matches } = this.#matches(call);
    const { policy } = this.#shared;
    const parts = heldParts(matches, partsOfHold(id, matches));
    return { of: { id, name: holdNameOf(policy, id, whole), policy, call: whole, parts, quotas }, matches };
  }

  async run<Value>(call: Call, run: RunFunction<Value>, options: RunOptions = {}): Promise<Ran<Value> | Denied> {
    if (typeof run !== "function") throw invalidOption("run", "a function", run);
    const { decision, begun } = await this.#begin(call, checkRunOptions(options));
    if (begun === null) return { ...decision, allowed: false };
    return { ...decision, allowed: true, value: await runBegun(begun, run, options) };
  }

  /** The first half of `run`, for who runs the function elsewhere. */
  begin(call: Call, options: Abandonable<ReserveOptions>): Promise<BegunCall> {
    return this.#begin(call, options);
  }

  async #begin(call: Call, { abandoned, ...options }: Abandonable<ReserveOptions>): Promise<BegunCall> {
    this.#checkReserve(options);
    const { decision, of, matches } = await this.#hold("run", call, { ...options, abandoned });
    if (!decision.allowed) return { decision, begun: null };
    const { leaseMs } = options;
    return { decision, begun: begunHere(this.#shared, of, matches, { leaseMs, replayed: decision.replayed }) };
  }

  async usage(dimensions: BucketDimensions = {}, options: QuotaOptions = {}): Promise<readonly BucketUsage[]> {
    this.#checkQuotas(options);
    return (await this.usagePage(dimensions, 0, MAX_USAGES, options)).usages;
  }

  /** Some of `usage`. */
  async usagePage(dimensions: BucketDimensions, skip: number, take: number, options: QuotaOptions = {}) {
    const all = this.#buckets(mergeDimensions(this.#bound, dimensions, "dimensions"));
    const buckets = all.slice(skip, skip + take);
    const usages: BucketUsage[] = [];
    for (let first = 0; first < buckets.length; first += READ_AT_ONCE) {
      const some = await this.#shared.quotas.of(buckets.slice(first, first + READ_AT_ONCE), options.quotas);
      const replies = await this.#touch(some, { type: "read" }, options);
      usages.push(...replies.map((reply, i) => bucketUsageOf(some[i] as Bucket, reply)));
    }
    return { usages, isLast: skip + take >= all.length };
  }

  /** The buckets of each limit whose dimensions are all given. */
  #buckets(dimensions: BucketDimensions): Bucket[] {
    const { policy, prefix } = this.#shared;
    checkDimensions(dimensions, policy.bucketWords);
    const buckets: Bucket[] = [];
    for (const limit of policy.limits) {
      for (const each of named(policy, limit, dimensions)) {
        if (buckets.length >= MAX_USAGES) throw tooManyUsages();
        buckets.push(bucketOf(policy, prefix, limit, each));
      }
    }
    return buckets;
  }

  async reset(bucket: BucketDimensions & { readonly limit: string }, options: ChangeOptions = {}): Promise<Reset> {
    checkBucket("reset", bucket);
    const reason = checkChangeOptions(options);
    const found = await this.#bucket(bucket, options);
    const [reply] = (await this.#touch([found], { type: "reset" }, options)) as [StoreReply];
    // The reply says how it stood, and what a reset leaves is always the same.
    const reset = { before: bucketUsageOf(found, reply), after: emptyUsageOf(found) };
    tellEvent(this.#shared, { type: "bucket.reset", ...reset, reason });
    return reset;
  }

  async grant(
    bucket: BucketDimensions & { readonly limit: string },
    grant: Grant,
    options: ChangeOptions = {},
  ): Promise<BucketUsage> {
    checkBucket("grant", bucket);
    checkGrant(grant);
    const reason = checkChangeOptions(options);
    const found = await this.#bucket(bucket, options);
    checkGrantable(found);
    const { id, units, durationMs: leaseMs } = grant;
    const event = { type: "grant", id, units, leaseMs } as const;
    const [reply] = (await this.#touch([found], event, options)) as [StoreReply];
    checkGranted(reply, grant);
    const after = bucketUsageOf(found, reply);
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
    const reason = checkChangeOptions(options);
    const found = await this.#bucket(bucket, options);
    checkRevocable(found);
    const [reply] = (await this.#touch([found], { type: "revoke", id }, options)) as [StoreReply];
    const revoked = reply.steps[0]?.hold === "live";
    const after = bucketUsageOf(found, reply);
    if (revoked) tellEvent(this.#shared, { type: "bucket.revoked", id, after, reason });
    return { revoked, after };
  }

  async reportOutcome(call: Call, outcome: Outcome, options: CallOptions = {}): Promise<void> {
    checkCallOptions(options);
    const { whole, matches } = this.#matches(call);
    await reportOutcome(this.#shared, whole, matches, outcome, options);
  }

  reload(policy: Policy | PolicyInput): void {
    const before = this.#shared.policy;
    const next = this.#checked(policy);
    this.#shared.policy = next;
    this.#shared.known = new KnownCalls(next);
    tellPolicy(this.#shared.hooks, next);
    tellReload(this.#shared, before);
  }

  /** Also called by what watches a policy file. */
  policyRefused(error: unknown): void {
    tellEvent(this.#shared, { type: "policy.refused", error });
  }

  #checked(policy: Policy | PolicyInput): CompiledPolicy {
    try {
      const next = compiledPolicy(policy);
      this.#shared.checkPolicy(next);
      return next;
    } catch (error) {
      this.policyRefused(error);
      throw error;
    }
  }

  for(dimensions: Dimensions): StoreLimiter {
    const bound = mergeDimensions(this.#bound, dimensions, "dimensions");
    checkDimensions(bound, this.#shared.policy.dimensions);
    return new StoreLimiter(this.#shared, bound);
  }

  close(options: CloseOptions = {}): Promise<void> {
    return closeOnce(this.#shared, options, (withinMs) => closeLimiter(this.#shared, withinMs));
  }

  #consumed(call: Call, known: KnownCall, reply: Found | undefined): Decision {
    const decision = this.#decisionOf(known, checkedReply(known, reply));
    if (this.#shared.onDecision !== undefined) {
      tellDecision(this.#shared, { verb: "consume", call: mergeDimensions(this.#bound, call, "call") }, decision);
    }
    return decision;
  }

  /** A reply that is given again, as a denial is that was kept, is the same decision. */
  #decisionOf({ charges }: KnownCall, reply: StoreReply): Decision {
    const { last } = this.#shared;
    if (last?.reply === reply && last.charges === charges) return last.decision;
    const decision = decisionOf(charges, reply);
    if (!reply.allowed) this.#shared.last = { reply, charges, decision };
    return decision;
  }

  /** A call that was not resolved before, or is one of its own. */
  #consumeAnew(call: Call, options: AbandonableOptions): Promise<Decision> {
    const asked = this.#asked("consume", call, options.quotas);
    return asked instanceof Promise
      ? asked.then((later) => this.#consumeAsked(call, later, options))
      : this.#consumeAsked(call, asked, options);
  }

  #consumeAsked(call: Call, asked: Asked, options: AbandonableOptions): Promise<Decision> {
    const { call: whole, parts } = asked;
    const isLasting = whole.idempotencyKey === undefined && (options.maxWaitMs ?? 0) === 0;
    const request = isLasting ? lastingRequest(this.#shared, parts) : null;
    if (request === null) return this.#decide(asked, options);
    const known =
      options.quotas === undefined
        ? this.#shared.known.keep(this.#bound, call, request, parts, this.#shared.quotas.freshUntilMs(parts))
        : { ...request, charges: parts, freshUntilMs: Number.POSITIVE_INFINITY };
    return this.#consumeKnown(call, known, options.signal);
  }

  #consumeKnown(call: Call, known: KnownCall, signal: AbortSignal | undefined): Promise<Decision> {
    signal?.throwIfAborted();
    checkOpen(this.#shared);
    const reply = askOne(this.#shared.store, known);
    return reply instanceof Promise
      ? reply.then((later) => this.#consumed(call, known, later))
      : Promise.resolve(this.#consumed(call, known, reply));
  }

  /** Whether the quotas that a call was kept with still hold. */
  #isFresh({ freshUntilMs }: KnownCall): boolean {
    return freshUntilMs === Number.POSITIVE_INFINITY || this.#shared.clock.nowMs() < freshUntilMs;
  }

  async #decide(wish: Asked | Promise<Asked>, options: AbandonableOptions): Promise<Decision> {
    const asked = wish instanceof Promise ? await wish : wish;
    const decided = await decideInTime(this.#shared, asked, options);
    tellDecision(this.#shared, decided.asked, decided.decision);
    return decided.decision;
  }

  async #hold(verb: "reserve" | "run", call: Call, { leaseMs, ...options }: Abandonable<ReserveOptions>) {
    const found = this.#asked(verb, call, options.quotas);
    const wish = { ...(found instanceof Promise ? await found : found), leaseMs };
    const { asked, decision, parts, hold, holdName } = await decideInTime(this.#shared, wish, options);
    tellDecision(this.#shared, asked, decision);
    const { policy, matches, call: whole } = asked;
    const id = hold ?? newHoldId(verb === "run", isPerArgs(policy, whole));
    const name = holdName ?? holdNameOf(policy, id, whole);
    return { decision, matches, of: { id, name, policy, call: whole, parts: heldParts(matches, parts) } };
  }

  #asked(verb: Asked["verb"], call: Call, quotas: ClaimedQuotas | undefined): Asked | Promise<Asked> {
    return askedFor(this.#shared, verb, mergeDimensions(this.#bound, call, "call"), quotas);
  }

  #checkWait(options: WaitOptions): void {
    checkWaitOptions(options);
    this.#checkClaims(options);
  }

  #checkReserve(options: ReserveOptions): void {
    checkReserveOptions(options);
    this.#checkClaims(options);
  }

  #checkQuotas(options: QuotaOptions): void {
    checkCallOptions(options, ["signal", "quotas"]);
    this.#checkClaims(options);
  }

  #checkClaims({ quotas }: QuotaOptions): void {
    if (quotas !== undefined) checkClaims(this.#shared.policy, quotas);
  }

  #matches(call: Call) {
    const whole = mergeDimensions(this.#bound, call, "call");
    return { whole, matches: resolveMatches(this.#shared.policy, this.#shared.prefix, whole) };
  }

  /** The bucket of a limit that is named with all of its dimensions. */
  async #bucket(bucket: BucketDimensions & { readonly limit: string }, options: QuotaOptions): Promise<Bucket> {
    this.#checkClaims(options);
    const { policy, prefix, quotas } = this.#shared;
    const { limit: name, ...whole } = mergeDimensions(this.#bound, bucket, "bucket");
    checkDimensions(whole, policy.bucketWords);
    const limit = limitNamed(policy.limits, name);
    const missing = missingIn(limit, whole);
    if (missing !== undefined) {
      throw missingDimension(limit, missing, `Write ${missing}: "…" beside limit, or bind it with limiter.for.`);
    }
    checkChosen(limit, whole, this.#bound);
    const grouped = withGroup(policy, whole);
    checkReached(policy, limit, grouped);
    const [found] = await quotas.of([bucketOf(policy, prefix, limit, grouped)], options.quotas);
    return found as Bucket;
  }

  /** Asks one thing of each of some buckets, one request each. */
  async #touch(buckets: readonly Bucket[], event: StepEvent, { signal }: CallOptions): Promise<readonly StoreReply[]> {
    const mode = event.type === "read" ? "peek" : "judge";
    const { calendar } = this.#shared;
    const say = () =>
      buckets.map((bucket): StoreRequest => ({ mode, steps: [stepOf(bucket, calendar.specOf(bucket), event)] }));
    return askAll(this.#shared, say, { signal });
  }
}

/** The version is worked out only where there is a listener. */
function tellReload(shared: Shared, before: CompiledPolicy): void {
  if (shared.onEvent === undefined) return;
  const { policy } = shared;
  const { version } = policy;
  tellEvent(shared, {
    type: "policy.reloaded",
    version,
    restarted: restartedBy(before, policy),
    ...changedBy(before, policy),
  });
}

/** Limits whose buckets are the same, and whose states are of another kind. */
function restartedBy(before: CompiledPolicy, after: CompiledPolicy): string[] {
  return after.limits.filter((limit) => isRestarted(before, limit)).map(({ name }) => name);
}

/**
 * Whose buckets of a limit are meant: for each tool or group that the policy names, where none is given. None where the limit
 * is for other calls.
 */
function named(policy: CompiledPolicy, limit: Limit, dimensions: BucketDimensions): BucketDimensions[] {
  const tools = dimensions.tool === undefined ? policy.tools : [dimensions.tool];
  const ofTools = (limit.per.includes("tool") ? tools.map((tool) => ({ ...dimensions, tool })) : [dimensions]).map(
    (each) => withGroup(policy, each),
  );
  const isPerGroup = limit.per.includes("group") && dimensions.tool === undefined && dimensions.group === undefined;
  const whole = isPerGroup
    ? ofTools.flatMap((each) => ("group" in each ? [each] : [...policy.groups].map((group) => ({ ...each, group }))))
    : ofTools;
  const isSaid = (each: BucketDimensions) => !limit.per.includes("args") || each.args !== undefined;
  return whole.filter((each) => isSaid(each) && missingIn(limit, each) === undefined && mayMatch(policy, limit, each));
}

/** Most buckets that one reading asks for, and most that are read in all: a policy may name thousands of tools. */
const READ_AT_ONCE = 1_000;
const MAX_USAGES = 100_000;

function tooManyUsages(): MisuseError {
  const expected = `dimensions that name at most ${MAX_USAGES} buckets, such as one tool`;
  return new MisuseError("invalid-call", { path: "dimensions", expected, got: "more" });
}

/** Says what befell the store. Of how many instances there are, only where limits are too small to be shared by all. */
function tellFailover(shared: Shared, event: FailoverEvent): void {
  if (event.type !== "instances") {
    tellEvent(shared, event);
    return;
  }
  const { instances } = event;
  const isSmall = (limit: Limit) =>
    limit.onStoreError === "share" &&
    allotmentsOf(limit).some(({ quota }) => quota !== null && quota > 0 && quota < instances);
  const limits = shared.policy.limits.filter(isSmall).map(({ name }) => name);
  if (limits.length > 0) tellEvent(shared, { type: "failover.no_share", instances, limits });
}

const OPTIONS = [
  "policy",
  "store",
  "prefix",
  "failover",
  "denyCacheMs",
  "onDecision",
  "onEvent",
  "quotas",
  "telemetry",
] as const satisfies readonly (keyof LimiterOptions)[];

function checkOptions(options: Omit<LimiterOptions, "policy">): void {
  checkOptionKeys(options, OPTIONS);
  checkTelemetry(options.telemetry);
  const { store, prefix = "rate", onDecision, onEvent } = options;
  if (typeof store?.apply !== "function" || typeof store.close !== "function") {
    throw invalidOption("store", "a store, such as memoryStore()", store);
  }
  checkFailover(options.failover ?? {});
  checkWhole("denyCacheMs", options.denyCacheMs ?? 0, 0, MAX_DENIED_MS);
  const { size, underWay } = store.batching ?? { size: 1, underWay: 1 };
  checkWhole("store.batching.size", size, 1, 1_024);
  checkWhole("store.batching.underWay", underWay, 1, 16);
  if (typeof prefix !== "string" || !/^[A-Za-z0-9_.:-]{1,64}$/.test(prefix)) {
    throw invalidOption("prefix", "1 to 64 letters, digits, _ . : or -", prefix);
  }
  for (const [name, listener] of Object.entries({ onDecision, onEvent })) {
    if (listener !== undefined && typeof listener !== "function") throw invalidOption(name, "a function", listener);
  }
}
