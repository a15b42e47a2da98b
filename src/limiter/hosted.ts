// The limiter inside the process of a service or a client. Beyond the public interface it has what they need: a call whose
// function runs elsewhere, a caller that may disconnect, and pages of usages.

import type { BucketDimensions, Call, Cost } from "../kernel/call.ts";
import type { Allowed, BucketUsage, Decision, Denied } from "../kernel/decision.ts";
import type { CompiledPolicy } from "../kernel/limit.ts";
import type { Limiter } from "./api.ts";
import type { NamedBucket } from "./bucket-name.ts";
import type { PageRange, UsagePage } from "./buckets.ts";
import type { Abandonable, QuotaOptions, WaitOptions } from "./call-options.ts";
import type { Reserved, ReserveOptions } from "./hold.ts";
import type { Outcome } from "./report.ts";
import type { Resumed, ResumeOptions } from "./resume.ts";
import type { RunningCall } from "./running-call.ts";
import type { Settlement } from "./settle.ts";

/** The decision on a call that runs elsewhere, and the call when it was allowed. */
export type Begun =
  | { readonly decision: Allowed; readonly running: RunningCall }
  | { readonly decision: Denied; readonly running: null };

/** Options of a call that is decided for a remote caller. */
export type ForRemote<Options> = Abandonable<Options> & {
  /**
   * Whether the caller has admitted the call itself: then it is allowed in any case, also beyond the quota. Not for a call that
   * may wait.
   */
  readonly force?: boolean | undefined;
};

/** How a call ended that ran elsewhere. */
export interface Ending {
  readonly usage: Cost;
  /** Whether units that `usage` does not name are charged as the `onError` of each limit says. */
  readonly hasFailed: boolean;
  /** The outcome, for limits that count outcomes; `null`: nothing is reported. */
  readonly outcome: Outcome | null;
}

export interface HostedLimiter extends Limiter {
  readonly policy: CompiledPolicy;
  /** Consumes for a remote caller: when it disconnects, the wait ends. */
  consumeForRemote(call: Call, options: ForRemote<WaitOptions>): Promise<Decision>;
  /** Reserves for a remote caller, as `consumeForRemote`. */
  reserveForRemote(call: Call, options: ForRemote<ReserveOptions>): Promise<Reserved | Denied>;
  /** The first half of `run`. */
  begin(call: Call, options: ForRemote<ReserveOptions>): Promise<Begun>;
  /** The second half of `run`, perhaps in another process: ends a call that `begin` began. */
  end(id: string, call: Call, ending: Ending, options?: QuotaOptions): Promise<Settlement>;
  /**
   * Takes over a call that `begin` began, perhaps in another process: its hold is extended, and nothing is charged. Of several
   * callers with the same mark one takes it over.
   *
   * @throws MisuseError `invalid-option`, `limiter-closed`
   * @throws StoreError when the store failed; whether the call was taken over is unknown then
   */
  resume(id: string, call: Call, options: ResumeOptions): Promise<Resumed>;
  /** A page of what `usage` returns. */
  usagePage(dimensions: BucketDimensions, page: PageRange, options?: QuotaOptions): Promise<UsagePage>;
  /**
   * How single buckets stand, at most 1,000, whatever the limiter is bound to. `null`: the policy has no such bucket, or its quota
   * depends on more than its names.
   */
  bucketUsages(buckets: readonly NamedBucket[]): Promise<readonly (BucketUsage | null)[]>;
  /** Emits `policy.refused`, for a policy that `reload` refused, or that could not even be read. */
  policyRefused(error: unknown): void;
  /** The same limiter, whose entries in the log say what asked. */
  via(name: string): HostedLimiter;
}

/** The policy in force of a limiter; `null` for a remote limiter, whose service has the policy. */
export function policyOf(limiter: Limiter): CompiledPolicy | null {
  return (limiter as Partial<HostedLimiter>).policy ?? null;
}

/** The same limiter, whose entries in the log say what asked. A remote limiter stays as it is: its service has the log. */
export function askedBy<Any extends Limiter>(limiter: Any, name: string): Any {
  return ((limiter as Partial<HostedLimiter> | null)?.via?.(name) as Any | undefined) ?? limiter;
}

/** Emits `policy.refused` for a policy that could not even be read. */
export function refusePolicy(limiter: Limiter, error: unknown): void {
  (limiter as Partial<HostedLimiter>).policyRefused?.(error);
}
