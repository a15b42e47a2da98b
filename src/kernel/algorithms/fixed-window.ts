// Units for each of a row of windows that do not overlap.

import type { Algorithm } from "./algorithm.ts";
import { type CounterState, counter, endedBy, withSpent } from "./counter.ts";

/** `quota` units (0 to 2^53 - 1) in each window of `windowMs`. */
interface EvenWindowLimit {
  readonly algorithm: "fixed-window";
  readonly quota: number;
  readonly windowMs: number;
  /** Windows begin at multiples of `windowMs` since 1970 (`epoch`), or with the first charge (`first-use`). */
  readonly align: "epoch" | "first-use";
}

/** `quota` units in each window of a calendar. */
export interface CalendarWindowLimit {
  readonly algorithm: "fixed-window";
  readonly quota: number;
  readonly align: "calendar";
  /**
   * Where two windows that follow one another begin, and where they end, epoch ms: stores know no time zones, and pick
   * by their own time. Outside of them nothing can be decided (`isStale`).
   */
  readonly boundaries: readonly [number, number, number];
}

/** `quota` units in each window of a row. */
export type FixedWindowLimit = EvenWindowLimit | CalendarWindowLimit;

/** How windows of a calendar lie. */
export interface CalendarWindow {
  readonly every: "day" | "week" | "month";
  /** A time zone by its IANA name. */
  readonly timezone: string;
  /** On which day a window begins: 1 (Monday) to 7 of a week, 1 to 31 of a month, where the last stands for what is not. */
  readonly anchorDay: number;
}

/** Whether a time is in none of the windows that a limit was given. */
export function isStale({ boundaries: [start, , end] }: CalendarWindowLimit, nowMs: number): boolean {
  return nowMs < start || nowMs >= end;
}

/**
 * Bound: `quota` units in a window, so at most `quota * (1 + ceil(t / windowMs))` in any `t` ms: twice the quota may
 * pass within a moment where two windows meet. A bucket keeps the end it was made with until that has passed.
 */
export const fixedWindow: Algorithm<FixedWindowLimit, CounterState> = {
  ...counter,
  refills: () => true,
  isFirm: true,
  book(limit, state, cost, nowMs) {
    if (state !== undefined) return withSpent(state, cost, state.expiresAtMs);
    return { kind: "counter", spent: cost, expiresAtMs: endOf(limit, nowMs) };
  },
  windowEndsAtMs: (limit, state, nowMs) => state?.expiresAtMs ?? endOf(limit, nowMs),
  isInWindow: (limit, state, atMs) => state === undefined || atMs >= startOf(limit, state),
  notAhead: (limit, state, nowMs) => endedBy(state, nowMs + lengthMsOf(limit)),
};

/** How long a window is; of a calendar's, the longer of the two. */
function lengthMsOf(limit: FixedWindowLimit): number {
  if (limit.align !== "calendar") return limit.windowMs;
  const [start, middle, end] = limit.boundaries;
  return Math.max(middle - start, end - middle);
}

/** When the window began that a state counts. */
function startOf(limit: FixedWindowLimit, { expiresAtMs }: CounterState): number {
  if (limit.align !== "calendar") return expiresAtMs - limit.windowMs;
  return limit.boundaries.findLast((boundary) => boundary < expiresAtMs) ?? 0;
}

/** When the window ends that begins with a charge, or that it falls into. */
export function endOf(limit: FixedWindowLimit, nowMs: number): number {
  if (limit.align === "calendar") {
    const [start, middle, end] = limit.boundaries;
    // A hold may have ended in a window that is over by now, or may end after those that are known.
    return [start, middle, end].find((boundary) => nowMs < boundary) ?? nowMs + end - middle;
  }
  const startMs = limit.align === "epoch" ? nowMs - (nowMs % limit.windowMs) : nowMs;
  return startMs + limit.windowMs;
}
