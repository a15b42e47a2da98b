// A clock that moves only when it is told to.

import type { Clock } from "../clock.ts";

/** A clock for tests. */
export interface FakeClock extends Clock {
  /** Moves the time by so many ms; backwards when negative. */
  advance(ms: number): void;
}

/**
 * Makes a clock that stands still until `advance`.
 *
 * @param nowMs where it begins, epoch ms. Default: 1 January 2030.
 *
 * @example
 * ```ts
 * import { createLimiter } from "tollgate";
 * import { memoryStore } from "tollgate/stores/memory";
 * import { fakeClock } from "tollgate/testing";
 *
 * const clock = fakeClock();
 * const limiter = createLimiter({
 *   policy: { version: 1, limits: [{ name: "rate", per: ["user"], algorithm: "gcra", quota: 1, window: "1s" }] },
 *   store: memoryStore({ clock }),
 * });
 * await limiter.consume({ tool: "search", user: "u1" });
 * const denied = await limiter.consume({ tool: "search", user: "u1" });
 * clock.advance(denied.retryAfterMs ?? 0);
 * console.log((await limiter.consume({ tool: "search", user: "u1" })).allowed); // true
 * ```
 */
export function fakeClock(nowMs: number = Date.UTC(2030, 0, 1)): FakeClock {
  return {
    nowMs: () => nowMs,
    advance(ms) {
      nowMs += ms;
    },
  };
}
