// The keys of a policy: one schema for YAML, JSON and `definePolicy`, and the source of policy.schema.json. What a key means
// is said once, in input.ts. Each message says what was expected; parse.ts adds what was found.

import { z } from "zod";
import { MAX_TOOL_LENGTH } from "../call.ts";
import { MESSAGE_WORDS, NOTICE_WORDS } from "../words.ts";
import { map, object, text, whole } from "./schema-parts.ts";
import {
  burst,
  chargeOrRefund,
  description,
  dimension,
  duration,
  exact,
  lease,
  MAX_PER,
  MAX_VALUES,
  ownText,
  quota,
  quotaOrClaim,
  selectable,
  span,
  time,
  timezone,
  unit,
  units,
  value,
  when,
  window,
} from "./schema-values.ts";

const MAX_LIMITS = 256;
const MAX_NAMES = 10_000;
const MAX_OVERRIDES = 1_000;
const ANCHOR = "a day: 1 (Monday) to 7 of a week, 1 to 31 of a month";
const SHARE = "a share above 0 to 1, or never";
const TOOL = `a tool's name, at most ${MAX_TOOL_LENGTH} characters`;

/** How much a limit allots: its own quota, and other quotas for some calls. */
function allotted<Own extends z.ZodType, Quota extends z.ZodType, Burst extends z.ZodRawShape>(
  own: Own,
  quota: Quota,
  more: Burst,
) {
  const override = object("{ when, quota }", { when, quota, ...more });
  return {
    quota: own,
    quotas: map(
      selectable,
      map(exact, quota, "quotas by value", MAX_NAMES),
      "quotas by dimension and value",
      MAX_PER,
    ).optional(),
    overrides: z
      .array(override, { error: "a list of { when, quota }" })
      .max(MAX_OVERRIDES, { error: `at most ${MAX_OVERRIDES} overrides` })
      .optional(),
  };
}

const unitsAllotted = allotted(quotaOrClaim, quota, {});

/** What limits and `defaults` say. */
const shared = {
  onMissing: z.enum(["error", "skip", "shared"], { error: "error, skip or shared" }).optional(),
  onStoreError: z.enum(["share", "local", "deny", "allow"], { error: "share, local, deny or allow" }).optional(),
  mode: z.enum(["enforce", "warn", "shadow"], { error: "enforce, warn or shadow" }).optional(),
  notice: object("{ at, message }", {
    at: z
      .union([z.number({ error: SHARE }).gt(0, { error: SHARE }).max(1, { error: SHARE }), z.literal("never")], {
        error: SHARE,
      })
      .optional(),
    message: ownText(NOTICE_WORDS),
  }).optional(),
};

const base = {
  name: text(/^[a-z0-9-]{1,64}$/, "a name of lower-case letters, digits and hyphens, at most 64"),
  description,
  per: z.array(dimension, { error: "a list of dimensions" }).max(MAX_PER, { error: `at most ${MAX_PER} dimensions` }),
  when: when.optional(),
  ...shared,
  message: ownText(MESSAGE_WORDS),
};
const counted = { unit: unit.optional() };

const hold = object("{ lease, onExpiry }", {
  lease: lease.optional(),
  onExpiry: chargeOrRefund.optional(),
}).optional();

/** What limits say that units are spent on. */
const spent = {
  ...base,
  ...counted,
  hold,
  onError: chargeOrRefund.optional(),
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

const counting = {
  distinct: dimension.optional(),
  borrow: z.literal("auto", { error: "auto" }).optional(),
};
const idle = {
  resetAfterIdle: span.optional(),
};
const algorithms = [
  object("a limit", {
    ...spent,
    ...unitsAllotted,
    ...counting,
    algorithm: z.literal("budget"),
    ...idle,
    resetAfter: span.optional(),
  }),
  object("a limit", {
    ...spent,
    ...unitsAllotted,
    ...counting,
    algorithm: z.literal("fixed-window"),
    window,
    align: z.enum(["epoch", "first-use"], { error: "epoch or first-use" }).optional(),
    timezone,
    anchorDay: whole(1, 31, ANCHOR).optional(),
  }),
  object("a limit", { ...spent, ...unitsAllotted, algorithm: z.literal("sliding-window"), window: duration }),
  object("a limit", {
    ...spent,
    ...allotted(quotaOrClaim, quota, { burst }),
    algorithm: z.literal("token-bucket"),
    window: duration,
    burst,
  }),
  object("a limit", {
    ...base,
    ...counted,
    ...unitsAllotted,
    ...unspent,
    algorithm: z.literal("concurrency"),
    hold: object("{ lease }", {
      lease: lease.optional(),
    }).optional(),
  }),
  object("a limit", {
    ...base,
    ...allotted(time, time, {}),
    ...unspent,
    algorithm: z.literal("elapsed"),
    ...idle,
  }),
  object("a limit", {
    ...base,
    ...allotted(quota, quota, {}),
    ...unspent,
    algorithm: z.literal("streak"),
    of: z.enum(["errors", "results"], { error: "errors or results" }),
    ...idle,
  }),
  object("a limit", {
    ...base,
    ...unspent,
    ...paced,
    algorithm: z.literal("cooldown"),
    pause: duration,
    overrides: z
      .array(object("{ when, pause }", { when, pause: duration }), { error: "a list of { when, pause }" })
      .max(MAX_OVERRIDES, { error: `at most ${MAX_OVERRIDES} overrides` })
      .optional(),
  }),
] as const;

const tool = object("a tool", {
  description,
  cost: map(unit, units, "amounts by unit", 32).optional(),
  group: value.optional(),
  ignoreArgs: z
    .array(value, { error: "a list of names" })
    .max(MAX_VALUES, { error: `at most ${MAX_VALUES} names` })
    .optional(),
  onError: chargeOrRefund.optional(),
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
  partition: dimension.optional(),
  defaults: defaults.optional(),
  tools: map(value.max(MAX_TOOL_LENGTH, { error: TOOL }), tool, "tools by name", MAX_NAMES).optional(),
  onError: chargeOrRefund.optional(),
  maxHold: duration.optional(),
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
    .max(MAX_LIMITS, { error: `at most ${MAX_LIMITS} limits` }),
  // Not judged here: a wrong test must not keep a policy from being loaded.
  tests: z.unknown().optional(),
});

/** The keys of a policy. */
export const POLICY_KEYS: readonly string[] = Object.keys(policySchema.shape);

/** A policy whose limits all have their algorithm. */
export type ParsedPolicy = z.output<typeof policySchema>;
export type ParsedLimit = ParsedPolicy["limits"][number];
