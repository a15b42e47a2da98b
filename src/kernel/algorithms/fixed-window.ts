// Units for each of a sequence of windows that do not overlap.

import { isCalendarWord, toMs } from "../policy/amounts.ts";
import { MAX_FAST } from "./algorithm.ts";
import { type CounterState, counterFacts, counterOf, endedBy, withSpent } from "./counter.ts";
import { defineAlgorithm } from "./define.ts";

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

const EVEN_FORM = { code: 2, fields: ["quota", "window_ms", "is_first_use"] };
const CALENDAR_FORM = { code: 6, fields: ["quota", "start_ms", "middle_ms", "end_ms"] };

/**
 * Bound: `quota` units in a window, so at most `quota * (1 + ceil(t / windowMs))` in any `t` ms: twice the quota may
 * pass within a moment where two windows meet.
 */
export const fixedWindow = defineAlgorithm<FixedWindowLimit, CounterState>({
  ...counterFacts,
  isStale: (limit, nowMs) =>
    limit.align === "calendar" && (nowMs < limit.boundaries[0] || nowMs >= limit.boundaries[2]),
  windowEndsAtMs: (limit, endsAtMs, nowMs) => endsAtMs ?? endOf(limit, nowMs),
  book(limit, state, cost, nowMs) {
    // A bucket keeps its first end until that has passed.
    return state === undefined ? counterOf(cost, endOf(limit, nowMs)) : withSpent(state, cost, state.expiresAtMs);
  },
  isInWindow(limit, state, atMs, nowMs) {
    if (state === undefined) return true;
    const { expiresAtMs } = state;
    return isCut(limit, expiresAtMs, nowMs) ? nowMs - atMs < lengthMsOf(limit) : atMs >= startOf(limit, expiresAtMs);
  },
  notAhead: (limit, state, nowMs) => endedBy(state, nowMs + lengthMsOf(limit)),
  policy: {
    specOf: ({ window, align = "epoch" }, quota) =>
      isCalendarWord(window)
        ? { algorithm: "fixed-window", quota, align: "calendar", boundaries: [0, 0, 0] }
        : { algorithm: "fixed-window", quota, windowMs: toMs(window), align },
    calendar: ({ window, timezone = "UTC", anchorDay = 1 }) =>
      isCalendarWord(window) ? { every: window, timezone, anchorDay } : null,
    isImplied: ({ window }) => isCalendarWord(window),
    windowMs: ({ window }) => (isCalendarWord(window) ? null : toMs(window)),
    contradictions({ window, align, timezone, anchorDay }, demand) {
      const isCalendar = isCalendarWord(window);
      const most = window === "month" ? 31 : window === "week" ? 7 : 1;
      demand(!isCalendar || align === undefined, ["align"], `no align where the window is a ${window}`, align);
      demand(isCalendar || timezone === undefined, ["timezone"], `no timezone ${CALENDAR_ONLY}`, timezone);
      demand(isCalendar || anchorDay === undefined, ["anchorDay"], `no anchorDay ${CALENDAR_ONLY}`, anchorDay);
      demand((anchorDay ?? 1) <= most || !isCalendar, ["anchorDay"], `at most ${most} in a ${window}`, anchorDay);
    },
  },
  outage: {
    endsTogether: true,
    lifeMs: lengthMsOf,
    // Of a calendar, any instant in the window will do.
    bookedAtMs: (limit, _seenAtMs, endsAtMs) => endsAtMs - (limit.align === "calendar" ? 1 : limit.windowMs),
    sliceOf(limit, atMs) {
      if (limit.align === "calendar") {
        const begun = limit.boundaries.findLastIndex((boundary) => boundary <= atMs);
        return `fixed-window ${limit.boundaries[begun]} ${limit.boundaries[begun + 1]}`;
      }
      const window = limit.align === "epoch" ? Math.floor(atMs / limit.windowMs) : limit.align;
      return `fixed-window ${limit.windowMs} ${window}`;
    },
    // A bucket keeps the end that an earlier policy gave it.
    stateOf: (_seen, { used, endsAtMs }) => counterOf(used, endsAtMs),
  },
  wire: {
    forms: { fixed_window: EVEN_FORM, calendar_window: CALENDAR_FORM },
    numbersOf: (limit) =>
      limit.align === "calendar"
        ? [CALENDAR_FORM, limit.quota, ...limit.boundaries]
        : [EVEN_FORM, limit.quota, limit.windowMs, limit.align === "first-use" ? 1 : 0],
    isFast: (limit) => limit.align === "calendar" || limit.windowMs < MAX_FAST,
  },
  asSum(limit) {
    if (limit.align === "calendar") return null;
    return { lifeMs: limit.windowMs, endsAfter: limit.align === "first-use" ? "first" : "multiple" };
  },
  asCounter(limit, nowMs) {
    if (limit.align === "first-use") return null;
    const endMs = endOf(limit, nowMs);
    const windowStartMs = startOf(limit, endMs);
    // One window longer, so that what is taken back late is taken from its own window.
    return { quota: limit.quota, windowStartMs, ttlMs: 2 * (endMs - windowStartMs), leftMs: endMs - nowMs };
  },
});

const CALENDAR_ONLY = "but where the window is a day, week or month";

/** Whether an earlier policy had a longer window, which has been cut: where it began is not known. */
function isCut(limit: FixedWindowLimit, endsAtMs: number, nowMs: number): boolean {
  if (limit.align === "calendar") return !limit.boundaries.includes(endsAtMs);
  return limit.align === "epoch" ? endsAtMs % limit.windowMs !== 0 : startOf(limit, endsAtMs) >= nowMs;
}

/** When the window began that ends at an instant. */
function startOf(limit: FixedWindowLimit, endsAtMs: number): number {
  if (limit.align !== "calendar") return endsAtMs - limit.windowMs;
  return limit.boundaries.findLast((boundary) => boundary < endsAtMs) ?? 0;
}

/** The length of a window; of a calendar's two windows, that of the longer one. */
function lengthMsOf(limit: FixedWindowLimit): number {
  if (limit.align !== "calendar") return limit.windowMs;
  const [start, middle, end] = limit.boundaries;
  return Math.max(middle - start, end - middle);
}

/** When the window ends that begins with a charge, or that the charge falls into. */
export function endOf(limit: FixedWindowLimit, nowMs: number): number {
  if (limit.align === "calendar") {
    const [, middle, end] = limit.boundaries;
    // A hold may have ended in a window that is over by now, or may end after the known windows.
    return limit.boundaries.find((boundary) => nowMs < boundary) ?? nowMs + end - middle;
  }
  const startMs = limit.align === "epoch" ? nowMs - (nowMs % limit.windowMs) : nowMs;
  return startMs + limit.windowMs;
}
