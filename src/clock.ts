// Time as a port: what needs it is given a clock, so that tests can say what time it is.

import { invalidOption } from "./kernel/errors.ts";

/** Where the time comes from. */
export interface Clock {
  /** Milliseconds since 1970, an integer. */
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
