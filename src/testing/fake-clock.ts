// A clock that moves only by `advance`.

import type { Clock, Timer } from "../clock.ts";

/** A clock for tests. */
export interface FakeClock extends Clock {
  /**
   * Moves the time by so many ms; backwards when negative. Timers that are due meanwhile are called in the order of their
   * instants, each at its own: calls that wait (`maxWaitMs`) go on, and holds of `run` are extended.
   */
  advance(ms: number): void;
  setTimer(ms: number, run: () => void): Timer;
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
 *   policy: { version: 1, limits: [{ name: "rate", per: ["user"], algorithm: "token-bucket", quota: 1, window: "1s" }] },
 *   store: memoryStore({ clock }),
 * });
 * await limiter.consume({ tool: "search", user: "u1" });
 * const denied = await limiter.consume({ tool: "search", user: "u1" });
 * const waiting = limiter.consume({ tool: "search", user: "u1" }, { maxWaitMs: 1_000 });
 * clock.advance(denied.retryAfterMs ?? 0);
 * console.log((await waiting).allowed); // true
 * ```
 */
export function fakeClock(nowMs: number = Date.UTC(2030, 0, 1)): FakeClock {
  return steppedClock(nowMs);
}

/** A fake clock that says when its next timer is due, for work that a timer begins and that takes more than one turn. */
export interface SteppedClock extends FakeClock {
  /** Epoch ms; `null` where no timer is set. */
  nextAtMs(): number | null;
}

export function steppedClock(nowMs: number): SteppedClock {
  let pending: { readonly atMs: number; readonly run: () => void }[] = [];
  return {
    nowMs: () => nowMs,
    nextAtMs: () => pending[0]?.atMs ?? null,
    setTimer(ms, run) {
      const timer = { atMs: nowMs + Math.max(0, ms), run };
      // After those that are due at the same instant.
      const later = pending.findIndex(({ atMs }) => atMs > timer.atMs);
      pending.splice(later === -1 ? pending.length : later, 0, timer);
      return {
        cancel() {
          pending = pending.filter((each) => each !== timer);
        },
      };
    },
    advance(ms) {
      const untilMs = nowMs + ms;
      for (let [next] = pending; next !== undefined && next.atMs <= untilMs; [next] = pending) {
        pending.shift();
        nowMs = Math.max(nowMs, next.atMs);
        next.run();
      }
      nowMs = untilMs;
    },
  };
}
