// The words of a policy: one schema for YAML, JSON and `definePolicy`, and the source of policy.schema.json.
// Each message says what was expected; what was found is added where faults are made (policy.ts).

import { z } from "zod";
import { CALL_WORDS, type Cost, DIMENSIONS, type Dimension, MAX_TOOL_LENGTH } from "./call.ts";
import { DURATION_PATTERN, parseDuration } from "./duration.ts";
import { MESSAGE_WORDS } from "./message.ts";

/** `250ms`, `30s`, `5m`, `1h`, `7d`: a whole number above 0 and a unit, at most `36500d`. */
export type DurationInput = string;

/** Units allotted: a whole number from 0 (denies always) to 2^53 - 1, or `unlimited` (the limit is left out). */
export type QuotaInput = number | "unlimited";

/** What every limit says. */
export interface LimitBaseInput {
  /** Lower-case letters, digits and hyphens, at most 64; appears in keys, verdicts and messages. */
  readonly name: string;
  /**
   * Whose quota it is: one bucket for each combination of these dimensions' values. `[]` is one for all. A dimension is
   * `tenant`, `user`, `session`, `turn`, `agent`, `model`, `tool`, the tool's `tier`, the call's `args`, or a name of your own,
   * which calls then have to say.
   */
  readonly per: readonly Dimension[];
  /** Which tools it is for, by name; `*` stands for any characters. Default: all. */
  readonly match?: readonly string[] | undefined;
  /** Units allotted. */
  readonly quota?: QuotaInput | undefined;
  /** Other quotas for some values of the last dimension of `per`. */
  readonly quotas?: Readonly<Record<string, QuotaInput>> | undefined;
  /**
   * Other quotas for some callers: the first whose dimensions all have these values. They may be such that the limit is
   * not per, and that only some calls say, as a `plan`.
   */
  readonly overrides?: readonly OverrideInput[] | undefined;
  /**
   * What holds while the store is away: each instance admits its `share` of what was left (default), what is left as if it
   * were alone (`local`), nothing (`deny`), or everything (`allow`). Stores that are never away for long do without.
   */
  readonly onStoreError?: OnStoreError | undefined;
  /** `shadow` counts and reports, but never denies. Default `enforce`. */
  readonly mode?: "enforce" | "shadow" | undefined;
  /**
   * From which share of the quota on, above 0 to 1, the model is told what is left; or `never`. Default: 0.8 for `budget`,
   * never for limits that refill.
   */
  readonly noticeAt?: number | "never" | undefined;
  /**
   * What a denied model is told instead of the usual text, at most 200 characters. Filled in are `{limit}`, `{unit}`,
   * `{cost}`, `{quota}`, `{remaining}`, `{retryAfter}`.
   */
  readonly message?: string | undefined;
  /** What happens to values that `quotas` does not name, where there is no `quota`. */
  readonly otherwise?: "allow" | "deny" | undefined;
  /** What is counted. Default `calls`. */
  readonly unit?: string | undefined;
  /** Whether calls that lack one of the dimensions pass this limit by; else they are refused. Default `false`. */
  readonly optional?: boolean | undefined;
}

/** What holds while the store is away. */
export type OnStoreError = "share" | "local" | "deny" | "allow";

/** Another quota, for calls with these dimensions. */
export interface OverrideInput {
  readonly when: Readonly<Record<string, string | number>>;
  readonly quota: QuotaInput;
}

/** What the policy knows of a tool. */
export interface ToolInput {
  /** What a call costs unless it says otherwise. */
  readonly cost?: Cost | undefined;
  /** What kind of tool it is, for limits per `tier`. */
  readonly tier?: string | undefined;
  /** Fields of its arguments that do not make two calls differ, for limits per `args`. */
  readonly volatile?: readonly string[] | undefined;
  /** What a failed call of it costs, where the limit does not say. Default: the policy's `onError`. */
  readonly onError?: OnError | undefined;
}

/** How units are held that are reserved before they are spent. */
export interface HoldInput {
  /** How long a hold lives unless it is extended, at most `1d`. Default `2m`. */
  readonly lease?: DurationInput | undefined;
  /** What happens to held units that nobody settles: they are spent (default), or free again. */
  readonly onExpiry?: "charge" | "refund" | undefined;
}

/** What a call costs that `run` made and that failed: its price, or only what it reported. */
export type OnError = "charge" | "refund";

/** What limits say that units are spent on. */
export interface SpentLimitInput extends LimitBaseInput {
  readonly hold?: HoldInput | undefined;
  /** What a failed call costs here. Default: the tool's `onError`, else the policy's. */
  readonly onError?: OnError | undefined;
}

/** What limits say whose units may be borrowed ahead. */
interface LendingInput {
  /**
   * `auto`: an instance borrows units ahead, as many as it soon needs, and decides calls without asking the store. The store
   * counts borrowed units as used, so that never more pass. All instances together hold at most 1/32 of the free units
   * unused; a call that these could cover is denied with a `retryAfterMs` of 200. Default: each call asks the store.
   */
  readonly lease?: "auto" | undefined;
}

/** Units for the life of a scope that ends when it was idle for `ttl`. */
export interface BudgetLimitInput extends SpentLimitInput, CountingInput, LendingInput {
  readonly algorithm?: "budget" | undefined;
  /** Default `24h` for limits per turn, `30d` for others. `{ fromFirst }` counts from the first charge instead. */
  readonly ttl?: DurationInput | { readonly fromFirst: DurationInput } | undefined;
}

/** What limits say that count each value of a dimension once. */
interface CountingInput {
  /**
   * Counts the values of this dimension instead of units: a call is charged one when it brings a value that the bucket has
   * not seen in its life, and else passes. The quota is then at most 1,000.
   */
  readonly count?: Dimension | undefined;
}

/** Units for each window of a row. */
export interface FixedWindowLimitInput extends SpentLimitInput, CountingInput, LendingInput {
  readonly algorithm: "fixed-window";
  /** A duration; where windows are a calendar's, `day`, `week` or `month`. */
  readonly window: DurationInput | "day" | "week" | "month";
  /**
   * Whether windows begin at multiples of their length since 1970 (`epoch`, the default), with the first charge
   * (`first-use`), or at the first instant of a local date (`calendar`).
   */
  readonly align?: "epoch" | "first-use" | "calendar" | undefined;
  /** Of a calendar: the zone by its IANA name. Default `UTC`. */
  readonly timezone?: string | undefined;
  /**
   * Of a calendar: on which day its weeks (1, Monday, to 7) or months (1 to 31) begin. A month without that day begins on
   * its last. Default 1.
   */
  readonly anchorDay?: number | undefined;
}

/** Time on the wall from the first call of a scope on. */
export interface ElapsedLimitInput extends Omit<LimitBaseInput, "quota" | "quotas" | "overrides" | "unit"> {
  readonly algorithm: "elapsed";
  readonly quota?: DurationInput | "unlimited" | undefined;
  readonly quotas?: Readonly<Record<string, DurationInput | "unlimited">> | undefined;
  readonly overrides?:
    | readonly { readonly when: OverrideInput["when"]; readonly quota: DurationInput | "unlimited" }[]
    | undefined;
  /** How long the scope must be idle until it is first seen anew. Default `24h` for limits per turn, `30d` for others. */
  readonly ttl?: DurationInput | undefined;
}

/** How often in a row calls may fail, or have the same result. */
export interface StreakLimitInput extends Omit<LimitBaseInput, "unit"> {
  readonly algorithm: "streak";
  /** What is counted: failed calls, or calls whose result was the same. */
  readonly of: "errors" | "results";
  /** Whether a call is then denied (default), or allowed with a notice. */
  readonly action?: "deny" | "warn" | undefined;
  /** How long after the last report the row is forgotten. Default `24h` for limits per turn, `30d` for others. */
  readonly ttl?: DurationInput | undefined;
}

/** Units in any window of a length. */
export interface SlidingWindowLimitInput extends SpentLimitInput {
  readonly algorithm: "sliding-window";
  readonly window: DurationInput;
}

/** A token bucket: `quota` units a window, at most `burst` at once. */
export interface TokenBucketLimitInput extends SpentLimitInput {
  readonly algorithm: "token-bucket";
  readonly window: DurationInput;
  /** A whole number from 1 to 2^53 - 1. Default: the quota. */
  readonly burst?: number | undefined;
}

/** Units in use at one time, such as calls that run side by side. The quota is at most 1,000. */
export interface ConcurrencyLimitInput extends LimitBaseInput {
  readonly algorithm: "concurrency";
  /** How long a unit is in use unless that is extended, at most `1d`. Default `2m`. */
  readonly lease?: DurationInput | undefined;
}

/** One limit of a policy. Without `algorithm` it is a `budget`. */
export type LimitInput =
  | BudgetLimitInput
  | FixedWindowLimitInput
  | SlidingWindowLimitInput
  | TokenBucketLimitInput
  | ConcurrencyLimitInput
  | ElapsedLimitInput
  | StreakLimitInput;

/** A policy as it is written. */
export interface PolicyInput {
  /** For editors: where policy.schema.json lies. */
  readonly $schema?: string | undefined;
  readonly version: 1;
  /** The dimension that most limits share, which keeps their buckets in one place. Default `session`. */
  readonly partition?: Dimension | undefined;
  /** Known tools. */
  readonly tools?: Readonly<Record<string, ToolInput>> | undefined;
  /** What a failed call costs where neither the limit nor the tool says. Default `charge`. */
  readonly onError?: OnError | undefined;
  /** How long `run` and the adapters keep the hold of one call alive. Then its estimate is charged. Default `1h`. */
  readonly maxHold?: DurationInput | undefined;
  /** 1 to 256, judged in this order. */
  readonly limits: readonly LimitInput[];
}

/** An object with these keys alone. */
function object<Shape extends z.ZodRawShape>(what: string, shape: Shape) {
  return z.strictObject(shape, {
    error: (issue) => (issue.code === "unrecognized_keys" ? `only ${keysOf(shape).join(", ")}` : what),
  });
}

/** The keys that an object may have. */
function keysOf(shape: z.ZodRawShape): string[] {
  return Object.keys(shape).filter((key) => shape[key] !== unspent.onError);
}

function text(pattern: RegExp, error: string) {
  return z.string({ error }).regex(pattern, { error });
}

function whole(min: number, error = `a whole number from ${min} to ${Number.MAX_SAFE_INTEGER}`) {
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
const NOTICE = "a share above 0 to 1, or never";
const MESSAGE = `1 to 200 characters, with ${MESSAGE_WORDS.map((word) => `{${word}}`).join(", ")} alone in braces`;
const MAX_MATCHES = 1_000;
const TOOL = `a tool's name, at most ${MAX_TOOL_LENGTH} characters`;

const duration = z
  .string({ error: DURATION })
  .regex(DURATION_PATTERN, { error: DURATION, abort: true })
  .refine((value) => parseDuration(value) !== null, { error: DURATION });
const DIMENSION = `a dimension: ${DIMENSIONS.join(", ")}, tier, args, or a name of your own (a-z, 0-9, _; at most 32)`;
/** Names that mean something else where dimensions are given. */
const RESERVED = new Set<string>([...CALL_WORDS, "limit"]);
const dimension = text(/^[a-z][a-z0-9_]{0,31}$/, DIMENSION).refine((name) => name === "args" || !RESERVED.has(name), {
  error: DIMENSION,
});
const unit = text(/^[a-z][a-z0-9_]{0,31}$/, "a unit such as calls, tokens or usd_micros (a-z, 0-9, _; at most 32)");
const value = text(/./s, "a name that is not empty");
const QUOTA = `a whole number from 0 to ${Number.MAX_SAFE_INTEGER}, or unlimited`;
const quota = z.union([whole(0, QUOTA), z.literal("unlimited")], { error: QUOTA });

function overridesOf<Quota extends z.ZodType>(quota: Quota) {
  const when = map(dimension, z.union([value, z.int()], { error: "a value" }), "values by dimension", MAX_PER);
  return z
    .array(object("{ when, quota }", { when, quota }), { error: "a list of { when, quota }" })
    .max(MAX_OVERRIDES, { error: `at most ${MAX_OVERRIDES} overrides` })
    .optional()
    .describe("Other quotas for some callers: the first whose dimensions all have these values.");
}

const base = {
  name: text(/^[a-z0-9-]{1,64}$/, "a name of lower-case letters, digits and hyphens, at most 64").describe(
    "Appears in keys, verdicts and messages.",
  ),
  per: z
    .array(dimension, { error: "a list of dimensions" })
    .max(MAX_PER, { error: `at most ${MAX_PER} dimensions` })
    .describe("Whose quota it is: one bucket for each combination of these dimensions' values; [] is one for all."),
  quota: quota.optional().describe("Units allotted. 0 denies always; unlimited leaves the limit out."),
  quotas: map(value, quota, "quotas by value of the last dimension of per", MAX_NAMES)
    .optional()
    .describe("Other quotas for some values of the last dimension of per."),
  match: z
    .array(text(/^.{1,256}$/s, "a tool's name, in which * stands for any characters"), { error: "a list of names" })
    .min(1, { error: "at least one name" })
    .max(MAX_MATCHES, { error: `at most ${MAX_MATCHES} names` })
    .optional()
    .describe("Which tools it is for, by name; * stands for any characters. Default: all."),
  mode: z
    .enum(["enforce", "shadow"], { error: "enforce or shadow" })
    .optional()
    .describe("shadow counts and reports, but never denies. Default: enforce."),
  onStoreError: z
    .enum(["share", "local", "deny", "allow"], { error: "share, local, deny or allow" })
    .optional()
    .describe(
      "What an instance admits while the store is away: its share of what was left (default), all that was left (local), nothing, or everything.",
    ),
  noticeAt: z
    .union([z.number({ error: NOTICE }).gt(0, { error: NOTICE }).max(1, { error: NOTICE }), z.literal("never")], {
      error: NOTICE,
    })
    .optional()
    .describe("From which share of the quota on the model is told what is left. Default: 0.8 for budget, else never."),
  message: text(/^[^{}]*(?:\{(?:limit|unit|cost|quota|remaining|retryAfter)\}[^{}]*)*$/, MESSAGE)
    .min(1, { error: MESSAGE })
    .max(200, { error: MESSAGE })
    .optional()
    .describe("What a denied model is told instead of the usual text."),
  overrides: overridesOf(quota),
  otherwise: z
    .enum(["allow", "deny"], { error: "allow or deny" })
    .optional()
    .describe("What happens to values that quotas does not name, where there is no quota."),
  unit: unit.optional().describe("What is counted. Default: calls."),
  optional: z
    .boolean({ error: "true or false" })
    .optional()
    .describe("Whether calls that lack one of the dimensions pass this limit by; else they are refused."),
};

const LEASE = "a duration of at most 1d, such as 30s or 5m";
const lease = duration.refine((value) => (parseDuration(value) ?? 0) <= MAX_LEASE_MS, { error: LEASE });
const chargeOrRefund = z.enum(["charge", "refund"], { error: "charge or refund" });

/** What limits say that units are spent on. */
const spent = {
  ...base,
  hold: object("{ lease, onExpiry }", {
    lease: lease.optional().describe("How long a hold lives unless it is extended. Default: 2m."),
    onExpiry: chargeOrRefund
      .optional()
      .describe("What happens to held units that nobody settles: they are spent (default), or free again."),
  })
    .optional()
    .describe("How units are held that are reserved before they are spent."),
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

const counting = {
  count: dimension
    .optional()
    .describe("Counts each value of this dimension once, instead of units. The quota is at most 1000."),
};
const lending = {
  lease: z
    .literal("auto", { error: "auto" })
    .optional()
    .describe("auto: instances borrow units ahead and decide without asking the store. Default: each call asks."),
};
const ttl = duration
  .optional()
  .describe("How long the scope must be idle until it begins anew. Default: 24h per turn, else 30d.");
const span = z.union([duration, z.literal("unlimited")], { error: `${DURATION}, or unlimited` });
const { unit: _counted, ...unitless } = base;

const algorithms = [
  object("a limit", {
    ...spent,
    ...counting,
    ...lending,
    algorithm: z.literal("budget").optional(),
    ttl: z
      .union([duration, object("fromFirst", { fromFirst: duration })], { error: `${DURATION}, or { fromFirst: … }` })
      .optional()
      .describe("How long the scope must be idle until it counts from zero. Default: 24h per turn, else 30d."),
  }),
  object("a limit", {
    ...spent,
    ...counting,
    ...lending,
    algorithm: z.literal("fixed-window"),
    window: z.union([z.enum(["day", "week", "month"]), duration], { error: `${DURATION}; day, week or month` }),
    align: z
      .enum(["epoch", "first-use", "calendar"], { error: "epoch, first-use or calendar" })
      .optional()
      .describe(
        "Where windows begin: at multiples of their length since 1970 (default), with the first charge, at dates.",
      ),
    timezone: text(/^.{1,64}$/s, TIMEZONE)
      .optional()
      .describe("Of a calendar: the zone. Default: UTC."),
    anchorDay: whole(1, ANCHOR)
      .max(31, { error: ANCHOR })
      .optional()
      .describe("Of a calendar: on which day its weeks or months begin. Default: 1."),
  }),
  object("a limit", { ...spent, algorithm: z.literal("sliding-window"), window: duration }),
  object("a limit", {
    ...spent,
    algorithm: z.literal("token-bucket"),
    window: duration,
    burst: whole(1).optional().describe("Most units at once. Default: the quota."),
  }),
  object("a limit", {
    ...base,
    ...unspent,
    algorithm: z.literal("concurrency"),
    lease: lease.optional().describe("How long a unit is in use unless that is extended. Default: 2m."),
  }),
  object("a limit", {
    ...unitless,
    ...unspent,
    algorithm: z.literal("elapsed"),
    quota: span.optional().describe("How long from the first call on; unlimited leaves the limit out."),
    quotas: map(value, span, "durations by value of the last dimension of per", MAX_NAMES).optional(),
    overrides: overridesOf(span),
    ttl,
  }),
  object("a limit", {
    ...unitless,
    ...unspent,
    algorithm: z.literal("streak"),
    of: z.enum(["errors", "results"], { error: "errors or results" }).describe("What is counted."),
    action: z
      .enum(["deny", "warn"], { error: "deny or warn" })
      .optional()
      .describe("Whether a call is then denied (default), or allowed with a notice."),
    ttl,
  }),
] as const;

const tool = object("a tool", {
  cost: map(unit, whole(0), "whole numbers by unit", 32)
    .optional()
    .describe("What a call costs unless it says otherwise."),
  tier: value.optional().describe("What kind of tool it is, for limits per tier."),
  volatile: z
    .array(value, { error: "a list of names" })
    .max(MAX_MATCHES, { error: `at most ${MAX_MATCHES} names` })
    .optional()
    .describe("Fields of its arguments that do not make two calls differ, for limits per args."),
  onError: chargeOrRefund
    .optional()
    .describe("What a failed call of it costs, where the limit does not say. Default: the policy's."),
});

/** The keys of a tool. */
export const TOOL_KEYS: readonly string[] = Object.keys(tool.shape);

/** The algorithms, as `algorithm` names them. */
export const ALGORITHMS = [
  "budget",
  "fixed-window",
  "sliding-window",
  "token-bucket",
  "concurrency",
  "elapsed",
  "streak",
] as const;

/** The keys of a limit, by its algorithm. */
export const LIMIT_KEYS: ReadonlyMap<string, readonly string[]> = new Map(
  ALGORITHMS.map((name, n) => [name, Object.keys(algorithms[n]?.shape ?? {})]),
);

/** What a policy may say. What one part of it demands of another is checked in policy.ts. */
export const policySchema = object("a policy", {
  $schema: z.string({ error: "a path or an address" }).optional(),
  version: z.literal(1, { error: "1" }),
  partition: dimension.optional().describe("The dimension that most limits share. Default: session."),
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
            ? "budget, fixed-window, sliding-window, token-bucket, concurrency, elapsed or streak"
            : "a limit",
      }),
      { error: "a list of limits" },
    )
    .min(1, { error: "at least one limit" })
    .max(MAX_LIMITS, { error: `at most ${MAX_LIMITS} limits` })
    .describe("Judged in this order, booked all or none."),
});

/** The keys of a policy. */
export const POLICY_KEYS: readonly string[] = Object.keys(policySchema.shape);
