// Units for each of a row of windows that do not overlap.

import type { Algorithm } from "./algorithm.ts";
import { type CounterState, counter, spentAfter } from "./counter.ts";

/** `quota` units (0 to 2^53 - 1) in each window of `windowMs`. */
export interface FixedWindowLimit {
  readonly algorithm: "fixed-window";
  readonly quota: number;
  readonly windowMs: number;
  /** Windows begin at multiples of `windowMs` since 1970 (`epoch`), or with the first charge (`first-use`). */
  readonly align: "epoch" | "first-use";
}

/**
 * Bound: `quota` units in a window, so at most `quota * (1 + ceil(t / windowMs))` in any `t` ms: twice the quota may
 * pass within a moment where two windows meet. A bucket keeps the end it was made with until that has passed.
 */
export const fixedWindow: Algorithm<FixedWindowLimit, CounterState> = {
  ...counter,
  refills: true,
  book(limit, state, cost, nowMs) {
    if (state !== undefined) return { ...state, spent: spentAfter(state, cost) };
    const startMs = limit.align === "epoch" ? nowMs - (nowMs % limit.windowMs) : nowMs;
    return { kind: "counter", spent: cost, expiresAtMs: startMs + limit.windowMs };
  },
};
