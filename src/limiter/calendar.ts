// When calendar windows begin in a time zone: at the first instant of a local date, also when clocks change there.

import type { Temporal } from "temporal-polyfill";
import type { CalendarWindow } from "../kernel/policy/algorithm-policy.ts";

/** Three consecutive boundaries of windows, epoch ms. */
export type Boundaries = readonly [number, number, number];

type Dates = Pick<typeof Temporal, "Instant" | "PlainDate">;

/** The runtime's own, else that of the package, once it is loaded. */
let dates = (globalThis as { readonly Temporal?: Dates }).Temporal;

/** Loads what computes dates, where the runtime has no `Temporal`. */
export async function loadDates(): Promise<void> {
  dates ??= (await import("temporal-polyfill")).Temporal;
}

/**
 * The boundaries of the window that an instant is in, and of the nearer window beside it, so that a clock that is off by some
 * seconds finds its window among them.
 */
export function boundariesAt(window: CalendarWindow, nowMs: number): Boundaries {
  const today = (dates as Dates).Instant.fromEpochMilliseconds(nowMs).toZonedDateTimeISO(window.timezone).toPlainDate();
  const start = startBefore(window, today);
  const startMs = firstInstantMs(window, start);
  const endMs = firstInstantMs(window, shifted(window, start, 1));
  return nowMs - startMs < endMs - nowMs
    ? [firstInstantMs(window, shifted(window, start, -1)), startMs, endMs]
    : [startMs, endMs, firstInstantMs(window, shifted(window, start, 2))];
}

/** The first date of the window that contains a date. */
function startBefore({ every, anchorDay }: CalendarWindow, date: Temporal.PlainDate): Temporal.PlainDate {
  if (every === "day") return date;
  if (every === "week") return date.subtract({ days: (date.dayOfWeek - anchorDay + 7) % 7 });
  const inMonth = anchored(date, anchorDay);
  return (dates as Dates).PlainDate.compare(inMonth, date) <= 0
    ? inMonth
    : anchored(date.subtract({ months: 1 }), anchorDay);
}

/** The first date of the window that is `by` windows after the one that begins on a date. */
function shifted({ every, anchorDay }: CalendarWindow, start: Temporal.PlainDate, by: number): Temporal.PlainDate {
  if (every === "day") return start.add({ days: by });
  if (every === "week") return start.add({ days: 7 * by });
  return anchored(start.add({ months: by }), anchorDay);
}

/** The anchor day in the month of a date; the month's last day when the month is shorter. */
function anchored(date: Temporal.PlainDate, anchorDay: number): Temporal.PlainDate {
  return date.with({ day: Math.min(anchorDay, date.daysInMonth) });
}

function firstInstantMs({ timezone }: CalendarWindow, date: Temporal.PlainDate): number {
  return date.toZonedDateTime({ timeZone: timezone }).epochMilliseconds;
}
