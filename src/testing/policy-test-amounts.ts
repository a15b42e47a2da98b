// Amounts as policy tests write them, and as their failures print them: what is printed can be pasted into a test.

import type { Cost } from "../kernel/call.ts";
import { formatDuration, MAX_DURATION_MS, parseDuration } from "../kernel/duration.ts";
import { MONEY_UNIT, parseQuantity, type QuantityText, quantityOf } from "../kernel/quantity.ts";
import type { ClaimedQuota, ClaimedQuotas } from "../kernel/policy/typed.ts";

/** A number of units: a whole number, `50k`, or `$0.02` where the unit is `usd_micros`. */
export type PolicyTestAmount = number | QuantityText;

/** Amounts by unit. */
export type PolicyTestCost = Readonly<Record<string, PolicyTestAmount>>;

/** How much a bucket has: an amount; a duration such as `90m` or `1h30m` where the limit is `elapsed`; or `unlimited`. */
export type PolicyTestUnits =
  | PolicyTestAmount
  | `${number}${"ms" | "s" | "m" | "h" | "d"}`
  | `${number}${"m" | "h" | "d"}${string}`
  | "unlimited";

/** What a duration of a test looks like: one as in a policy, or several from large to small: `1h30m`. */
export const SPAN_PATTERN = /^(?=[1-9])(?:[0-9]+d)?(?:[0-9]+h)?(?:[0-9]+m)?(?:[0-9]+s)?(?:[0-9]+ms)?$/;

/** Milliseconds of a duration of a test; `null` where the text is none, or a longer one than a policy may name. */
export function parseSpan(text: string): number | null {
  if (!SPAN_PATTERN.test(text)) return null;
  const parts = text.match(/\d+(?:ms|[dhms])/g) ?? [];
  const ms = parts.reduce((sum, part) => sum + (/^0+\D/.test(part) ? 0 : (parseDuration(part) ?? Number.NaN)), 0);
  return ms > 0 && ms <= MAX_DURATION_MS ? ms : null;
}

/** Units of an amount that the schema let through; `null`: unlimited. */
export function unitsIn(amount: PolicyTestUnits): number | null {
  if (typeof amount === "number") return amount;
  return amount === "unlimited" ? null : (parseQuantity(amount) ?? parseSpan(amount));
}

/** Amounts by unit, as a call has them. */
export function costIn(amounts: PolicyTestCost): Cost {
  return Object.fromEntries(Object.entries(amounts).map(([unit, amount]) => [unit, unitsIn(amount) ?? 0]));
}

/** Quotas by limit, as a call brings them. */
export function quotasIn(amounts: Readonly<Record<string, PolicyTestUnits>>): ClaimedQuotas {
  return Object.fromEntries(
    Object.entries(amounts).map(([limit, amount]): [string, ClaimedQuota] => [limit, unitsIn(amount) ?? "unlimited"]),
  );
}

/** A call whose own cost may be written in amounts. An invalid one is left unchanged, for the limiter to refuse. */
export function withCost(call: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const { cost } = call;
  if (typeof cost !== "object" || cost === null || Array.isArray(cost)) return call;
  const units = (amount: unknown) => (typeof amount === "string" ? (parseQuantity(amount) ?? amount) : amount);
  return { ...call, cost: Object.fromEntries(Object.entries(cost).map(([unit, amount]) => [unit, units(amount)])) };
}

/** Below this a number needs no groups. */
const MANY = 10_000;

/** A number of units, as a test may write it: `24`, `50k`, `198_500`, `$0.02`, `90m`, `unlimited`. */
export function unitsText(units: number | null, unit: string): string {
  if (units === null) return "unlimited";
  if (unit === "ms") return units === 0 ? "0" : durationText(units);
  if (unit === MONEY_UNIT) return quantityOf(units, unit);
  const short = units < MANY ? String(units) : quantityOf(units);
  return /^\d{5,}$/.test(short) ? short.replace(/\B(?=(\d{3})+$)/g, "_") : short;
}

const SIZES = [
  [86_400_000, "d"],
  [3_600_000, "h"],
  [60_000, "m"],
  [1_000, "s"],
] as const;

function durationText(ms: number): string {
  const [size, unit] = SIZES.find(([size]) => ms % size === 0) ?? [1, "ms"];
  return ms === 0 ? "0ms" : `${ms / size}${unit}`;
}

/**
 * When a denied call can pass, as a test writes it. A large number is in parts, with what it is rounded up to whole seconds:
 * `1h2m3s`, `65999ms (1m6s)`.
 */
export function spanText(ms: number | null): string {
  if (ms === null) return "never";
  const exact = durationText(ms);
  if (isShort(exact)) return exact;
  const whole = partsText(inSeconds(ms));
  return ms === inSeconds(ms) ? whole : `${exact} (${whole})`;
}

/** Milliseconds, rounded up to whole seconds. */
export function inSeconds(ms: number): number {
  return Math.ceil(ms / 1_000) * 1_000;
}

/** Whole seconds in parts: `1d2h3m4s`. */
function partsText(ms: number): string {
  let rest = ms;
  return SIZES.map(([size, unit]) => {
    const count = Math.floor(rest / size);
    rest -= count * size;
    return count === 0 ? "" : `${count}${unit}`;
  }).join("");
}

function isShort(exact: string): boolean {
  return Number.parseInt(exact, 10) < 1_000;
}

/** `never` is a life of 36,500 days. A wait makes it shorter, so all beyond half of it counts as never. */
const NEVER_MS = MAX_DURATION_MS / 2;

/** When a bucket is full again, which no test expects, so that words will do; `null` where it is. */
export function resetText(resetAfterMs: number): string | null {
  if (resetAfterMs === 0) return null;
  if (resetAfterMs > NEVER_MS) return "never resets";
  const exact = durationText(resetAfterMs);
  return `resets after ${isShort(exact) ? exact : formatDuration(resetAfterMs)}`;
}
