// The options of a call that may wait.

import { checkWhole } from "../kernel/errors.ts";
import { checkCallOptions, type QuotaOptions } from "./call-options.ts";

/** Options of a call that may wait. */
export interface WaitOptions extends QuotaOptions {
  /**
   * How long the call may wait until it is allowed, 0 to 3,600,000 ms, inclusive. Default 0. Calls of a token bucket
   * (`token-bucket`) are served in the order in which they reached the store, at the rate of the limit. Calls that need a slot
   * of a `concurrency` limit are served in their order in this process. Other calls retry at the instant of `retryAfterMs`. At
   * most 256 calls wait for one bucket; the next one is denied at once. Aborting the signal ends the wait: the last place of
   * a queue is free again, any other place stays empty.
   */
  readonly maxWaitMs?: number | undefined;
}

/** Options with a signal for a remote caller that disconnects. */
export type Abandonable<Options> = Options & {
  /** Ends the wait like `signal`. The caller will not send the call again, so even a call with a key gives its place back. */
  readonly abandoned?: AbortSignal | undefined;
};

export type AbandonableOptions = Abandonable<WaitOptions>;

/** The longest `maxWaitMs`. */
const LONGEST_WAIT_MS = 3_600_000;

/**
 * Validates options of a call that may wait.
 *
 * @throws MisuseError `invalid-option`
 */
export function checkWaitOptions(options: WaitOptions): void {
  checkCallOptions(options, ["signal", "quotas", "maxWaitMs"]);
  checkMaxWait(options.maxWaitMs);
}

/** Validates a `maxWaitMs`. */
export function checkMaxWait(maxWaitMs: number | undefined, path = "maxWaitMs"): void {
  if (maxWaitMs !== undefined) checkWhole(path, maxWaitMs, 0, LONGEST_WAIT_MS);
}
