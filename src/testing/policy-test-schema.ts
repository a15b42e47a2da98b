// The keys of policy tests: one schema for YAML, JSON and `testPolicy`, and the source of policy-test.schema.json.
// policy-test-input.ts says what they mean; policy-test-faults.ts checks what one key requires of another, and of the policy.

import { Temporal } from "temporal-polyfill";
import * as v from "valibot";
import { MAX_TOOL_LENGTH } from "../kernel/call.ts";
import { objectOf, type Schema, unionByKey, wordOf } from "../kernel/policy/schema-kinds.ts";
import { amount, checkedText, integer, map, object, oneOf, text, whole } from "../kernel/policy/schema-parts.ts";
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
const RETRY = `${DURATION}, or never`;
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

function list<Item extends Schema>(item: Item, error: string, max: number) {
  return v.pipe(v.array(item, error), v.maxLength(max, `at most ${max}`));
}

const entries = <Value extends Schema>(value: Value, what: string) => map(v.string(), value, what, MAX_WORDS);

const units = amount(0, UNITS);
const duration = checkedText(SPAN_PATTERN, DURATION, (value) => parseSpan(value) !== null);
const instant = v.pipe(
  v.string(INSTANT),
  v.maxLength(64, INSTANT),
  v.check((value) => instantMs(value) !== null, INSTANT),
);
const left = v.union([units, duration, wordOf(LEFT, ["unlimited"])], LEFT);
const quotas = v.optional(entries(left, "quotas by limit"));
const cost = entries(units, "amounts by unit");
const limit = text(/^.{1,64}$/s, LIMIT);
const name = text(/^[\w-]{1,64}$/, NAME);
const bucket = v.pipe(
  objectOf(BUCKET, { limit }, v.unknown()),
  v.check((entries) => Object.keys(entries).length <= MAX_WORDS, `at most ${MAX_WORDS} keys`),
);

const ending = {
  usage: v.optional(cost),
  error: v.optional(v.boolean("true or false")),
  result: v.optional(v.unknown()),
};

const steps = {
  call: object("a step", {
    call: v.union([v.pipe(text(/^.+$/s, CALL), v.maxLength(MAX_TOOL_LENGTH, CALL)), entries(v.unknown(), CALL)], CALL),
    cost: v.optional(cost),
    quotas,
    times: v.optional(whole(1, MAX_TIMES)),
    as: v.optional(name),
    ...ending,
    expect: v.optional(oneOf("allowed", "denied")),
    by: v.optional(limit),
    retryAfter: v.optional(v.union([wordOf(RETRY, ["never"]), duration], RETRY)),
    remaining: v.optional(entries(left, "units left by limit")),
    exceeded: v.optional(list(limit, "a list of limits", MAX_WORDS)),
    notice: v.optional(v.union([v.boolean(), text(/^.{1,300}$/s, NOTICE)], NOTICE)),
    message: v.optional(text(/^.{1,300}$/s, PART)),
  }),
  wait: object("a step", { wait: duration }),
  at: object("a step", { at: instant }),
  end: object("a step", { end: name, ...ending }),
  bucket: object("a step", {
    bucket: bucket,
    quotas,
    used: v.optional(left),
    remaining: v.optional(left),
    quota: v.optional(left),
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
  return Object.keys(steps[word].entries);
}

const VALUE = "a text that is not empty, or a whole number";
const value = v.union([text(/./s, VALUE), integer(VALUE)], VALUE);

const test = object("a test", {
  name: text(/^.{1,200}$/s, "a name of 1 to 200 characters"),
  at: v.optional(instant),
  for: v.optional(entries(value, "values by dimension")),
  steps: v.pipe(
    list(unionByKey(`a step with exactly one of ${STEP_WORDS.join(", ")}`, steps), "a list of steps", MAX_STEPS),
    v.minLength(1, "at least one step"),
  ),
});

export const TEST_KEYS: readonly string[] = Object.keys(test.entries);

export const policyTestsSchema = v.pipe(list(test, "a list of tests", MAX_TESTS), v.minLength(1, "at least one test"));

export const policyTestFileSchema = object("a file of tests: { policy, tests }", {
  $schema: v.optional(v.string("a path or an address")),
  policy: text(/^.{1,1000}$/s, "the path of a policy"),
  tests: policyTestsSchema,
});

export const TEST_FILE_KEYS: readonly string[] = Object.keys(policyTestFileSchema.entries);
