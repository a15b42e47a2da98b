// How a limiter is closed: waiting calls are rejected, and calls that were admitted during an outage are booked, if there is time.

import { monotonicClock } from "../clock.ts";
import { checkOptionKeys, checkWhole } from "../kernel/errors.ts";
import { limiterClosed } from "./closed.ts";
import type { LimiterContext } from "./context.ts";

/** Options of `close`. */
export interface CloseOptions {
  /**
   * How long it tries to book calls that were admitted while the store was unreachable, 0 to 600,000 ms. Default 5,000; 0
   * gives up at once. Calls that are not booked by then are lost, and `onEvent` reports how many (`failover.lost`), unless a
   * journal has them.
   */
  readonly withinMs?: number | undefined;
}

/** The default of `withinMs`. */
export const CLOSE_WITHIN_MS = 5_000;

/**
 * Validates the options. Returns how long closing may take.
 *
 * @throws MisuseError `invalid-option`
 */
function closeWithinMs(options: CloseOptions): number {
  checkOptionKeys(options, ["withinMs"]);
  const { withinMs = CLOSE_WITHIN_MS } = options;
  checkWhole("withinMs", withinMs, 0, 600_000);
  return withinMs;
}

/** Closes once, however often it is called. `context` says that it closes before the first waiting call is rejected. */
export function closeOnce(
  context: { closing: Promise<void> | null },
  options: CloseOptions,
  close: (withinMs: number) => Promise<void>,
): Promise<void> {
  try {
    const withinMs = closeWithinMs(options);
    context.closing ??= Promise.resolve().then(() => close(withinMs));
    return context.closing;
  } catch (error) {
    return Promise.reject(error);
  }
}

/** Ends waiting calls and closes the store. New calls are rejected already. */
export async function closeLimiter(context: LimiterContext, withinMs: number): Promise<void> {
  const endsAtMs = monotonicClock.nowMs() + withinMs;
  const leftMs = () => Math.max(0, endsAtMs - monotonicClock.nowMs());
  context.setup?.close();
  context.quotas.close();
  for (const fail of [...context.sleepers]) fail(limiterClosed());
  // A rejected call frees its place in the store.
  while (context.waits.size > 0) await Promise.allSettled(context.waits);
  // Borrowed units can only be returned to a store that answers.
  await context.recovered(leftMs());
  await context.store.close(leftMs());
}
