// Time as a port: what needs it is given a clock, so that tests can say what time it is.

import { invalidOption } from "./kernel/errors.ts";

/** Where the time comes from. */
export interface Clock {
  /** Milliseconds since 1970, an integer where a store decides by it. */
  nowMs(): number;
}

/**
 * Refuses what is no clock.
 *
 * @throws MisuseError `invalid-option`
 */
export function checkClock(clock: Clock): void {
  if (typeof clock?.nowMs !== "function") throw invalidOption("clock", "a clock: { nowMs() }", clock);
}

/** The machine's clock. */
export const systemClock: Clock = { nowMs: () => Date.now() };

/** Milliseconds since this process began, with fractions: for distances alone. Nobody sets it. */
export const monotonicClock: Clock = { nowMs: () => performance.now() };

/** The longest delay that a timer takes: with a longer one it would fire at once. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/**
 * A delay as a timer takes it. A difference of two times may be negative, also of the monotonic clock where a virtual
 * machine moves: that is over now.
 */
export function delayOf(ms: number): number {
  return ms > 0 ? Math.min(ms, MAX_DELAY_MS) : 0;
}

/** Waits for so many ms, also for longer than one timer can. What is negative, or not a number, is over at once. */
export async function sleep(ms: number): Promise<void> {
  let leftMs = ms;
  do {
    const delayMs = delayOf(leftMs);
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    leftMs -= delayMs;
  } while (leftMs > 0);
}

/**
 * What a promise comes to, or an error when that takes longer than `ms`. What it waits for goes on.
 *
 * @param isAwaited whether somebody waits for it, so that the process must not end before
 */
export function within<Value>(ms: number, promise: Promise<Value>, isAwaited = true): Promise<Value> {
  return new Promise((resolve, reject) => {
    const late = () => reject(new Error(`no answer within ${ms} ms`));
    // Where this process itself stood still, the answer may be here, and unread.
    const timer = setTimeout(() => setImmediate(late), delayOf(ms));
    if (!isAwaited) timer.unref();
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
