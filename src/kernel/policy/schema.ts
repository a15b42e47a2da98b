// The words of a policy: one schema for YAML, JSON and `definePolicy`, and the source of policy.schema.json.
// Each message says what was expected; what was found is added where faults are made (policy.ts).

import { z } from "zod";
import { CALL_WORDS, DIMENSIONS, MAX_TOOL_LENGTH } from "../call.ts";
import { DURATION_PATTERN, parseDuration } from "../duration.ts";
import type { DurationInput } from "./input.ts";
import { MESSAGE_WORDS, NOTICE_WORDS } from "../words.ts";
import { parseQuantity, QUANTITY_PATTERN, type QuantityText } from "../quantity.ts";

/** An object with these keys alone. */
function object<Shape extends z.ZodRawShape>(what: string, shape: Shape) {
  return z.strictObject(shape, {
    error: (issue) => (issue.code === "unrecognized_keys" ? `only ${keysOf(shape).join(", ")}` : what),
  });
}

/** The keys that an object may have. */
function keysOf(shape: z.ZodRawShape): string[] {
  return Object.keys(shape).filter((key) => !REFUSED.has(shape[key]));
}

function text(pattern: RegExp, error: string) {
  return z.string({ error }).regex(pattern, { error });
}

function wholeFrom(min: number): string {
  return `a whole number from ${min} to ${Number.MAX_SAFE_INTEGER}`;
}

function whole(min: number, error: string) {
  return z.int({ error }).min(min, { error });
}

/** An object used as a map; `max` bounds what one policy can make a process hold. */
function map<Key extends z.ZodString, Value extends z.ZodType>(key: Key, value: Value, what: string, max: number) {
  const error = `${what}, at most ${max} entries`;
  return z.record(key, value, { error }).refine((entries) => Object.keys(entries).length <= max, { error });
}

const DURATION = "a duration such as 250ms, 30s, 5m, 1h or 7d, at most 36500d";
const MAX_LIMITS = 256;
/** A day. */
export const MAX_LEASE_MS = 86_400_000;
const MAX_NAMES = 10_000;
const MAX_PER = 8;
const MAX_OVERRIDES = 1_000;
const TIMEZONE = "a time zone by its IANA name, such as Europe/Berlin";
const ANCHOR = "a day: 1 (Monday) to 7 of a week, 1 to 31 of a month";
const SHARE = "a share above 0 to 1, or never";
const MAX_PATTERNS = 1_000;
const TOOL = `a tool's name, at most ${MAX_TOOL_LENGTH} characters`;

function isTimezone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

// Whatever the pattern lets through is one of these texts.
const duration = z
  .string({ error: DURATION })
  .regex(DURATION_PATTERN, { error: DURATION, abort: true })
  .refine((value) => parseDuration(value) !== null, { error: DURATION }) as z.ZodType<DurationInput, DurationInput>;
const DIMENSION = `a dimension: ${DIMENSIONS.join(", ")}, group, args, or a name of your own (a-z, 0-9, _; at most 32)`;
/** Names that mean something else where dimensions are given. */
const RESERVED = new Set<string>([...CALL_WORDS, "limit"]);
const NAME = /^[a-z][a-z0-9_]{0,31}$/;
const dimension = text(NAME, DIMENSION).refine((name) => name === "args" || !RESERVED.has(name), { error: DIMENSION });
const SELECTABLE = DIMENSION.replace(" args,", "");
/** Arguments are known by a hash alone: nobody can write one down. */
const selectable = text(NAME, SELECTABLE).refine((name) => !RESERVED.has(name), { error: SELECTABLE });
const unit = text(NAME, "a unit such as calls, tokens or usd_micros (a-z, 0-9, _; at most 32)");
const value = text(/./s, "a name that is not empty");
const exact = text(/^(?!!)[^*]+$/s, "a whole value, without * and !: patterns are for the when of overrides");
const description = text(/^.{1,200}$/s, "1 to 200 characters")
  .optional()
  .describe("For people.");
const AMOUNT = "an amount such as 200k or $0.05";

/** A whole number, or a text that says one. */
function amount(min: number, error = `${wholeFrom(min)}, or ${AMOUNT}`) {
  const isEnough = (value: string) => (parseQuantity(value) ?? -1) >= min;
  // Whatever the pattern lets through is one of these texts.
  const written = z
    .string({ error })
    .regex(QUANTITY_PATTERN, { error, abort: true })
    .refine(isEnough, { error }) as z.ZodType<QuantityText>;
  return z.union([whole(min, error), written], { error });
}

const QUOTA = `${wholeFrom(0)}, ${AMOUNT}, or unlimited`;
const quota = z.union([amount(0, QUOTA), z.literal("unlimited")], { error: QUOTA });
const burst = amount(1).optional();

const PATTERN = `a value of 1 to ${MAX_TOOL_LENGTH} characters, in which * stands for any characters and ! before it for not`;
const pattern = z.union([text(/^(?!!$).{1,1024}$/s, PATTERN), z.int({ error: PATTERN })], { error: PATTERN });
const SELECTOR = "a value, or a list of values";
const selector = z.union(
  [
    pattern,
    z
      .array(pattern, { error: SELECTOR })
      .min(1, { error: "at least one value" })
      .max(MAX_PATTERNS, { error: `at most ${MAX_PATTERNS} values` }),
  ],
  { error: SELECTOR },
);
const when = map(selectable, selector, "values by dimension", MAX_PER);

/** The words of a policy's own texts. */
function ownText(words: readonly string[]) {
  const error = `1 to 200 characters, with ${words.map((word) => `{${word}}`).join(", ")} alone in braces`;
  return text(new RegExp(`^[^{}]*(?:\\{(?:${words.join("|")})\\}[^{}]*)*$`), error)
    .min(1, { error })
    .max(200, { error })
    .optional();
}

const FROM_CALL = "{ from: call, default, max }";
/** A quota that callers may bring; else it is one like any other. */
const quotaOrClaim = z.union(
  [
    quota,
    object(FROM_CALL, {
      from: z.literal("call").describe("Calls may bring the quota, or the option quotas of createLimiter says it."),
      default: quota.describe("The quota where neither says one."),
      max: quota.describe("The largest quota: a larger one counts as this."),
    }),
  ],
  { error: ({ input }) => (typeof input === "object" && input !== null ? FROM_CALL : QUOTA) },
);

/**
 * How much a limit allots, in amounts of a kind.
 *
 * @param own what is allotted to all calls that nothing else is said of
 */
function allotted<Own extends z.ZodType, Quota extends z.ZodType, Burst extends z.ZodRawShape>(
  own: Own,
  quota: Quota,
  what: string,
  more: Burst,
) {
  const override = object("{ when, quota }", { when, quota, ...more });
  return {
    quota: own.describe(what),
    quotas: map(selectable, map(exact, quota, "quotas by value", MAX_NAMES), "quotas by dimension and value", MAX_PER)
      .optional()
      .describe("Other quotas, by dimension and value. The first dimension that has an entry for the call wins."),
    overrides: z
      .array(override, { error: "a list of { when, quota }" })
      .max(MAX_OVERRIDES, { error: `at most ${MAX_OVERRIDES} overrides` })
      .optional()
      .describe("Other quotas for some calls: the first whose when matches, before quotas."),
  };
}

const UNITS = "Units allotted. 0 denies always; unlimited counts and never denies.";
const units = allotted(quotaOrClaim, quota, UNITS, {});

/** What limits and `defaults` say. */
const shared = {
  onMissing: z
    .enum(["error", "skip", "shared"], { error: "error, skip or shared" })
    .optional()
    .describe(
      "What happens to calls that lack a dimension of per: they are refused (error, the default), pass this limit by (skip), or share one bucket (shared).",
    ),
  onStoreError: z
    .enum(["share", "local", "deny", "allow"], { error: "share, local, deny or allow" })
    .optional()
    .describe(
      "What an instance admits while the store is unreachable: its share of what was left (default), all that was left (local), nothing, or everything.",
    ),
  mode: z
    .enum(["enforce", "warn", "shadow"], { error: "enforce, warn or shadow" })
    .optional()
    .describe(
      "What happens to calls that exceed the quota: they are denied (enforce, the default), counted and allowed with a notice (warn), or counted and reported alone (shadow).",
    ),
  notice: object("{ at, message }", {
    at: z
      .union([z.number({ error: SHARE }).gt(0, { error: SHARE }).max(1, { error: SHARE }), z.literal("never")], {
        error: SHARE,
      })
      .optional()
      .describe(
        "The share of the quota at which notices begin. Default: 0.8 for budget and elapsed, unless they only warn; else never.",
      ),
    message: ownText(NOTICE_WORDS).describe("The text instead of the usual one."),
  })
    .optional()
    .describe("What a model is told before this limit denies."),
};
const timezone = z
  .string({ error: TIMEZONE })
  .regex(/^.{1,64}$/s, { error: TIMEZONE, abort: true })
  .refine(isTimezone, { error: TIMEZONE })
  .optional()
  .describe("Of windows that are a day, week or month: the zone. Default: UTC.");

const base = {
  name: text(/^[a-z0-9-]{1,64}$/, "a name of lower-case letters, digits and hyphens, at most 64").describe(
    "Appears in keys, verdicts and messages.",
  ),
  description,
  per: z
    .array(dimension, { error: "a list of dimensions" })
    .max(MAX_PER, { error: `at most ${MAX_PER} dimensions` })
    .describe("Whose quota it is: one bucket for each combination of these dimensions' values; [] is one for all."),
  when: when.optional().describe("Which calls it is for, by any dimension but args. Default: all."),
  ...shared,
  message: ownText(MESSAGE_WORDS).describe("What a denied model is told instead of the usual text."),
};
const counted = { unit: unit.optional().describe("What is counted. Default: calls.") };

const LEASE = "a duration of at most 1d, such as 30s or 5m";
const lease = duration.refine((value) => (parseDuration(value) ?? 0) <= MAX_LEASE_MS, { error: LEASE });
const chargeOrRefund = z.enum(["charge", "refund"], { error: "charge or refund" });

const hold = object("{ lease, onExpiry }", {
  lease: lease.optional().describe("How long a hold lives unless it is extended. Default: 2m."),
  onExpiry: chargeOrRefund
    .optional()
    .describe("What happens to held units that nobody settles: they are spent (default), or free again."),
})
  .optional()
  .describe("How units are held that are reserved before they are spent.");

/** What limits say that units are spent on. */
const spent = {
  ...base,
  ...counted,
  hold,
  onError: chargeOrRefund
    .optional()
    .describe(
      "What a failed call costs here: its price, or only what it reported. Default: the tool's, else the policy's.",
    ),
};

/** Of limits that a call is charged nothing in, or whose units are always given back. */
const unspent = {
  onError: z.never({ error: "no onError: a call that fails has nothing to charge or refund here" }).optional(),
};

/** Of limits that allot one call for each pause. */
const paced = {
  quota: z.never({ error: "no quota: a cooldown allots one call for each pause" }).optional(),
  quotas: z.never({ error: "no quotas: overrides with when and pause" }).optional(),
};

/** Keys that are there to be refused with a reason. */
const REFUSED: ReadonlySet<unknown> = new Set([unspent.onError, paced.quota, paced.quotas]);

const counting = {
  distinct: dimension
    .optional()
    .describe("Counts each value of this dimension once, instead of units. The quota is at most 1000."),
  borrow: z
    .literal("auto", { error: "auto" })
    .optional()
    .describe("auto: instances borrow units ahead and decide without asking the store. Default: each call asks."),
};
const SPAN = `${DURATION}, or never`;
const span = z.union([duration, z.literal("never")], { error: SPAN });
const idle = {
  resetAfterIdle: span
    .optional()
    .describe("How long the scope must be idle until it begins again, or never. Default: 24h per turn, else 30d."),
};
const time = z.union([duration, z.literal("unlimited")], { error: `${DURATION}, or unlimited` });

const algorithms = [
  object("a limit", {
    ...spent,
    ...units,
    ...counting,
    algorithm: z.literal("budget"),
    ...idle,
    resetAfter: span
      .optional()
      .describe("How long after its first charge the scope counts from zero, or never. Not beside resetAfterIdle."),
  }),
  object("a limit", {
    ...spent,
    ...units,
    ...counting,
    algorithm: z.literal("fixed-window"),
    window: z.union([z.enum(["day", "week", "month"]), duration], { error: `${DURATION}; day, week or month` }),
    align: z
      .enum(["epoch", "first-use"], { error: "epoch or first-use" })
      .optional()
      .describe("Where windows begin: at multiples of their length since 1970 (default), or with the first charge."),
    timezone,
    anchorDay: whole(1, ANCHOR)
      .max(31, { error: ANCHOR })
      .optional()
      .describe("Of windows that are a week or month: on which day they begin. Default: 1."),
  }),
  object("a limit", { ...spent, ...units, algorithm: z.literal("sliding-window"), window: duration }),
  object("a limit", {
    ...spent,
    ...allotted(quotaOrClaim, quota, "Units for each window. 0 denies always; unlimited never denies.", {
      burst: burst.describe("Most units at once. Default: the limit's burst, else this quota."),
    }),
    algorithm: z.literal("token-bucket"),
    window: duration,
    burst: burst.describe("Most units at once. Default: the quota."),
  }),
  object("a limit", {
    ...base,
    ...counted,
    ...units,
    ...unspent,
    algorithm: z.literal("concurrency"),
    hold: object("{ lease }", {
      lease: lease.optional().describe("How long a unit is in use unless that is extended. Default: 2m."),
    }).optional(),
  }),
  object("a limit", {
    ...base,
    ...allotted(time, time, "How long from the first call on; unlimited never denies.", {}),
    ...unspent,
    algorithm: z.literal("elapsed"),
    ...idle,
  }),
  object("a limit", {
    ...base,
    ...allotted(quota, quota, "How many equal outcomes in a row. 0 denies always; unlimited never denies.", {}),
    ...unspent,
    algorithm: z.literal("streak"),
    of: z.enum(["errors", "results"], { error: "errors or results" }).describe("What is counted."),
    ...idle,
  }),
  object("a limit", {
    ...base,
    ...unspent,
    ...paced,
    algorithm: z.literal("cooldown"),
    pause: duration.describe("How long after a call began the next call may begin."),
    overrides: z
      .array(object("{ when, pause }", { when, pause: duration }), { error: "a list of { when, pause }" })
      .max(MAX_OVERRIDES, { error: `at most ${MAX_OVERRIDES} overrides` })
      .optional()
      .describe("Other pauses for some calls: the first whose when matches."),
  }),
] as const;

const tool = object("a tool", {
  description,
  cost: map(unit, amount(0), "amounts by unit", 32).optional().describe("What a call costs unless it says otherwise."),
  group: value.optional().describe("What kind of tool it is, for limits per group."),
  ignoreArgs: z
    .array(value, { error: "a list of names" })
    .max(MAX_PATTERNS, { error: `at most ${MAX_PATTERNS} names` })
    .optional()
    .describe("Fields of its arguments that do not make two calls differ, for limits per args."),
  onError: chargeOrRefund
    .optional()
    .describe("What a failed call of it costs, where the limit does not say. Default: the policy's."),
});

/** The keys of a tool. */
export const TOOL_KEYS: readonly string[] = Object.keys(tool.shape);

/** The algorithms, as `algorithm` names them. */
export const ALGORITHMS = algorithms.map(({ shape }) => shape.algorithm.value);

export type Algorithm = (typeof ALGORITHMS)[number];

/** The keys of a limit, by its algorithm. */
export const LIMIT_KEYS: ReadonlyMap<string, readonly string[]> = new Map(
  algorithms.map(({ shape }) => [shape.algorithm.value, Object.keys(shape)]),
);

const defaults = object("defaults", { ...shared, hold, timezone });

/** The keys of `defaults`. */
export const DEFAULTS_KEYS: readonly string[] = Object.keys(defaults.shape);

/**
 * What a policy may say, once each limit has its algorithm (policy-settled.ts). What one part of it demands of another is
 * checked in policy-contradictions.ts.
 */
export const policySchema = object("a policy", {
  $schema: z.string({ error: "a path or an address" }).optional(),
  version: z.literal(1, { error: "1" }),
  description,
  partition: dimension.optional().describe("The dimension that most limits share. Default: session."),
  defaults: defaults.optional().describe("What limits say that do not say it themselves, where they have the key."),
  tools: map(value.max(MAX_TOOL_LENGTH, { error: TOOL }), tool, "tools by name", MAX_NAMES)
    .optional()
    .describe("Known tools."),
  onError: chargeOrRefund
    .optional()
    .describe(
      "What a failed call costs that run made, where neither limit nor tool says: its price (default), or only what it reported.",
    ),
  maxHold: duration
    .optional()
    .describe(
      "How long run and the adapters keep the hold of one call alive; then its estimate is charged. Default: 1h.",
    ),
  limits: z
    .array(
      z.discriminatedUnion("algorithm", algorithms, {
        error: (issue) =>
          issue.code === "invalid_union"
            ? "budget, fixed-window, sliding-window, token-bucket, concurrency, elapsed, streak or cooldown"
            : "a limit",
      }),
      { error: "a list of limits" },
    )
    .min(1, { error: "at least one limit" })
    .max(MAX_LIMITS, { error: `at most ${MAX_LIMITS} limits` })
    .describe("Judged in this order, booked all or none."),
  // Not judged here: a wrong test must not keep a policy from being loaded.
  tests: z.unknown().optional(),
});

/** The keys of a policy. */
export const POLICY_KEYS: readonly string[] = Object.keys(policySchema.shape);

/** A policy whose limits all have their algorithm. */
export type ParsedPolicy = z.output<typeof policySchema>;
export type ParsedLimit = ParsedPolicy["limits"][number];
