// The words of policy tests: one schema for YAML, JSON and `testPolicy`, and the source of policy-test.schema.json.
// What one word demands of another, and of the policy, is in policy-test-faults.ts.

import { Temporal } from "temporal-polyfill";
import { z } from "zod";
import { type Dimensions, MAX_TOOL_LENGTH } from "../kernel/call.ts";
import { parseQuantity, QUANTITY_PATTERN } from "../kernel/quantity.ts";
import {
  parseSpan,
  type PolicyTestAmount,
  type PolicyTestCost,
  type PolicyTestUnits,
  SPAN_PATTERN,
} from "./policy-test-amounts.ts";

/** One test of a policy: what a fresh limiter with this policy answers to calls, one after the other, in virtual time. */
export interface PolicyTest {
  /** What holds, in words, 1 to 200 characters. */
  readonly name: string;
  /**
   * When it begins: an instant from 1970 to 9999, such as `2026-03-01T12:00:00Z` or `2026-03-01T12:00[Europe/Berlin]`.
   * Default `2030-01-01T00:00:00Z`, a Tuesday.
   */
  readonly at?: string | undefined;
  /** Dimensions of all calls and buckets of the test, unless these have their own: `null` removes one. */
  readonly for?: Dimensions | undefined;
  /** 1 to 1,000, until the first one that fails. */
  readonly steps: readonly PolicyTestStep[];
}

/** One step of a test. */
export type PolicyTestStep =
  | PolicyTestCall
  | PolicyTestEnd
  | PolicyTestBucket
  | PolicyTestGrant
  | PolicyTestReset
  /** The time passes: `12h`. */
  | { readonly wait: string }
  /** The time passes until an instant. */
  | { readonly at: string };

/** How a call ends. */
export interface PolicyTestEnding {
  /** What the call took, by unit. What is not named took its price. */
  readonly usage?: PolicyTestCost | undefined;
  /** Whether it fails. Default `false`. */
  readonly error?: boolean | undefined;
  /** What it returns, for limits that count equal results. Default: what no other call of the test returns. */
  readonly result?: unknown;
}

/** A call, which is run as `limiter.run` does, and ended at once unless it has a name. */
export interface PolicyTestCall extends PolicyTestEnding {
  /** The call as `limiter.run` takes it, or the name of its tool. */
  readonly call: string | { readonly [word: string]: unknown };
  /** The call's `cost`, by unit: `{ tokens: 4000 }`, `{ tokens: "50k" }`, `{ usd_micros: "$0.02" }`. */
  readonly cost?: PolicyTestCost | undefined;
  /** Quotas that the call brings, by limit, for limits with `quota: { from: call }`. */
  readonly quotas?: { readonly [limit: string]: PolicyTestUnits } | undefined;
  /**
   * How often it is made, 1 to 100,000. Each call must be as expected. In its texts `{n}` stands for the number of the call,
   * from 1. Default 1.
   */
  readonly times?: number | undefined;
  /** Keeps the call open, under this name, until a step `end` names it: 1 to 64 letters, digits, `_` or `-`. */
  readonly as?: string | undefined;
  /** Default `allowed`. */
  readonly expect?: "allowed" | "denied" | undefined;
  /** The limit that denies the call; if several deny it, the one with the longest wait. */
  readonly by?: string | undefined;
  /** When a denied call can pass: `12h`, exactly or rounded up to whole seconds; `never` where waiting does not help. */
  readonly retryAfter?: string | undefined;
  /** Units left in the call's buckets after the step, by limit. */
  readonly remaining?: { readonly [limit: string]: PolicyTestUnits } | undefined;
  /** The limits that the call does not fit into, also those that only warn or count. */
  readonly exceeded?: readonly string[] | undefined;
  /** Whether the model is told what is left, or a part of the text. */
  readonly notice?: boolean | string | undefined;
  /** A part of the text for the model of a denied call. */
  readonly message?: string | undefined;
}

/** The end of calls that a step kept open. */
export interface PolicyTestEnd extends PolicyTestEnding {
  readonly end: string;
}

/** A bucket: its limit, and the dimensions that the limit is per. */
export interface PolicyTestBucketName {
  readonly limit: string;
  readonly [dimension: string]: unknown;
}

/** How a bucket stands. */
export interface PolicyTestBucket {
  readonly bucket: PolicyTestBucketName;
  /** Quotas that its limit has, if it takes one: as those of a call. */
  readonly quotas?: { readonly [limit: string]: PolicyTestUnits } | undefined;
  readonly used?: PolicyTestUnits | undefined;
  readonly remaining?: PolicyTestUnits | undefined;
  readonly quota?: PolicyTestUnits | undefined;
}

/** Adds units to a bucket's quota for some time. */
export interface PolicyTestGrant {
  readonly grant: PolicyTestBucketName;
  readonly units: PolicyTestAmount;
  readonly duration: string;
}

/** Empties a bucket. */
export interface PolicyTestReset {
  readonly reset: PolicyTestBucketName;
}

/** The words of which each step has exactly one. */
export const STEP_WORDS = ["call", "wait", "at", "end", "bucket", "grant", "reset"] as const;

const MAX_TESTS = 1_000;
const MAX_STEPS = 1_000;
const MAX_TIMES = 100_000;
const MAX_WORDS = 64;

/** Most calls of all tests that are run together. */
export const MAX_CALLS = 1_000_000;

/** When a test begins that does not say. */
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

/** An instant in epoch ms; `null` for what is none. */
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

/** An object with these keys alone. */
function object<Shape extends z.ZodRawShape>(what: string, shape: Shape) {
  return z.strictObject(shape, {
    error: (issue) => (issue.code === "unrecognized_keys" ? `only ${Object.keys(shape).join(", ")}` : what),
  });
}

function text(pattern: RegExp, error: string) {
  return z.string({ error }).regex(pattern, { error });
}

function whole(min: number, max: number, error: string) {
  return z.int({ error }).min(min, { error }).max(max, { error });
}

function list<Item extends z.ZodType>(item: Item, error: string, max: number) {
  return z.array(item, { error }).max(max, { error: `at most ${max}` });
}

function map<Value extends z.ZodType>(value: Value, error: string) {
  return z
    .record(z.string(), value, { error })
    .refine((entries) => Object.keys(entries).length <= MAX_WORDS, { error: `at most ${MAX_WORDS} keys` });
}

/** A whole number, or a text that says one. */
function amount(min: number, error: string) {
  const written = z
    .string({ error })
    .regex(QUANTITY_PATTERN, { error, abort: true })
    .refine((value) => (parseQuantity(value) ?? -1) >= min, { error });
  return z.union([whole(min, Number.MAX_SAFE_INTEGER, error), written], { error });
}

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
const quotas = map(left, "quotas by limit").optional();
const cost = map(units, "amounts by unit");
const limit = text(/^.{1,64}$/s, LIMIT);
const name = text(/^[\w-]{1,64}$/, NAME);
const bucket = z
  .looseObject({ limit }, { error: BUCKET })
  .refine((entries) => Object.keys(entries).length <= MAX_WORDS, { error: `at most ${MAX_WORDS} keys` });

const ending = {
  usage: cost.optional().describe("What the call took, by unit. What is not named took its price."),
  error: z.boolean({ error: "true or false" }).optional().describe("Whether the call fails. Default: false."),
  result: z
    .unknown()
    .optional()
    .describe("What the call returns, for limits that count equal results. Default: what no other call returns."),
};

const steps = {
  call: object("a step", {
    call: z
      .union([text(/^.+$/s, CALL).max(MAX_TOOL_LENGTH, { error: CALL }), map(z.unknown(), CALL)], { error: CALL })
      .describe("The call, or the name of its tool."),
    cost: cost.optional().describe("The call's cost, by unit."),
    quotas: quotas.describe("Quotas that the call brings, by limit, for limits with quota: { from: call }."),
    times: whole(1, MAX_TIMES, `a whole number from 1 to ${MAX_TIMES}`)
      .optional()
      .describe(
        "How often it is made. Each call must be as expected. In its texts {n} is the number of the call, from 1. Default: 1.",
      ),
    as: name.optional().describe("Keeps the call open, under this name, until a step `end` names it."),
    ...ending,
    expect: z.enum(["allowed", "denied"], { error: "allowed or denied" }).optional().describe("Default: allowed."),
    by: limit.optional().describe("The limit that denies the call; if several deny it, the one with the longest wait."),
    retryAfter: z
      .union([z.literal("never"), duration], { error: `${DURATION}, or never` })
      .optional()
      .describe(
        "When a denied call can pass, exactly or rounded up to whole seconds; never where waiting does not help.",
      ),
    remaining: map(left, "units left by limit")
      .optional()
      .describe("Units left in the call's buckets after the step, by limit."),
    exceeded: list(limit, "a list of limits", MAX_WORDS)
      .optional()
      .describe("The limits that the call does not fit into, also those that only warn or count."),
    notice: z
      .union([z.boolean(), text(/^.{1,300}$/s, NOTICE)], { error: NOTICE })
      .optional()
      .describe("Whether the model is told what is left, or a part of the text."),
    message: text(/^.{1,300}$/s, PART)
      .optional()
      .describe("A part of the text for the model of a denied call."),
  }),
  wait: object("a step", { wait: duration.describe("The time passes.") }),
  at: object("a step", { at: instant.describe("The time passes until this instant.") }),
  end: object("a step", { end: name.describe("The calls that a step kept open under this name."), ...ending }),
  bucket: object("a step", {
    bucket: bucket.describe("How a bucket stands: its limit, and the dimensions that the limit is per."),
    quotas: quotas.describe("The quota of its limit, where calls bring it."),
    used: left.optional(),
    remaining: left.optional(),
    quota: left.optional(),
  }),
  grant: object("a step", {
    grant: bucket.describe("Adds units to a bucket's quota for some time."),
    units: amount(1, `a whole number from 1 to ${Number.MAX_SAFE_INTEGER}, or an amount such as 50k or $0.02`),
    duration,
  }),
  reset: object("a step", { reset: bucket.describe("Empties a bucket.") }),
} as const;

/** The keys that a step may have, by the word that says what it does. */
export const STEP_KEYS: Readonly<Record<(typeof STEP_WORDS)[number], readonly string[]>> = {
  call: Object.keys(steps.call.shape),
  wait: Object.keys(steps.wait.shape),
  at: Object.keys(steps.at.shape),
  end: Object.keys(steps.end.shape),
  bucket: Object.keys(steps.bucket.shape),
  grant: Object.keys(steps.grant.shape),
  reset: Object.keys(steps.reset.shape),
};

const VALUE = "a text that is not empty, or a whole number";
const value = z.union([text(/./s, VALUE), z.int({ error: VALUE })], { error: VALUE });

const test = object("a test", {
  name: text(/^.{1,200}$/s, "a name of 1 to 200 characters").describe("What holds, in words."),
  at: instant.optional().describe(`When the test begins. Default: ${DEFAULT_AT}.`),
  for: map(value, "values by dimension").optional().describe("Dimensions of all calls and buckets of the test."),
  steps: list(z.union(STEP_WORDS.map((word) => steps[word])), "a list of steps", MAX_STEPS)
    .min(1, { error: "at least one step" })
    .describe("One after the other, until the first one that fails."),
});

/** The keys of a test. */
export const TEST_KEYS: readonly string[] = Object.keys(test.shape);

/** The tests of a policy. */
export const policyTestsSchema = list(test, "a list of tests", MAX_TESTS)
  .min(1, { error: "at least one test" })
  .describe("Tests of this policy, for `tollgate test`. They change no decision.");

/** A file of tests. */
export const policyTestFileSchema = object("a file of tests: { policy, tests }", {
  $schema: z.string({ error: "a path or an address" }).optional(),
  policy: text(/^.{1,1000}$/s, "the path of a policy").describe("The policy, by its path from this file."),
  tests: policyTestsSchema,
});

/** The keys of a file of tests. */
export const TEST_FILE_KEYS: readonly string[] = Object.keys(policyTestFileSchema.shape);
