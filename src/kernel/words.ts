// Numbers, money, units and durations as texts say them.

import { inUnits } from "./duration.ts";

/** Which way an amount is rounded: up for what is needed, down for what is left, so that no text promises too much. */
export type Rounding = "up" | "down" | "exact";

/** A number with its thousands grouped: `40,000`. */
export function grouped(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ",");
}

const MONEY = /^([a-z]{3})_micros$/;
const MICROS = 1_000_000;
const MICROS_OF_CENT = 10_000;

/** Whether a unit is money, in millionths. */
export function isMoney(unit: string): boolean {
  return MONEY.test(unit);
}

/** Units with their name: `1 call`, `40,000 tokens`, `$0.04`, `EUR 12.50`. Only money is ever rounded, to cents. */
export function amount(units: number, unit: string, rounding: Rounding = "exact"): string {
  const currency = MONEY.exec(unit)?.[1];
  if (currency === undefined) return `${grouped(units)} ${nounOf(unit, units)}`;
  return `${currency === "usd" ? "$" : `${currency.toUpperCase()} `}${money(units, rounding)}`;
}

/** At least two decimals, and below a cent as many as the amount has: only an amount of 0 is `0.00`. */
function money(micros: number, rounding: Rounding): string {
  const round = { up: Math.ceil, down: Math.floor, exact: null }[rounding];
  const shown = round === null || micros < MICROS_OF_CENT ? micros : round(micros / MICROS_OF_CENT) * MICROS_OF_CENT;
  const decimals = String(shown % MICROS)
    .padStart(6, "0")
    .replace(/0{1,4}$/, "");
  return `${grouped(Math.floor(shown / MICROS))}.${decimals}`;
}

/** Abbreviations, and words whose singular ends with an s, too. */
const UNCHANGED = /\b(?:\w{1,2}|series|species|\w*[sx]is|\w*(?<![cgt]p|men)us)$/;

/** A unit's name beside a number: `gpu seconds`, and of one `gpu second`. */
export function nounOf(unit: string, count: number): string {
  const noun = unit.replaceAll("_", " ");
  if (count !== 1 || UNCHANGED.test(noun)) return noun;
  if (/[^aeiou]ies$/.test(noun)) return noun.replace(/ies$/, "y");
  if (/(?:ch|sh|ss|x)es$/.test(noun)) return noun.slice(0, -2);
  return /[^s]s$/.test(noun) ? noun.slice(0, -1) : noun;
}

/** A span in words, of two units at most: `42 seconds`, `2 minutes 5 seconds`, `3 hours 20 minutes`, `4 days 1 hour`. */
export function durationInWords(ms: number, rounding: "up" | "down"): string {
  if (ms < 1_000) return rounding === "up" ? "1 second" : "less than 1 second";
  return inUnits(ms, rounding)
    .map(([count, unit]) => `${grouped(count)} ${unit}${count === 1 ? "" : "s"}`)
    .join(" ");
}

const PERIODS = [
  [604_800_000, "week"],
  [86_400_000, "day"],
  [3_600_000, "hour"],
  [60_000, "minute"],
  [1_000, "second"],
  [1, "millisecond"],
] as const;

/** A window's length, exactly: `hour`, `15 minutes`, `90 seconds`. */
export function periodInWords(windowMs: number): string {
  const [sizeMs, unit] = PERIODS.find(([sizeMs]) => windowMs % sizeMs === 0) ?? [1, "millisecond"];
  const count = windowMs / sizeMs;
  return count === 1 ? unit : `${grouped(count)} ${unit}s`;
}

/** A list as a sentence has it: `user`, `session and tool`, `session, turn and tool`. */
export function listed(words: readonly string[], last: "and" | "or" = "and"): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} ${last} ${words.at(-1)}`;
}

/** The words in braces that a message of the policy's own may have, as `{remaining}`. */
export const MESSAGE_WORDS = ["limit", "unit", "cost", "quota", "remaining", "retryAfter"] as const;
export const NOTICE_WORDS = [...MESSAGE_WORDS, "used"] as const;
