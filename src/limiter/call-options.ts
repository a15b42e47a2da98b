// The options of calls, for all methods of a limiter.

import { checkOptionKeys, checkWhole, invalidOption } from "../kernel/errors.ts";
import type { ClaimedQuotas } from "../kernel/policy/typed.ts";

/** Options with quotas for limits whose quota the policy leaves to callers. */
export interface QuotaOptions extends CallOptions {
  /**
   * Quotas by the name of a limit, for limits with `quota: { from: call }`: each a whole number, or `unlimited`. A quota above
   * the policy's `max` counts as `max`. They override the limiter's `quotas`.
   */
  readonly quotas?: ClaimedQuotas | undefined;
}

/** Options of one call. */
export interface CallOptions {
  /** Aborted before the store is asked, it rejects the call; it ends a wait. Otherwise the decision stands. */
  readonly signal?: AbortSignal | undefined;
}

/** Validates options of a call. Throws `invalid-option`. */
export function checkCallOptions(options: CallOptions, known: readonly string[] = ["signal"]): void {
  if (options instanceof AbortSignal) throw invalidOption("options", "{ signal }", "an AbortSignal");
  checkOptionKeys(options, known);
  const { signal } = options;
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw invalidOption("signal", "an AbortSignal", signal);
}

/** Options of a call that may wait. */
export interface WaitOptions extends QuotaOptions {
  /**
   * How long the call may wait until it is allowed, 0 to 3,600,000 ms, inclusive. Default 0. Calls of
   * `token-bucket` and `cooldown` limits are served in the order in which they reached the store, at the rate of the limit. Calls
   * that need a slot of a `concurrency` limit are served in their order in this process. Other calls retry at the instant of
   * `retryAfterMs`. At most 256 calls wait for one bucket; the next one is denied at once. Aborting the signal ends the
   * wait: a turn is free again only if no call waits behind it, and the others keep their turns.
   */
  readonly maxWaitMs?: number | undefined;
}

/** Options with a signal for a remote caller that disconnects. */
export type Abandonable<Options> = Options & {
  /** Ends the wait like `signal`. The caller will not send the call again, so even a call with a key gives its place back. */
  readonly abandoned?: AbortSignal | undefined;
};

export type AbandonableOptions = Abandonable<WaitOptions>;

const LONGEST_WAIT_MS = 3_600_000;

/** Validates options of a call that may wait. Throws `invalid-option`. */
export function checkWaitOptions(options: WaitOptions): void {
  checkCallOptions(options, ["signal", "quotas", "maxWaitMs"]);
  checkMaxWait(options.maxWaitMs);
}

/** Throws `invalid-option` unless each of these options is a function or absent. */
export function checkFunctions(options: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(options)) {
    if (value !== undefined && typeof value !== "function") throw invalidOption(name, "a function", value);
  }
}

export function checkMaxWait(maxWaitMs: number | undefined, path = "maxWaitMs"): void {
  if (maxWaitMs !== undefined) checkWhole(path, maxWaitMs, 0, LONGEST_WAIT_MS);
}

/** Validates options of a method that takes quotas. Throws `invalid-option`. */
export function checkQuotaOptions(options: QuotaOptions): void {
  checkCallOptions(options, ["signal", "quotas"]);
}
