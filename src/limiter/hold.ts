// A hold: units that are set aside for a call until its usage is known.

import type { Cost } from "../kernel/call.ts";
import type { Allowed } from "../kernel/decision.ts";
import { checkWhole, formatGot, MisuseError } from "../kernel/errors.ts";
import { MAX_LEASE_MS } from "../kernel/policy/schema-values.ts";
import type { StoreRequest } from "../kernel/request.ts";
import { ask, checkOpen } from "./ask.ts";
import { type CallOptions, checkCallOptions, checkMaxWait, type WaitOptions } from "./call-options.ts";
import type { LimiterContext } from "./context.ts";
import { endableBuckets, type HeldCall } from "./held-call.ts";
import { type Settlement, settle } from "./settle.ts";

/** Options of making or extending a hold. */
export interface HoldOptions extends CallOptions {
  /** How long the hold lives from this call on, 1 to 86,400,000 ms. Default: each limit's `lease`. */
  readonly leaseMs?: number | undefined;
}

/** Options of making a hold for a call. The lease begins when the call is allowed. */
export interface ReserveOptions extends HoldOptions, WaitOptions {}

/** Options of `run`. */
export interface RunOptions extends ReserveOptions {
  /**
   * Called before each extension of the hold. While it returns `false` the hold is not extended; after a whole lease the
   * estimate is charged, the hold ends, and `onEvent` gets `hold.limit_reached`. Default: always extended.
   */
  readonly isActive?: (() => boolean) | undefined;
}

/** Units that are set aside for a call. A hold that is neither settled nor released expires, as each limit's `onExpiry` says. */
export interface Hold<Unit extends string = string, Limit extends string = string> {
  /** The id of the hold, also for another process (`limiter.getHold`). */
  readonly id: string;

  /**
   * Books the usage of the call, also beyond what was held, and frees the rest. A unit that is not named is charged what was
   * held. Settling again with equal numbers books nothing more.
   *
   * @throws MisuseError `invalid-cost`, `unknown-unit`, `already-settled` (with other numbers), `limiter-closed`
   * @throws StoreError when the store failed; settling again is safe
   */
  settle(usage?: Cost<Unit>, options?: CallOptions): Promise<Settlement<Limit>>;

  /**
   * Frees all held units.
   *
   * @throws MisuseError `already-settled`, `unknown-hold`, `limiter-closed`
   * @throws StoreError when the store failed; releasing again is safe
   */
  release(options?: CallOptions): Promise<Settlement<Limit>>;

  /**
   * Extends the lease. Resolves to `false` when the hold has expired.
   *
   * @throws MisuseError `invalid-option`, `unknown-hold`, `limiter-closed`
   * @throws StoreError when the store failed
   */
  extend(options?: HoldOptions): Promise<boolean>;
}

/** The decision on a call that was allowed, and its hold. */
export type Reserved<Unit extends string = string, Limit extends string = string> = Allowed<Limit> & {
  readonly hold: Hold<Unit, Limit>;
};

export function holdOf(context: LimiterContext, held: HeldCall): Hold {
  return {
    id: held.id,
    settle: (usage = {}, options) => settle(context, held, { usage, unnamed: "held" }, options),
    async release(options) {
      const settlement = await settle(context, held, { usage: {}, unnamed: "nothing" }, options);
      if (settlement.status === "unknown-hold") throw unknownHold(held.id);
      return settlement;
    },
    extend: (options) => extend(context, held, options),
  };
}

async function extend(context: LimiterContext, held: HeldCall, options: HoldOptions = {}): Promise<boolean> {
  checkHoldOptions(options);
  const all = await endableBuckets(context, held);
  const buckets = all.filter((bucket) => bucket.held > 0 && bucket.allotment.quota !== null);
  if (buckets.length === 0) {
    checkOpen(context);
    return true;
  }
  const makeRequest = (): StoreRequest => {
    const steps = buckets.map((bucket) => {
      const leaseMs = options.leaseMs ?? bucket.limit.leaseMs;
      return context.calendar.stepOf(bucket, { type: "extend", id: held.name, leaseMs });
    });
    return { mode: "force", steps };
  };
  const { steps } = await ask(context, makeRequest, options);
  if (steps.every(({ found }) => found === "unknown")) throw unknownHold(held.id);
  // A bucket that does not know the hold was reset, or has a limit that came with a reload.
  return steps.every(({ found }) => found !== "late");
}

function unknownHold(id: string): MisuseError {
  return new MisuseError("unknown-hold", {
    path: "holdId",
    expected: "a hold that was made for this call (with the same tool and dimensions), and did not end ten minutes ago",
    got: formatGot(id),
  });
}

/**
 * Validates options of a hold. Throws `invalid-option`.
 *
 * @param more names of options that the caller checks
 */
export function checkHoldOptions(options: HoldOptions, more: readonly string[] = []): void {
  checkCallOptions(options, ["signal", "leaseMs", ...more]);
  checkLease(options.leaseMs);
}

/**
 * Validates options of a hold for a call. Throws `invalid-option`.
 *
 * @param more names of options that the caller checks
 */
export function checkReserveOptions(options: ReserveOptions, more: readonly string[] = []): void {
  checkCallOptions(options, ["signal", "quotas", "leaseMs", "maxWaitMs", ...more]);
  checkLease(options.leaseMs);
  checkMaxWait(options.maxWaitMs);
}

function checkLease(leaseMs: number | undefined): void {
  if (leaseMs !== undefined) checkWhole("leaseMs", leaseMs, 1, MAX_LEASE_MS);
}
