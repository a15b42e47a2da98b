// Numbers, times and calls as people read them.

import { formatDuration } from "../src/kernel/duration.ts";
import { amount, grouped, isMoney } from "../src/kernel/words.ts";
import type { DecisionEntry, LoggedVerdict } from "./answers.ts";

export { formatDuration, grouped };

const TIME = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const MINUTE = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const DAY_MS = 86_400_000;

/** The time of day; of another day with its date. */
export function timeOf(atMs: number, nowMs: number): string {
  const time = TIME.format(atMs);
  return DAY.format(atMs) === DAY.format(nowMs) && nowMs - atMs < DAY_MS ? time : `${DAY.format(atMs)} ${time}`;
}

/** The time of day, to the minute. */
export function minuteOf(atMs: number): string {
  return MINUTE.format(atMs);
}

/** A text of the service with its instants as the time of day here. */
export function withTimes(text: string, nowMs: number): string {
  return text.replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, (instant) => timeOf(Date.parse(instant), nowMs));
}

/** How long ago. */
export function agoOf(atMs: number, nowMs: number): string {
  const ms = nowMs - atMs;
  return ms < 2_000 ? "just now" : `${formatDuration(ms - (ms % 1_000))} ago`;
}

/** Units of a quota: `$3.10 of $5.00`, `3 of 20 calls`, `12 calls, unlimited`. */
export function usedOf(used: number, capacity: number | null, unit: string): string {
  if (capacity === null) return `${amount(used, unit, "up")}, unlimited`;
  const of = isMoney(unit) ? amount(used, unit, "up") : grouped(used);
  return `${of} of ${amount(capacity, unit, "down")}`;
}

/** How a limit stood after a call: units that were used of those that it has. */
export function verdictText({ capacity, remaining, unit, cost }: LoggedVerdict): string {
  if (capacity === null || remaining === null) return usedOf(cost, null, unit);
  return usedOf(Math.max(0, capacity - remaining), capacity, unit);
}

/** The limit that says most about a call: the one that denied it, else the fullest. */
export function tightest({ verdicts, deniedBy }: DecisionEntry): LoggedVerdict | undefined {
  const denier = verdicts.find(({ limit }) => limit === deniedBy);
  return denier ?? verdicts.toSorted((a, b) => fullness(b) - fullness(a))[0];
}

function fullness({ capacity, remaining }: LoggedVerdict): number {
  return capacity === null || remaining === null ? -1 : 1 - remaining / Math.max(1, capacity);
}

/** When a denied call may be tried again. */
export function opensText({ allowed, retryAfterMs }: DecisionEntry): string {
  if (allowed) return "";
  return retryAfterMs === null ? "not by waiting" : `open after ${formatDuration(retryAfterMs)}`;
}

/** A share as a percentage, without more digits than it deserves. */
export function percent(part: number, whole: number): string {
  if (whole === 0) return "0 %";
  const share = (100 * part) / whole;
  return `${share > 0 && share < 10 ? share.toFixed(1) : Math.round(share)} %`;
}

/** A word at the beginning of a label. */
export function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

/** A rate per second. */
export function perSecond(count: number, seconds: number): string {
  const rate = count / seconds;
  return rate >= 100
    ? grouped(Math.round(rate))
    : rate >= 1 || rate === 0
      ? rate.toFixed(rate === 0 ? 0 : 1)
      : rate.toFixed(2);
}
