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

/**
 * What a promise comes to, or an error when that takes longer than `ms`. What it waits for goes on.
 *
 * @param isAwaited whether somebody waits for it, so that the process must not end before
 */
export function within<Value>(ms: number, promise: Promise<Value>, isAwaited = true): Promise<Value> {
  return new Promise((resolve, reject) => {
    const late = () => reject(new Error(`no answer within ${ms} ms`));
    // Where this process itself stood still, the answer may be here, and unread.
    const timer = setTimeout(() => setImmediate(late), ms);
    if (!isAwaited) timer.unref();
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
