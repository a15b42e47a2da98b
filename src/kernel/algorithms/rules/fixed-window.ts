// The rules of fixed windows: units for each of a sequence of windows that do not overlap.

import {
  type CounterState,
  counterFreeAfterMs,
  counterHasSeen,
  counterWithSeen,
  decodeCounter,
  encodeCounter,
  endedBy,
  firstSpent,
  SCRATCH_COUNTER,
  spentIn,
  withoutSpentInWindow,
  withSpent,
} from "./counter.ts";
import type { Rules } from "./rules.ts";

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
   * The start of a window, its end, which is the start of the next one, and the end of that (epoch ms). Stores know no time
   * zones and choose the window by their own time. Outside of both windows nothing can be decided (`isStale`).
   */
  readonly boundaries: readonly [number, number, number];
}

/** `quota` units in each of a sequence of windows. */
export type FixedWindowLimit = EvenWindowLimit | CalendarWindowLimit;

/** How the script gets these limits. */
export const EVEN_FORM = { code: 2, fields: ["quota", "window_ms", "is_first_use"] };
export const CALENDAR_FORM = { code: 6, fields: ["quota", "start_ms", "middle_ms", "end_ms"] };

export const fixedWindowRules: Rules<FixedWindowLimit, CounterState> = {
  kind: "counter",
  letter: "c",
  isFirm: true,
  comesBack: true,
  needsCost: true,
  queues: false,
  capacity: (limit) => limit.quota,
  used: spentIn,
  freeAfterMs: counterFreeAfterMs,
  isStale: (limit, nowMs) =>
    limit.align === "calendar" && (nowMs < limit.boundaries[0] || nowMs >= limit.boundaries[2]),
  book(limit, state, cost, nowMs, scratch) {
    // A bucket keeps its first end until that has passed.
    if (state !== undefined) return withSpent(state, cost, state.expiresAtMs, scratch);
    return firstSpent(cost, endOf(limit, nowMs), scratch);
  },
  scratch: SCRATCH_COUNTER,
  flow: undefined,
  takeBack: withoutSpentInWindow,
  windowEndsAtMs: (limit, endsAtMs, nowMs) => (endsAtMs === undefined ? endOf(limit, nowMs) : endsAtMs),
  isInWindow(limit, state, atMs, nowMs) {
    if (state === undefined) return true;
    const { expiresAtMs } = state;
    return isCut(limit, expiresAtMs, nowMs) ? nowMs - atMs < lengthMsOf(limit) : atMs >= startOf(limit, expiresAtMs);
  },
  report: undefined,
  hasSeen: counterHasSeen,
  withSeen: counterWithSeen,
  notAhead: (limit, state, nowMs) => endedBy(state, nowMs + lengthMsOf(limit)),
  encode: encodeCounter,
  decode: decodeCounter,
  limitOf: (code, quota, first, second, third) =>
    code === CALENDAR_FORM.code
      ? { algorithm: "fixed-window", quota, align: "calendar", boundaries: [first, second, third] }
      : { algorithm: "fixed-window", quota, windowMs: first, align: second === 1 ? "first-use" : "epoch" },
};

/** Whether an earlier policy had a longer window, which has been cut: where it began is not known. */
function isCut(limit: FixedWindowLimit, endsAtMs: number, nowMs: number): boolean {
  if (limit.align === "calendar") {
    const [start, middle, end] = limit.boundaries;
    return endsAtMs !== start && endsAtMs !== middle && endsAtMs !== end;
  }
  return limit.align === "epoch" ? endsAtMs % limit.windowMs !== 0 : startOf(limit, endsAtMs) >= nowMs;
}

/** When the window began that ends at an instant. */
export function startOf(limit: FixedWindowLimit, endsAtMs: number): number {
  if (limit.align !== "calendar") return endsAtMs - limit.windowMs;
  const [start, middle, end] = limit.boundaries;
  if (end < endsAtMs) return end;
  if (middle < endsAtMs) return middle;
  return start < endsAtMs ? start : 0;
}

/** The length of a window; of a calendar's two windows, that of the longer one. */
export function lengthMsOf(limit: FixedWindowLimit): number {
  if (limit.align !== "calendar") return limit.windowMs;
  const [start, middle, end] = limit.boundaries;
  return Math.max(middle - start, end - middle);
}

/** When the window ends that begins with a charge, or that the charge falls into. */
export function endOf(limit: FixedWindowLimit, nowMs: number): number {
  if (limit.align === "calendar") {
    const [start, middle, end] = limit.boundaries;
    // A hold may have ended in a window that is over by now, or may end after the known windows.
    if (nowMs < start) return start;
    if (nowMs < middle) return middle;
    return nowMs < end ? end : nowMs + end - middle;
  }
  const startMs = limit.align === "epoch" ? nowMs - (nowMs % limit.windowMs) : nowMs;
  return startMs + limit.windowMs;
}
