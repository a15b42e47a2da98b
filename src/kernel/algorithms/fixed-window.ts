// Units for each of a sequence of windows that do not overlap.

import { isCalendarWord, toMs } from "../policy/amounts.ts";
import { MAX_FAST } from "./algorithm.ts";
import { overwriteCounter } from "./counter.ts";
import { defineAlgorithm } from "./define.ts";
import { type CounterState, counterOf } from "./rules/counter.ts";
import {
  CALENDAR_FORM,
  type CalendarWindowLimit,
  EVEN_FORM,
  endOf,
  type FixedWindowLimit,
  fixedWindowRules,
  lengthMsOf,
  startOf,
} from "./rules/fixed-window.ts";

export type { CalendarWindowLimit, FixedWindowLimit };

/**
 * Bound: `quota` units in a window, so at most `quota * (1 + ceil(t / windowMs))` in any `t` ms: twice the quota may
 * pass within a moment where two windows meet.
 */
export const fixedWindow = defineAlgorithm<FixedWindowLimit, CounterState>(fixedWindowRules, {
  overwrite: overwriteCounter,
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
