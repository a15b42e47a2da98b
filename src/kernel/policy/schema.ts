// The keys of a policy: one schema for YAML, JSON and `definePolicy`, and the source of policy.schema.json. What a key means
// is said once, in input.ts. Each message says what was expected; parse.ts adds what was found.

import { z } from "zod";
import { MAX_TOOL_LENGTH } from "../call.ts";
import { listed, MESSAGE_WORDS, NOTICE_WORDS } from "../words.ts";
import { listOf, map, object, oneOf, text, whole } from "./schema-parts.ts";
import * as values from "./schema-values.ts";

const MAX_LIMITS = 256;
const MAX_NAMES = 10_000;
const MAX_OVERRIDES = 1_000;
const ANCHOR = "a day: 1 (Monday) to 7 of a week, 1 to 31 of a month";
const SHARE = "a share above 0 to 1, or never";
const TOOL = `a tool's name, at most ${MAX_TOOL_LENGTH} characters`;

const { burst, chargeOrRefund, description, dimension, duration, quota, quotaOrClaim, time, timezone } = values;
const lease = values.lease.optional();

/** How much a limit allots: its own quota, and other quotas for some calls. */
function allotted<Own extends z.ZodType, Quota extends z.ZodType, Burst extends z.ZodRawShape>(
  own: Own,
  quota: Quota,
  more: Burst,
) {
  const byValue = map(values.exact, quota, "quotas by value", MAX_NAMES);
  return {
    quota: own,
    quotas: map(values.selectable, byValue, "quotas by dimension and value", values.MAX_PER).optional(),
    overrides: overrides("{ when, quota }", "a list of { when, quota }", { quota, ...more }),
  };
}

function overrides<Shape extends z.ZodRawShape>(what: string, list: string, shape: Shape) {
  const override = object(what, { when: values.when, ...shape });
  return listOf(override, list, MAX_OVERRIDES, "overrides").optional();
}

const unitsAllotted = allotted(quotaOrClaim, quota, {});

/** What limits and `defaults` say. */
const shared = {
  onMissing: oneOf("error", "skip", "shared").optional(),
  onStoreError: oneOf("share", "local", "deny", "allow").optional(),
  mode: oneOf("enforce", "warn", "shadow").optional(),
  notice: object("{ at, message }", {
    at: z
      .union([z.number({ error: SHARE }).gt(0, { error: SHARE }).max(1, { error: SHARE }), z.literal("never")], {
        error: SHARE,
      })
      .optional(),
    message: values.ownText(NOTICE_WORDS),
  }).optional(),
};

const base = {
  name: text(/^[a-z0-9-]{1,64}$/, "a name of lower-case letters, digits and hyphens, at most 64"),
  description,
  per: listOf(dimension, "a list of dimensions", values.MAX_PER, "dimensions"),
  when: values.when.optional(),
  ...shared,
  message: values.ownText(MESSAGE_WORDS),
};
const counted = { unit: values.unit.optional() };
const hold = object("{ lease, onExpiry }", { lease, onExpiry: chargeOrRefund.optional() }).optional();

/** What limits say that units are spent on. */
const spent = { ...base, ...counted, hold, onError: chargeOrRefund.optional() };

/** Of limits that a call is charged nothing in, or whose units are always given back. */
const unspent = {
  onError: z.never({ error: "no onError: a call that fails has nothing to charge or refund here" }).optional(),
};

/** Of limits that allot one call for each pause. */
const paced = {
  quota: z.never({ error: "no quota: a cooldown allots one call for each pause" }).optional(),
  quotas: z.never({ error: "no quotas: overrides with when and pause" }).optional(),
};

const counting = { distinct: dimension.optional(), borrow: z.literal("auto", { error: "auto" }).optional() };
const idle = { resetAfterIdle: values.span.optional() };

/** The keys of a limit: those that limits of other algorithms have as well, then its own. */
function limit<Name extends string, Shape extends z.ZodRawShape, Own extends z.ZodRawShape>(
  algorithm: Name,
  shape: Shape,
  own: Own,
) {
  return object("a limit", { ...shape, algorithm: z.literal(algorithm), ...own });
}

const algorithms = [
  limit("budget", { ...spent, ...unitsAllotted, ...counting }, { ...idle, resetAfter: values.span.optional() }),
  limit(
    "fixed-window",
    { ...spent, ...unitsAllotted, ...counting },
    {
      window: values.window,
      align: oneOf("epoch", "first-use").optional(),
      timezone,
      anchorDay: whole(1, 31, ANCHOR).optional(),
    },
  ),
  limit("sliding-window", { ...spent, ...unitsAllotted }, { window: duration }),
  limit("token-bucket", { ...spent, ...allotted(quotaOrClaim, quota, { burst }) }, { window: duration, burst }),
  limit(
    "concurrency",
    { ...base, ...counted, ...unitsAllotted, ...unspent },
    { hold: object("{ lease }", { lease }).optional() },
  ),
  limit("elapsed", { ...base, ...allotted(time, time, {}), ...unspent }, idle),
  limit("streak", { ...base, ...allotted(quota, quota, {}), ...unspent }, { of: oneOf("errors", "results"), ...idle }),
  limit(
    "cooldown",
    { ...base, ...unspent, ...paced },
    { pause: duration, overrides: overrides("{ when, pause }", "a list of { when, pause }", { pause: duration }) },
  ),
] as const;

const tool = object("a tool", {
  description,
  cost: map(values.unit, values.units, "amounts by unit", 32).optional(),
  group: values.value.optional(),
  ignoreArgs: listOf(values.value, "a list of names", values.MAX_VALUES, "names").optional(),
  onError: chargeOrRefund.optional(),
});

export const TOOL_KEYS: readonly string[] = Object.keys(tool.shape);

/** The keys of a limit, by its algorithm. */
export const LIMIT_KEYS: ReadonlyMap<string, readonly string[]> = new Map(
  algorithms.map(({ shape }) => [shape.algorithm.value, Object.keys(shape)]),
);

const defaults = object("defaults", { ...shared, hold, timezone });
export const DEFAULTS_KEYS: readonly string[] = Object.keys(defaults.shape);

const algorithmError = listed([...LIMIT_KEYS.keys()], "or");
const anyLimit = z.discriminatedUnion("algorithm", algorithms, {
  error: (issue) => (issue.code === "invalid_union" ? algorithmError : "a limit"),
});

/**
 * What a policy may say, once each limit has its algorithm (settled.ts). What one part of it demands of another is checked in
 * contradictions.ts.
 */
export const policySchema = object("a policy", {
  $schema: z.string({ error: "a path or an address" }).optional(),
  version: z.literal(1, { error: "1" }),
  description,
  partition: dimension.optional(),
  defaults: defaults.optional(),
  tools: map(values.value.max(MAX_TOOL_LENGTH, { error: TOOL }), tool, "tools by name", MAX_NAMES).optional(),
  onError: chargeOrRefund.optional(),
  maxHold: duration.optional(),
  limits: listOf(anyLimit, "a list of limits", MAX_LIMITS, "limits").min(1, { error: "at least one limit" }),
  // Not judged here: a wrong test must not keep a policy from being loaded.
  tests: z.unknown().optional(),
});

export const POLICY_KEYS: readonly string[] = Object.keys(policySchema.shape);

/** A policy whose limits all have their algorithm. */
export type ParsedPolicy = z.output<typeof policySchema>;
export type ParsedLimit = ParsedPolicy["limits"][number];
