// Units in any window of a length, counted in ten sub-windows and the current one.

import { toMs } from "../policy/amounts.ts";
import type { Algorithm } from "./algorithm.ts";
import { defineAlgorithm } from "./define.ts";
import {
  type SlidingWindowLimit,
  type SlidingWindowState,
  slidingWindowRules,
  subWindowOf,
  SLIDING_WINDOW_FORM,
} from "./rules/sliding-window.ts";

export type { SlidingWindowLimit, SlidingWindowState };

/**
 * Bound: at most `quota` units in any `windowMs`. A unit comes back at most a tenth of the window late, because a
 * sub-window counts whole until its last instant has left the window.
 */
export const slidingWindow: Algorithm<SlidingWindowLimit, SlidingWindowState> = defineAlgorithm(slidingWindowRules, {
  policy: {
    specOf: ({ window }, quota) => ({ algorithm: "sliding-window", quota, windowMs: toMs(window) }),
    windowMs: ({ window }) => toMs(window),
  },
  outage: {
    lifeMs: (limit) => 2 * limit.windowMs,
    bookedAtMs: (limit, seenAtMs, endsAtMs) => Math.min(seenAtMs, endsAtMs - limit.windowMs),
    sliceOf: (limit, atMs) => `sliding-window ${limit.windowMs} ${subWindowOf(limit, atMs)}`,
    stateOf(seen, { used, seenAtMs, endsAtMs }, limit) {
      const atMs = endsAtMs - seen.windowMs;
      if (seen.windowMs === limit.windowMs)
        return { ...slidingWindow.book(seen, undefined, used, atMs), expiresAtMs: endsAtMs };
      // A third length may have counted it: what is not known of its end is decided in favour of the limit.
      const expiresAtMs = Math.max(endsAtMs, seenAtMs + 2 * limit.windowMs);
      return { ...slidingWindow.book(seen, undefined, used, Math.max(atMs, seenAtMs)), expiresAtMs };
    },
  },
  wire: {
    forms: { sliding_window: SLIDING_WINDOW_FORM },
    numbersOf: ({ quota, windowMs }) => [SLIDING_WINDOW_FORM, quota, windowMs],
  },
});
