// What to write instead of an amount, a price or a duration that is wrong.

import { quantityOf } from "../quantity.ts";
import { closest, plainOf } from "../spelling.ts";
import { isObject, MAX_TEXT, type Place, textOf, windowed } from "./place.ts";
import { isCalendarWord } from "./amounts.ts";
import { countFrom, durationFrom, microsOf, moneyFrom, rateFrom } from "./values.ts";

export function costHint(place: Place): string | null {
  const { key, value } = place;
  const cost = typeof value === "string" ? Number(value) : value;
  if (typeof cost !== "number" || Number.isInteger(cost) || !(cost > 0)) {
    return Number(textOf(value)) < 0 ? "Write 0 or more." : amountHint(place);
  }
  const unit = /^[a-z]{3}$/.test(key) ? `${key}_micros` : key.endsWith("_micros") ? key : null;
  return unit === null
    ? `Units are whole: write ${Math.ceil(cost)}, or count in a smaller unit.`
    : `Units are whole: write ${unit}: ${quantityOf(microsOf(cost), unit)}.`;
}

/** Of what stands behind the comma of an amount in braces. */
export const AFTER_COMMA = "A comma ends a value: write the amount without it.";
const FROM_CALL_KEYS = ["from", "default", "max"];

function objectHint(quota: Readonly<Record<string, unknown>>): string {
  if (!("from" in quota) && !("default" in quota && "max" in quota))
    return 'Quotas by tool are "quotas: { tool: { search: 5 } }".';
  if ("from" in quota && quota.from !== "call")
    return 'Write "from: call": the option quotas of createLimiter is asked then, and can ask your database.';
  const wrong = Object.keys(quota).find((key) => !FROM_CALL_KEYS.includes(key));
  const meant = wrong === undefined ? null : closest(wrong, FROM_CALL_KEYS);
  if (meant !== null) return `Did you mean "${meant}" instead of "${String(wrong).slice(0, MAX_TEXT)}"?`;
  return 'Say all three, such as "quota: { from: call, default: 1000, max: 1M }".';
}

export function amountHint(place: Place): string | null {
  const { value, limit } = place;
  if (value === undefined) return "Add one, such as quota: 50.";
  if (value === null) return /^\d{1,3}$/.test(place.key) ? AFTER_COMMA : "Write a number.";
  if (typeof value === "number") return numberHint(value, limit);
  if (isObject(value)) return objectHint(value);
  if (typeof value !== "string") return null;
  const money = moneyFrom(value);
  if (money !== null) return moneyHint(place, money);
  const count = countFrom(value);
  if (count !== null) {
    const isShort = /[a-z]/i.test(value);
    return `Write ${isShort ? quantityOf(count) : count}${String(count) === value ? " without quotes" : ""}.`;
  }
  const rate = rateFrom(value);
  if (rate !== null) {
    const written = `Write "quota: ${rate.quota}, window: ${rate.window}"`;
    return isCalendarWord(rate.window) ? `${written}.` : `${written} with ${windowed(rate.window)}.`;
  }
  const span = durationFrom(value);
  if (span !== null)
    return `A duration is the quota of "algorithm: elapsed". A quota for each ${span} has window: ${span}.`;
  if (Number.isFinite(Number(value))) return numberHint(Number(value), limit);
  return /^[+-]?inf|^none$|^nolimit|^unlim|^max$/.test(plainOf(value)) ? "Write unlimited." : null;
}

/** Money where it is written in another way, or where another unit is counted. */
function moneyHint({ key, value, limit }: Place, { unit, micros }: { readonly unit: string; readonly micros: number }) {
  if (/\.\d{7}/.test(textOf(value))) return "Write at most six decimals.";
  const written = quantityOf(micros, unit);
  if (limit.unit === unit || key === unit) return `Write ${written}.`;
  return Object.keys(limit).length === 0 ? `Write ${unit}: ${written}.` : `Write "unit: ${unit}, ${key}: ${written}".`;
}

/** Units are whole: fractions are mostly money. */
function numberHint(value: number, { algorithm, unit, window }: Readonly<Record<string, unknown>>): string {
  if (value < 0) return "Write 0 to deny every call, or unlimited to count calls and deny none.";
  if (value > Number.MAX_SAFE_INTEGER || Number.isNaN(value)) return "Write unlimited, or count in a larger unit.";
  if (Number.isInteger(value))
    return algorithm === "token-bucket"
      ? "Use a rounder quota, a shorter window or a smaller burst."
      : "Use a smaller number.";
  const name = textOf(unit ?? "usd");
  const micros = microsOf(value);
  if (name.endsWith("_micros")) return `Units are whole: write ${quantityOf(micros, name)}.`;
  const isCurrency = /^[a-z]{3}$/.test(name);
  if (!isCurrency && !/dollar|euro|cent|money|cost|price/.test(name))
    return `Units are whole. Write ${Math.ceil(value)}, or count in a smaller unit.`;
  const longer = unit === undefined && window !== undefined ? "For less than 1 in a window use a longer window. " : "";
  const smaller = isCurrency ? `${name}_micros` : "usd_micros";
  return `Units are whole. ${longer}For money write "unit: ${smaller}, quota: ${quantityOf(micros, smaller)}".`;
}

export function lifeHint(place: Place): string | null {
  return /^(never|inf\w*|none|false|0)$/i.test(textOf(place.value)) ? "Write never." : durationHint(place);
}

export function durationHint({ value }: Place): string | null {
  if (typeof value === "number")
    return value > 0 && Number.isInteger(value)
      ? `Add a unit of time: ${value}s for seconds, or ${value}ms.`
      : "Write a whole number above 0 and a unit, such as 30s.";
  if (typeof value !== "string") return "Write a whole number and a unit, such as 30s, 5m or 1h.";
  if (/^\d+$/.test(value)) return `Add a unit of time: ${value}s for seconds, or ${value}ms.`;
  const meant = durationFrom(value);
  return meant === null || meant === value ? null : `Write ${meant}.`;
}
