// Amounts and durations of a policy as whole numbers. The schema has let only correct ones through.

import { MAX_DURATION_MS, parseDuration } from "../duration.ts";
import { parseQuantity } from "../quantity.ts";
import type { WrittenLimit } from "./algorithm-policy.ts";

/** An amount as a whole number: a time is written as a duration. */
export function unitsOf(amount: number | string): number {
  return typeof amount === "number" ? amount : (parseQuantity(amount) ?? toMs(amount));
}

/** A duration in ms. A word of the calendar has no fixed length: `NaN`. */
export function toMs(duration: string | undefined): number {
  return parseDuration(duration ?? "") ?? Number.NaN;
}

/** The idle time after which a scope has ended, in ms. One that never begins again lives longer than any program. */
export function idleMs({ per, resetAfterIdle }: Pick<WrittenLimit, "per" | "resetAfterIdle">): number {
  if (resetAfterIdle === "never") return MAX_DURATION_MS;
  return toMs(resetAfterIdle ?? (per.includes("turn") ? "24h" : "30d"));
}

export function isCalendarWord(window: unknown): window is "day" | "week" | "month" {
  return window === "day" || window === "week" || window === "month";
}
