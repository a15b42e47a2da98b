// The keys of policy tests: one schema for YAML, JSON and `testPolicy`, and the source of policy-test.schema.json.
// policy-test-input.ts says what they mean; policy-test-faults.ts checks what one key requires of another, and of the policy.

import { Temporal } from "temporal-polyfill";
import { z } from "zod";
import { MAX_TOOL_LENGTH } from "../kernel/call.ts";
import { amount, map, object, text, whole } from "../kernel/policy/schema-parts.ts";
import { parseSpan, SPAN_PATTERN } from "./policy-test-amounts.ts";

/** The words of which each step has exactly one. */
export const STEP_WORDS = ["call", "wait", "at", "end", "bucket", "grant", "reset"] as const;

const MAX_TESTS = 1_000;
const MAX_STEPS = 1_000;
const MAX_TIMES = 100_000;
const MAX_WORDS = 64;

/** Most calls of all tests that are run together. */
export const MAX_CALLS = 1_000_000;

/** When a test without `at` begins. */
export const DEFAULT_AT = "2030-01-01T00:00:00Z";

const LAST_MS = Date.UTC(9999, 11, 31);
const DURATION = "a duration such as 250ms, 30s, 5m, 1h30m or 7d, at most 36500d";
const INSTANT =
  "an instant from 1970 to 9999, such as 2026-03-01T12:00:00Z, 2026-03-01T12:00:00+01:00 or 2026-03-01T12:00:00[Europe/Berlin]";
const UNITS = `a whole number from 0 to ${Number.MAX_SAFE_INTEGER}, or an amount such as 50k or $0.02`;
const LEFT = `${UNITS}, or unlimited; a duration where the limit is elapsed`;
const CALL = "a call such as { tool: search, user: u1 }, or the name of a tool";
const BUCKET = "a bucket such as { limit: calls-per-day, user: u1 }";
const NAME = "a name of 1 to 64 letters, digits, _ or -";
const LIMIT = "the name of a limit";
const NOTICE = "true, false, or a part of the text, 1 to 300 characters";
const PART = "a part of the text, 1 to 300 characters";

/** An instant in epoch ms; `null` for an invalid one. */
export function instantMs(text: string): number | null {
  try {
    const { epochMilliseconds: ms } = text.endsWith("]")
      ? Temporal.ZonedDateTime.from(text)
      : Temporal.Instant.from(text);
    return ms >= 0 && ms <= LAST_MS ? ms : null;
  } catch {
    return null;
  }
}

function list<Item extends z.ZodType>(item: Item, error: string, max: number) {
  return z.array(item, { error }).max(max, { error: `at most ${max}` });
}

const entries = <Value extends z.ZodType>(value: Value, what: string) => map(z.string(), value, what, MAX_WORDS);

const units = amount(0, UNITS);
const duration = z
  .string({ error: DURATION })
  .regex(SPAN_PATTERN, { error: DURATION, abort: true })
  .refine((value) => parseSpan(value) !== null, { error: DURATION });
const instant = z
  .string({ error: INSTANT })
  .max(64, { error: INSTANT, abort: true })
  .refine((value) => instantMs(value) !== null, { error: INSTANT });
const left = z.union([units, duration, z.literal("unlimited")], { error: LEFT });
const quotas = entries(left, "quotas by limit").optional();
const cost = entries(units, "amounts by unit");
const limit = text(/^.{1,64}$/s, LIMIT);
const name = text(/^[\w-]{1,64}$/, NAME);
const bucket = z
  .looseObject({ limit }, { error: BUCKET })
  .refine((entries) => Object.keys(entries).length <= MAX_WORDS, { error: `at most ${MAX_WORDS} keys` });

const ending = {
  usage: cost.optional(),
  error: z.boolean({ error: "true or false" }).optional(),
  result: z.unknown().optional(),
};

const steps = {
  call: object("a step", {
    call: z.union([text(/^.+$/s, CALL).max(MAX_TOOL_LENGTH, { error: CALL }), entries(z.unknown(), CALL)], {
      error: CALL,
    }),
    cost: cost.optional(),
    quotas,
    times: whole(1, MAX_TIMES).optional(),
    as: name.optional(),
    ...ending,
    expect: z.enum(["allowed", "denied"], { error: "allowed or denied" }).optional(),
    by: limit.optional(),
    retryAfter: z.union([z.literal("never"), duration], { error: `${DURATION}, or never` }).optional(),
    remaining: entries(left, "units left by limit").optional(),
    exceeded: list(limit, "a list of limits", MAX_WORDS).optional(),
    notice: z.union([z.boolean(), text(/^.{1,300}$/s, NOTICE)], { error: NOTICE }).optional(),
    message: text(/^.{1,300}$/s, PART).optional(),
  }),
  wait: object("a step", { wait: duration }),
  at: object("a step", { at: instant }),
  end: object("a step", { end: name, ...ending }),
  bucket: object("a step", {
    bucket: bucket,
    quotas,
    used: left.optional(),
    remaining: left.optional(),
    quota: left.optional(),
  }),
  grant: object("a step", {
    grant: bucket,
    units: amount(1, `a whole number from 1 to ${Number.MAX_SAFE_INTEGER}, or an amount such as 50k or $0.02`),
    duration,
  }),
  reset: object("a step", { reset: bucket }),
} as const;

/** The keys that a step may have, by the word that says what it does. */
export function stepKeys(word: (typeof STEP_WORDS)[number]): readonly string[] {
  return Object.keys(steps[word].shape);
}

const VALUE = "a text that is not empty, or a whole number";
const value = z.union([text(/./s, VALUE), z.int({ error: VALUE })], { error: VALUE });

const test = object("a test", {
  name: text(/^.{1,200}$/s, "a name of 1 to 200 characters"),
  at: instant.optional(),
  for: entries(value, "values by dimension").optional(),
  steps: list(z.union(STEP_WORDS.map((word) => steps[word])), "a list of steps", MAX_STEPS).min(1, {
    error: "at least one step",
  }),
});

export const TEST_KEYS: readonly string[] = Object.keys(test.shape);

export const policyTestsSchema = list(test, "a list of tests", MAX_TESTS).min(1, { error: "at least one test" });

export const policyTestFileSchema = object("a file of tests: { policy, tests }", {
  $schema: z.string({ error: "a path or an address" }).optional(),
  policy: text(/^.{1,1000}$/s, "the path of a policy"),
  tests: policyTestsSchema,
});

export const TEST_FILE_KEYS: readonly string[] = Object.keys(policyTestFileSchema.shape);
