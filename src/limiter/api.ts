// The public interface of a limiter: the manual of its methods. createLimiter and createRemoteLimiter both make one.

import type { CallFor, BucketFor, DimensionsFor, LimitOf, OnlyDimensions } from "../kernel/policy/typed.ts";
import type { OwnOf, QuotasOf, Said, UnitOf } from "../kernel/policy/typed.ts";
import type { BucketUsage, Decision, Denied } from "../kernel/decision.ts";
import type { PolicyInput } from "../kernel/policy/input.ts";
import type { Policy } from "../kernel/policy/parse.ts";
import type { CallOptions, QuotaOptions, WaitOptions } from "./call-options.ts";
import type { CloseOptions } from "./close.ts";
import type { ChangeOptions, Grant, ReloadOptions, Reset, Revoked } from "./grant.ts";
import type { Hold, Reserved, ReserveOptions, RunOptions } from "./hold.ts";
import type { Outcome } from "./report.ts";
import type { Ran, RunFunction } from "./run.ts";

declare const POLICY: unique symbol;
declare const BOUND: unique symbol;

/** Options of a call under a policy: `quotas` may name only limits that take a quota from the call. */
type Under<P, Options extends QuotaOptions> = Omit<Options, "quotas"> & {
  /** @see QuotaOptions */
  readonly quotas?: QuotasOf<P> | undefined;
};

/**
 * Decides calls. A denial is a value. Methods throw a `MisuseError`, a `StoreError`, or the signal's reason. With the type of a
 * policy, as in `Limiter<typeof policy>`, the compiler checks the dimensions and units of calls, and the names of limits,
 * against that policy. A plain `Limiter` is for any policy, and checks them only at run time.
 *
 * `Own` infers the dimensions of the policy's own that a call has, so that a wrong name is an error at that name.
 *
 * @typeParam Bound dimensions that calls need not have, because they are bound: `limiter.for({ session })` is a
 *   `Limiter<typeof policy, "session">`
 */
export interface Limiter<P extends Policy = Policy, Bound extends string = never> {
  /** Absent at run time: keeps limiters of different policies apart. */
  readonly [POLICY]?: P | undefined;
  /** Absent at run time: a limiter with more bound dimensions fits where fewer are bound. */
  readonly [BOUND]?: ((dimension: Bound) => void) | undefined;

  /**
   * Judges a call by every limit that matches and charges all of them, or none when one denies. With `maxWaitMs` the call
   * waits until it is allowed, at most for that time.
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
   * Books a call that has already happened, also past the quota, and returns the decision that `consume` would have made.
   *
   * @throws as `consume`
   */
  record<Own extends OwnOf<P>>(
    call: CallFor<P, Bound, Own>,
    options?: Under<P, QuotaOptions>,
  ): Promise<Decision<LimitOf<P>>>;

  /**
   * Returns the decision that the call would get (under a limit of concurrency, from `reserve`), and charges nothing.
   *
   * @throws as `consume`, but for `needs-reserve`
   */
  peek<Own extends OwnOf<P>>(
    call: CallFor<P, Bound, Own>,
    options?: Under<P, QuotaOptions>,
  ): Promise<Decision<LimitOf<P>>>;

  /**
   * Judges a call by every limit that matches and holds its price in all of them, or nothing when one denies. The call needs a
   * price in each unit that its limits count (`calls` is 1 by itself), in `cost` or in the policy's tools. With `maxWaitMs` it waits as `consume` does, also
   * for a slot of a concurrency limit.
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
   * Returns a hold that was made before, perhaps by another process, from its id and the call that it was reserved for.
   *
   * @throws MisuseError as `reserve`
   */
  getHold<Own extends OwnOf<P>>(
    id: string,
    call: CallFor<P, Bound, Own>,
    options?: Under<P, QuotaOptions>,
  ): Hold<UnitOf<P>, LimitOf<P>>;

  /**
   * Runs a function if its call is allowed. `calls` are charged when it starts (in limits with `onError: refund` when it
   * ends). Other units are held while it runs: the hold is extended at a third of its lease, for at most the policy's
   * `maxHold`, and settled with the usage that the function adds by `addUsage`, else with its price. An error of the function
   * is thrown again after the hold was settled as the `onError` of each limit says. When the process dies, holds expire. With
   * `maxWaitMs` the call waits as `reserve` does, before the function starts.
   *
   * @throws as `reserve`, but for `missing-cost`; what the function throws
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
    work: RunFunction<Value, UnitOf<P>>,
    options?: Under<P, RunOptions>,
  ): Promise<Ran<Value, LimitOf<P>> | Denied<LimitOf<P>>>;

  /**
   * Reads the buckets of each limit whose `per` is given. `tool` and `group` may be left out: then it reads the buckets of each
   * tool and group that the policy names. A limit per `args` is included only for given arguments. Each usage lists its grants.
   *
   * @throws MisuseError `invalid-call` (more than 100,000 buckets), `invalid-dimension`, `limiter-closed`
   */
  usage<Own extends OwnOf<P>>(
    dimensions?: BucketFor<P, Own>,
    options?: Under<P, QuotaOptions>,
  ): Promise<readonly BucketUsage<LimitOf<P>>[]>;

  /**
   * Empties one bucket, named by its limit and all of that limit's dimensions, with its holds and grants. Returns its usage
   * before and after. Refused for dimensions that the limit does not apply to.
   *
   * @throws MisuseError `unknown-limit`, `missing-dimension`, `invalid-dimension`, `invalid-option`, `limiter-closed`
   */
  reset<Own extends OwnOf<P>>(
    bucket: BucketFor<P, Own> & { readonly limit: LimitOf<P> },
    options?: Under<P, ChangeOptions>,
  ): Promise<Reset<LimitOf<P>>>;

  /**
   * Adds units to the quota of one bucket, named as for `reset`, until the grant or the bucket's window ends. Sending the same
   * grant again while it is live changes nothing; any other use of its id is refused until ten minutes after its end. A token
   * bucket is filled by the units, at most to its capacity. A limit with quota 0 forbids calls, and is refused. Returns the
   * bucket's usage.
   *
   * @throws MisuseError as `reset`, and `grant-exists`
   */
  grant<Own extends OwnOf<P>>(
    bucket: BucketFor<P, Own> & { readonly limit: LimitOf<P> },
    grant: Grant,
    options?: Under<P, ChangeOptions>,
  ): Promise<BucketUsage<LimitOf<P>>>;

  /**
   * Ends a grant of one bucket, named as for `reset`, before its time; `usage` lists the grants. Units of it that were used
   * stay used, so that calls may be denied until they have come back. The id stays taken for ten minutes, so that a retry of
   * the grant does not bring it back. A grant to a token bucket filled it at once and cannot be revoked.
   *
   * @throws MisuseError as `reset`
   */
  revoke<Own extends OwnOf<P>>(
    bucket: BucketFor<P, Own> & { readonly limit: LimitOf<P> },
    id: string,
    options?: Under<P, ChangeOptions>,
  ): Promise<Revoked<LimitOf<P>>>;

  /**
   * Reports the outcome of a call to limits that count outcomes (`streak`). `run` reports by itself.
   *
   * @throws as `consume`
   */
  reportOutcome<Own extends OwnOf<P>>(
    call: CallFor<P, Bound, Own>,
    outcome: Outcome,
    options?: CallOptions,
  ): Promise<void>;

  /**
   * Replaces the policy. Buckets of a limit with the same name and `per` keep their counts. A limit whose new algorithm keeps
   * another kind of state counts from zero, and `onEvent` gets `policy.reloaded`. Calls in flight and holds end by the policy
   * that they began with; calls that wait and hold nothing ask by the new one.
   *
   * @throws MisuseError `invalid-policy`, `unsupported-limit` (the store cannot keep it): the old policy stays in force;
   * `invalid-option`
   */
  reload(policy: Policy | PolicyInput, options?: ReloadOptions): void;

  /** Returns the same limiter with dimensions bound; a call's own values override them. */
  for<const Given extends object>(
    dimensions: Given & DimensionsFor<P> & OnlyDimensions<P, Given>,
  ): Limiter<P, Bound | Said<Given>>;

  /**
   * Waits for requests in flight, books calls that were admitted while the store was unreachable, and closes the store. New
   * calls fail with `limiter-closed`, and so do calls that wait (`maxWaitMs`): their places in a queue are freed. Functions
   * that `run` has started continue, and their holds expire. Closing again returns the same promise.
   *
   * @throws MisuseError `invalid-option`
   */
  close(options?: CloseOptions): Promise<void>;
}
