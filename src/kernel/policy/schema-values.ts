// The values of a policy: durations, dimensions, units, amounts, selectors and texts. Each message says what was expected.

import * as v from "valibot";
import { CALL_WORDS, DIMENSIONS, MAX_TOOL_LENGTH } from "../call.ts";
import { DURATION_PATTERN, parseDuration } from "../duration.ts";
import type { DurationInput } from "./input-values.ts";
import { wordOf } from "./schema-kinds.ts";
import { amount, checkedText, integer, listOf, map, object, oneOf, text } from "./schema-parts.ts";

const DURATION = "a duration such as 250ms, 30s, 5m, 1h or 7d, at most 36500d";
export const MAX_LEASE_MS = 86_400_000;
/** Most dimensions of a limit, and of its `when`. */
export const MAX_PER = 8;
export const MAX_VALUES = 1_000;

export const duration = checkedText<DurationInput>(DURATION_PATTERN, DURATION, (text) => parseDuration(text) !== null);
const DIMENSION = `a dimension: ${DIMENSIONS.join(", ")}, group, args, or a name of your own (a-z, 0-9, _; at most 32)`;
/** Names that mean something else where dimensions are given. */
const RESERVED = new Set<string>([...CALL_WORDS, "limit"]);
const NAME = /^[a-z][a-z0-9_]{0,31}$/;
export const dimension = checkedText(NAME, DIMENSION, (name) => name === "args" || !RESERVED.has(name));
const SELECTABLE = DIMENSION.replace(" args,", "");
/** Arguments are known only by their hash, which a policy cannot contain. */
export const selectable = checkedText(NAME, SELECTABLE, (name) => !RESERVED.has(name));
export const unit = text(NAME, "a unit such as calls, tokens or usd_micros (a-z, 0-9, _; at most 32)");
export const value = text(/./s, "a name that is not empty");
export const exact = text(/^(?!!)[^*]+$/s, "a whole value, without * and !: patterns are for the when of overrides");
export const description = v.optional(text(/^.{1,200}$/s, "1 to 200 characters"));
const AMOUNT = "an amount such as 200k or $0.05";
const wholeFrom = (min: number) => `a whole number from ${min} to ${Number.MAX_SAFE_INTEGER}`;
export const units = amount(0, `${wholeFrom(0)}, or ${AMOUNT}`);
export const burst = v.optional(amount(1, `${wholeFrom(1)}, or ${AMOUNT}`));
const QUOTA = `${wholeFrom(0)}, ${AMOUNT}, or unlimited`;
export const quota = v.union([amount(0, QUOTA), wordOf(QUOTA, ["unlimited"])], QUOTA);

const PATTERN = `a value of 1 to ${MAX_TOOL_LENGTH} characters, in which * stands for any characters and ! before it for not`;
const pattern = v.union([text(/^(?!!$).{1,1024}$/s, PATTERN), integer(PATTERN)], PATTERN);
const SELECTOR = "a value, or a list of values";
const patterns = v.pipe(listOf(pattern, SELECTOR, MAX_VALUES, "values"), v.minLength(1, "at least one value"));
const selector = v.union([pattern, patterns], SELECTOR);
export const when = map(selectable, selector, "values by dimension", MAX_PER);

/** The words of a policy's own texts. */
export function ownText(words: readonly string[]) {
  const error = `1 to 200 characters, with ${words.map((word) => `{${word}}`).join(", ")} alone in braces`;
  const pattern = new RegExp(`^[^{}]*(?:\\{(?:${words.join("|")})\\}[^{}]*)*$`);
  return v.optional(v.pipe(text(pattern, error), v.minLength(1, error), v.maxLength(200, error)));
}

const FROM_CALL = "{ from: call, default, max }";
/** A quota that callers may bring; else it is one like any other. */
export const quotaOrClaim = v.union(
  [quota, object(FROM_CALL, { from: oneOf("call"), default: quota, max: quota })],
  ({ input }) => (typeof input === "object" && input !== null ? FROM_CALL : QUOTA),
);

const TIMEZONE = "a time zone by its IANA name, such as Europe/Berlin";

function isTimezone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

export const timezone = v.optional(checkedText(/^.{1,64}$/s, TIMEZONE, isTimezone));

const LEASE = "a duration of at most 1d, such as 30s or 5m";
export const lease = v.pipe(
  duration,
  v.check((value) => (parseDuration(value) ?? 0) <= MAX_LEASE_MS, LEASE),
);
export const chargeOrRefund = oneOf("charge", "refund");

const SPAN = `${DURATION}, or never`;
export const span = v.union([duration, wordOf(SPAN, ["never"])], SPAN);
const TIME = `${DURATION}, or unlimited`;
export const time = v.union([duration, wordOf(TIME, ["unlimited"])], TIME);
const WINDOW = `${DURATION}; day, week or month`;
export const window = v.union([wordOf(WINDOW, ["day", "week", "month"]), duration], WINDOW);
