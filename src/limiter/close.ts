// How a limiter is closed: waiting calls are rejected, and calls that were admitted during an outage are booked, if there is time.

import { countdown } from "../clock.ts";
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

/** Closes once, however often it is called. `context` says that it closes before the first waiting call is rejected. */
export function closeOnce(
  context: { closing: Promise<void> | null },
  options: CloseOptions,
  close: (withinMs: number) => Promise<void>,
): Promise<void> {
  try {
    checkOptionKeys(options, ["withinMs"]);
    const { withinMs = 5_000 } = options;
    checkWhole("withinMs", withinMs, 0, 600_000);
    context.closing ??= Promise.resolve().then(() => close(withinMs));
    return context.closing;
  } catch (error) {
    return Promise.reject(error);
  }
}

/** Ends waiting calls, and closes the store and the log. New calls are rejected already. */
export async function closeLimiter(context: LimiterContext, withinMs: number): Promise<void> {
  const leftMs = countdown(withinMs);
  context.layers.unwatch?.();
  context.quotaLookup.close();
  for (const endSleep of [...context.endSleeps]) endSleep(limiterClosed());
  // A rejected call frees its place in the store.
  while (context.unfinishedWaits.size > 0) await Promise.allSettled(context.unfinishedWaits);
  try {
    // Borrowed units can only be returned to a store that answers.
    await context.layers.recovered?.(leftMs());
    await context.store.close(leftMs());
  } finally {
    await context.log?.close(leftMs());
  }
}
