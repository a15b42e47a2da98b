// How one call is made: options that all verbs have.

import { checkOptionKeys, invalidOption } from "../kernel/errors.ts";
import type { ClaimedQuotas } from "../kernel/policy/typed.ts";

/** How a call is judged, or a bucket looked at, whose quota the policy leaves to callers. */
export interface QuotaOptions extends CallOptions {
  /**
   * Quotas by the name of a limit, for limits with `quota: { from: call }`: each a whole number, or `unlimited`. What is more
   * than the `max` of the policy counts as `max`. They come before what the limiter's `quotas` say.
   */
  readonly quotas?: ClaimedQuotas | undefined;
}

/** How one call is made. */
export interface CallOptions {
  /** Refuses the call when it was aborted before; once it waits for the store, its decision stands. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Refuses options of a call that are wrong.
 *
 * @throws MisuseError `invalid-option`
 */
export function checkCallOptions(options: CallOptions, known: readonly string[] = ["signal"]): void {
  if (options instanceof AbortSignal) throw invalidOption("options", "{ signal }", "an AbortSignal");
  checkOptionKeys(options, known);
  const { signal } = options;
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw invalidOption("signal", "an AbortSignal", signal);
}
