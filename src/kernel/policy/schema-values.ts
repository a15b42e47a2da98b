// The values of a policy: durations, dimensions, units, amounts, selectors and texts. Each message says what was expected.

import { z } from "zod";
import { CALL_WORDS, DIMENSIONS, MAX_TOOL_LENGTH } from "../call.ts";
import { DURATION_PATTERN, parseDuration } from "../duration.ts";
import type { DurationInput } from "./input-values.ts";
import { amount, listOf, map, object, oneOf, text } from "./schema-parts.ts";

const DURATION = "a duration such as 250ms, 30s, 5m, 1h or 7d, at most 36500d";
export const MAX_LEASE_MS = 86_400_000;
/** Most dimensions of a limit, and of its `when`. */
export const MAX_PER = 8;
export const MAX_VALUES = 1_000;

// Whatever the pattern lets through is one of these texts.
export const duration = z
  .string({ error: DURATION })
  .regex(DURATION_PATTERN, { error: DURATION, abort: true })
  .refine((value) => parseDuration(value) !== null, { error: DURATION }) as z.ZodType<DurationInput, DurationInput>;
const DIMENSION = `a dimension: ${DIMENSIONS.join(", ")}, group, args, or a name of your own (a-z, 0-9, _; at most 32)`;
/** Names that mean something else where dimensions are given. */
const RESERVED = new Set<string>([...CALL_WORDS, "limit"]);
const NAME = /^[a-z][a-z0-9_]{0,31}$/;
export const dimension = text(NAME, DIMENSION).refine((name) => name === "args" || !RESERVED.has(name), {
  error: DIMENSION,
});
const SELECTABLE = DIMENSION.replace(" args,", "");
/** Arguments are known only by their hash, which a policy cannot contain. */
export const selectable = text(NAME, SELECTABLE).refine((name) => !RESERVED.has(name), { error: SELECTABLE });
export const unit = text(NAME, "a unit such as calls, tokens or usd_micros (a-z, 0-9, _; at most 32)");
export const value = text(/./s, "a name that is not empty");
export const exact = text(/^(?!!)[^*]+$/s, "a whole value, without * and !: patterns are for the when of overrides");
export const description = text(/^.{1,200}$/s, "1 to 200 characters").optional();
const AMOUNT = "an amount such as 200k or $0.05";
const wholeFrom = (min: number) => `a whole number from ${min} to ${Number.MAX_SAFE_INTEGER}`;
export const units = amount(0, `${wholeFrom(0)}, or ${AMOUNT}`);
export const burst = amount(1, `${wholeFrom(1)}, or ${AMOUNT}`).optional();
const QUOTA = `${wholeFrom(0)}, ${AMOUNT}, or unlimited`;
export const quota = z.union([amount(0, QUOTA), z.literal("unlimited")], { error: QUOTA });

const PATTERN = `a value of 1 to ${MAX_TOOL_LENGTH} characters, in which * stands for any characters and ! before it for not`;
const pattern = z.union([text(/^(?!!$).{1,1024}$/s, PATTERN), z.int({ error: PATTERN })], { error: PATTERN });
const SELECTOR = "a value, or a list of values";
const patterns = listOf(pattern, SELECTOR, MAX_VALUES, "values").min(1, { error: "at least one value" });
const selector = z.union([pattern, patterns], { error: SELECTOR });
export const when = map(selectable, selector, "values by dimension", MAX_PER);

/** The words of a policy's own texts. */
export function ownText(words: readonly string[]) {
  const error = `1 to 200 characters, with ${words.map((word) => `{${word}}`).join(", ")} alone in braces`;
  return text(new RegExp(`^[^{}]*(?:\\{(?:${words.join("|")})\\}[^{}]*)*$`), error)
    .min(1, { error })
    .max(200, { error })
    .optional();
}

const FROM_CALL = "{ from: call, default, max }";
/** A quota that callers may bring; else it is one like any other. */
export const quotaOrClaim = z.union(
  [quota, object(FROM_CALL, { from: z.literal("call"), default: quota, max: quota })],
  { error: ({ input }) => (typeof input === "object" && input !== null ? FROM_CALL : QUOTA) },
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

export const timezone = z
  .string({ error: TIMEZONE })
  .regex(/^.{1,64}$/s, { error: TIMEZONE, abort: true })
  .refine(isTimezone, { error: TIMEZONE })
  .optional();

const LEASE = "a duration of at most 1d, such as 30s or 5m";
export const lease = duration.refine((value) => (parseDuration(value) ?? 0) <= MAX_LEASE_MS, { error: LEASE });
export const chargeOrRefund = oneOf("charge", "refund");

const SPAN = `${DURATION}, or never`;
export const span = z.union([duration, z.literal("never")], { error: SPAN });
export const time = z.union([duration, z.literal("unlimited")], { error: `${DURATION}, or unlimited` });
export const window = z.union([z.enum(["day", "week", "month"]), duration], {
  error: `${DURATION}; day, week or month`,
});
