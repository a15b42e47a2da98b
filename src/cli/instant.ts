// Instants as people type them at a terminal.

import { invalidOption } from "../kernel/errors.ts";

const TIME = /^(?:(\d{4}-\d\d-\d\d)[T ])?(\d\d):(\d\d)(?::(\d\d))?(Z)?$/;
const DAY_MS = 86_400_000;

/**
 * The end of the minute or second that a text names, epoch ms. Without `Z` it is in the time zone of this machine, and without a date it is
 * the last time that the clocks showed it.
 *
 * @throws MisuseError `invalid-option`
 */
export function endOf(option: string, text: string, nowMs: number): number {
  const [whole, date, hours = "", minutes = "", seconds, zone = ""] = TIME.exec(text) ?? [];
  const ms = Date.parse(`${date ?? dayOf(nowMs, zone)}T${hours}:${minutes}:${seconds ?? "00"}${zone}`);
  if (whole === undefined || Number.isNaN(ms)) {
    throw invalidOption(option, "a time such as 20:05, 20:05:30 or 2026-11-30T20:05", text);
  }
  const endMs = ms + (seconds === undefined ? 60_000 : 1_000);
  return date === undefined && ms > nowMs ? endMs - DAY_MS : endMs;
}

/** The day of an instant, as a date begins with it. */
function dayOf(ms: number, zone: string): string {
  const offsetMs = zone === "" ? new Date(ms).getTimezoneOffset() * 60_000 : 0;
  return new Date(ms - offsetMs).toISOString().slice(0, 10);
}
