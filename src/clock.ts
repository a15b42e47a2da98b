// Time as a port: what needs it is given a clock, so that tests can say what time it is.

/** Where the time comes from. */
export interface Clock {
  /** Milliseconds since 1970, an integer. */
  nowMs(): number;
}

/** The machine's clock. */
export const systemClock: Clock = { nowMs: () => Date.now() };
