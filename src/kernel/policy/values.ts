// Durations, quotas and names in forms that a policy does not take, such as `1 minute` or `5k`, and what to write instead.

import { MAX_DURATION_MS, MS_OF } from "../duration.ts";

const UNITS: readonly (readonly [pattern: RegExp, ms: number])[] = [
  [/^(ms|msecs?|millis|milliseconds?)$/, 1],
  [/^(s|secs?|seconds?)$/, 1_000],
  [/^(m|mins?|minutes?|minutely)$/, 60_000],
  [/^(h|hrs?|hours?|hourly)$/, 3_600_000],
  [/^(d|days?|daily)$/, 86_400_000],
  [/^(w|wks?|weeks?|weekly)$/, 604_800_000],
];
const PART = /(\d+(?:\.\d+)?)?\s*([a-z]+)/g;

/** A duration as policies write it, from `1 minute`, `1hour`, `2 weeks`, `1.5h`, `1h30m`, `PT1H`, `hour`; `null` for none. */
export function durationFrom(text: string): string | null {
  const iso = /^P(?:(\d+D))?(?:T(.+))?$/.exec(text);
  const plain = (iso === null ? text : `${iso[1] ?? ""}${iso[2] ?? ""}`).toLowerCase().trim();
  if (!/^[\s,]*$/.test(plain.replace(PART, ""))) return null;
  let ms = 0;
  for (const [, count = "1", unit = ""] of plain.matchAll(PART)) {
    const size = UNITS.find(([pattern]) => pattern.test(unit))?.[1];
    if (size === undefined) return null;
    ms += Number(count) * size;
  }
  return durationOf(ms);
}

/** A duration of so many milliseconds, in the largest unit that fits; `null` where no policy can name it. */
function durationOf(ms: number): string | null {
  const [symbol, size] = Object.entries(MS_OF).findLast(([, size]) => ms % size === 0) ?? ["", 1];
  return symbol === "" || ms <= 0 || ms > MAX_DURATION_MS ? null : `${ms / size}${symbol}`;
}

const CALENDAR = [
  [/^(d|days?|daily)$/, "day"],
  [/^(w|wks?|weeks?|weekly)$/, "week"],
  [/^(mo|months?|monthly)$/, "month"],
] as const;

/** A window of the calendar, from `daily`, `1 week`, `per month`; `null` for none. */
export function calendarFrom(text: string): "day" | "week" | "month" | null {
  const plain = text
    .toLowerCase()
    .trim()
    .replace(/^(?:(?:per|an?|each|every|1)\b|1(?=[a-z]))\s*/, "");
  return CALENDAR.find(([pattern]) => pattern.test(plain))?.[1] ?? null;
}

const FACTORS: Readonly<Record<string, number>> = { "": 1, k: 1e3, m: 1e6, g: 1e9, b: 1e9 };
/** What stands between groups of digits. */
const THOUSANDS = /(?<=\d)[,_](?=\d{3})/g;

/** A whole number, from `5k`, `1.5M`, `1,000`, `1_000` or `1e3`; `null` for none. */
export function countFrom(text: string): number | null {
  const [, digits = "", factor = ""] =
    /^(\d+(?:\.\d+)?(?:e\d{1,2})?)([kmgb]?)$/i.exec(text.trim().replace(THOUSANDS, "")) ?? [];
  const count = Math.round(Number(digits) * (FACTORS[factor.toLowerCase()] ?? 1) * 1e6) / 1e6;
  return digits !== "" && Number.isSafeInteger(count) ? count : null;
}

const CURRENCIES: Readonly<Record<string, string>> = { $: "usd", "€": "eur", "£": "gbp" };
const MONEY = /^([$€£]|usd|eur|gbp|chf|cad|aud)?\s*(\d+(?:\.\d+)?)([km]?)\s*([$€£]|usd|eur|gbp|chf|cad|aud)?$/i;

/** Money in millionths and its unit, from `$2.50`, `2.50 USD`, `EUR 2` or `$1k`; `null` for none. */
export function moneyFrom(text: string): { readonly unit: string; readonly micros: number } | null {
  const [, before, amount, factor = "", after] = MONEY.exec(text.trim().replace(THOUSANDS, "")) ?? [];
  const currency = before ?? after;
  if (currency === undefined) return null;
  return {
    unit: `${CURRENCIES[currency] ?? currency.toLowerCase()}_micros`,
    micros: microsOf(Number(amount) * (FACTORS[factor.toLowerCase()] ?? 1)),
  };
}

/** An amount in millionths, without what binary fractions add. */
export function microsOf(amount: number): number {
  return Math.round(amount * 1e6);
}

const WINDOWS: Readonly<Record<string, string>> = { s: "1s", m: "1m", h: "1h", d: "day" };

/** How many in which window, from `60/min`, `5 per 2 hours`, `25/day` or `100 rpm`; `null` for none. */
export function rateFrom(text: string): { readonly quota: number; readonly window: string } | null {
  const short = /^(\S+)\s*rp([smhd])$/i.exec(text.trim());
  const long = /^(\S+?)\s*(?:calls|requests|tokens)?\s*(?:\/|per\b|an?\b|each\b)\s*(.+)$/i.exec(text.trim());
  const quota = countFrom(short?.[1] ?? long?.[1] ?? "");
  const window =
    WINDOWS[short?.[2]?.toLowerCase() ?? ""] ?? calendarFrom(long?.[2] ?? "") ?? durationFrom(long?.[2] ?? "");
  return quota === null || window === null ? null : { quota, window };
}

/** What a key such as `rpm`, `tokensPerMinute` or `per_hour` says: what is counted, in which window; `null` for none. */
export function rateKey(key: string): { readonly unit: "calls" | "tokens"; readonly window: string } | null {
  const [, word = "", letter = ""] =
    /^(r|q|t|(?:max|limit|quota)*(?:requests?|calls?|queries|tokens?)?(?:limit|quota)?)?p(?:er)?(s|m|h|d|second|minute|min|sec|hour|day)$/.exec(
      key.toLowerCase().replace(/[\s_-]/g, ""),
    ) ?? [];
  if (letter === "" || (word === "" && letter.length === 1)) return null;
  return { unit: /^t$|token/.test(word) ? "tokens" : "calls", window: WINDOWS[letter.charAt(0)] as string };
}

/** A name in lower case with a separator between its words, from `Per Session` or `orgId`. */
export function nameFrom(text: string, separator: "-" | "_"): string {
  return text
    .replace(/([a-z0-9])([A-Z])/g, "$1 $2")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, separator)
    .replace(/^[-_]+|[-_]+$/g, "");
}
