// The options that all methods of a limiter have.

import { checkOptionKeys, invalidOption } from "../kernel/errors.ts";
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
  /** Rejects the call when it was aborted before. Once the store was asked, the decision stands. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Validates options of a call.
 *
 * @throws MisuseError `invalid-option`
 */
export function checkCallOptions(options: CallOptions, known: readonly string[] = ["signal"]): void {
  if (options instanceof AbortSignal) throw invalidOption("options", "{ signal }", "an AbortSignal");
  checkOptionKeys(options, known);
  const { signal } = options;
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw invalidOption("signal", "an AbortSignal", signal);
}
