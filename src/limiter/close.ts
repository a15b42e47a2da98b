// How a limiter ends: calls that wait are rejected, and what was admitted while the store was away is booked, if there is time.

import { monotonicClock } from "../clock.ts";
import { checkOptionKeys, checkWhole } from "../kernel/errors.ts";
import { limiterClosed } from "./closed.ts";
import type { Shared } from "./shared.ts";

/** How a limiter is closed. */
export interface CloseOptions {
  /**
   * How long it goes on trying to book what was admitted while the store was away, 0 to 600,000 ms. Default 5,000; 0 gives
   * up at once. What is not booked by then is lost, and `onEvent` reports how much (`failover.lost`), unless a journal has it.
   */
  readonly withinMs?: number | undefined;
}

/** Unless a caller says otherwise. */
export const CLOSE_WITHIN_MS = 5_000;

/**
 * How long closing may take.
 *
 * @throws MisuseError `invalid-option`
 */
function closeWithinMs(options: CloseOptions): number {
  checkOptionKeys(options, ["withinMs"]);
  const { withinMs = CLOSE_WITHIN_MS } = options;
  checkWhole("withinMs", withinMs, 0, 600_000);
  return withinMs;
}

/** Closes once, however often it is asked. Calls that closing ends are rejected only once `shared` says that it closes. */
export function closeOnce(
  shared: { closing: Promise<void> | null },
  options: CloseOptions,
  close: (withinMs: number) => Promise<void>,
): Promise<void> {
  try {
    const withinMs = closeWithinMs(options);
    shared.closing ??= Promise.resolve().then(() => close(withinMs));
    return shared.closing;
  } catch (error) {
    return Promise.reject(error);
  }
}

/** Ends what a limiter does, and closes its store. No call is asked for any more. */
export async function closeLimiter(shared: Shared, withinMs: number): Promise<void> {
  const endsAtMs = monotonicClock.nowMs() + withinMs;
  const leftMs = () => Math.max(0, endsAtMs - monotonicClock.nowMs());
  shared.setup?.close();
  shared.quotas.close();
  for (const fail of [...shared.sleepers]) fail(limiterClosed());
  // A call that is rejected gives its place back.
  while (shared.waits.size > 0) await Promise.allSettled(shared.waits);
  // Borrowed units can only be given back to a store that is there.
  await shared.recovered(leftMs());
  await shared.store.close(leftMs());
}
