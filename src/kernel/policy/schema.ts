// The keys of a policy: one schema for YAML, JSON and `definePolicy`, and the source of policy.schema.json. What a key means
// is said once, in input.ts. Each message says what was expected; parse.ts adds what was found.

import * as v from "valibot";
import { MAX_TOOL_LENGTH } from "../call.ts";
import { listed, MESSAGE_WORDS, NOTICE_WORDS } from "../words.ts";
import { type Entries, type Output, type Schema, variantOf, wordOf } from "./schema-kinds.ts";
import { listOf, map, object, oneOf, text, whole } from "./schema-parts.ts";
import * as values from "./schema-values.ts";

const MAX_LIMITS = 256;
const MAX_NAMES = 10_000;
const MAX_OVERRIDES = 1_000;
const ANCHOR = "a day: 1 (Monday) to 7 of a week, 1 to 31 of a month";
const LOG_SHARE = "a share from 0 to 1";
const SHARE = "a share above 0 to 1, or never";
const TOOL = `a tool's name, at most ${MAX_TOOL_LENGTH} characters`;

const lease = v.optional(values.lease);

/** How much a limit allots: its own quota, and other quotas for some calls. */
function allotted<Own extends Schema, Quota extends Schema, Burst extends Entries>(
  own: Own,
  quota: Quota,
  more: Burst,
) {
  const byValue = map(values.exact, quota, "quotas by value", MAX_NAMES);
  return {
    quota: own,
    quotas: v.optional(map(values.selectable, byValue, "quotas by dimension and value", values.MAX_PER)),
    overrides: overrides("{ when, quota }", "a list of { when, quota }", { quota, ...more }),
  };
}

function overrides<Shape extends Entries>(what: string, list: string, shape: Shape) {
  const override = object(what, { when: values.when, ...shape });
  return v.optional(listOf(override, list, MAX_OVERRIDES, "overrides"));
}

const unitsAllotted = allotted(values.quotaOrClaim, values.quota, {});

const logShare = v.pipe(v.number(LOG_SHARE), v.minValue(0, LOG_SHARE), v.maxValue(1, LOG_SHARE));
const share = v.pipe(v.number(SHARE), v.gtValue(0, SHARE), v.maxValue(1, SHARE));

/** What limits and `defaults` say. */
const shared = {
  onMissing: v.optional(oneOf("error", "skip", "shared")),
  onStoreError: v.optional(oneOf("share", "local", "deny", "allow")),
  mode: v.optional(oneOf("enforce", "warn", "shadow")),
  notice: v.optional(
    object("{ at, message }", {
      at: v.optional(v.union([share, wordOf(SHARE, ["never"])], SHARE)),
      message: values.ownText(NOTICE_WORDS),
    }),
  ),
};

const base = {
  name: text(/^[a-z0-9-]{1,64}$/, "a name of lower-case letters, digits and hyphens, at most 64"),
  description: values.description,
  per: listOf(values.dimension, "a list of dimensions", values.MAX_PER, "dimensions"),
  when: v.optional(values.when),
  ...shared,
  message: values.ownText(MESSAGE_WORDS),
};
const counted = { unit: v.optional(values.unit) };
const hold = v.optional(object("{ lease, onExpiry }", { lease, onExpiry: v.optional(values.chargeOrRefund) }));

/** What limits say that units are spent on. */
const spent = { ...base, ...counted, hold, onError: v.optional(values.chargeOrRefund) };

/** Of limits that a call is charged nothing in, or whose units are always given back. */
const unspent = {
  onError: v.optional(v.never("no onError: a call that fails has nothing to charge or refund here")),
};

/** Of limits that allot one call for each pause. */
const paced = {
  quota: v.optional(v.never("no quota: a cooldown allots one call for each pause")),
  quotas: v.optional(v.never("no quotas: overrides with when and pause")),
};

const counting = { distinct: v.optional(values.dimension), borrow: v.optional(oneOf("auto")) };
const burst = { burst: values.burst };
const idle = { resetAfterIdle: v.optional(values.span) };

/** The keys of a limit: those that limits of other algorithms have as well, then its own. */
function limit<const Name extends string, Shape extends Entries, Own extends Entries>(
  algorithm: Name,
  shape: Shape,
  own: Own,
) {
  return object("a limit", { ...shape, algorithm: oneOf(algorithm), ...own });
}

const algorithms = [
  limit("budget", { ...spent, ...unitsAllotted, ...counting }, { ...idle, resetAfter: v.optional(values.span) }),
  limit(
    "fixed-window",
    { ...spent, ...unitsAllotted, ...counting },
    {
      window: values.window,
      align: v.optional(oneOf("epoch", "first-use")),
      timezone: values.timezone,
      anchorDay: v.optional(whole(1, 31, ANCHOR)),
    },
  ),
  limit("sliding-window", { ...spent, ...unitsAllotted }, { window: values.duration }),
  limit(
    "token-bucket",
    { ...spent, ...allotted(values.quotaOrClaim, values.quota, burst) },
    { window: values.duration, ...burst },
  ),
  limit(
    "concurrency",
    { ...base, ...counted, ...unitsAllotted, ...unspent },
    { hold: v.optional(object("{ lease }", { lease })) },
  ),
  limit("elapsed", { ...base, ...allotted(values.time, values.time, {}), ...unspent }, idle),
  limit(
    "streak",
    { ...base, ...allotted(values.quota, values.quota, {}), ...unspent },
    { of: oneOf("errors", "results"), ...idle },
  ),
  limit(
    "cooldown",
    { ...base, ...unspent, ...paced },
    {
      pause: values.duration,
      overrides: overrides("{ when, pause }", "a list of { when, pause }", { pause: values.duration }),
    },
  ),
] as const;

const toolName = v.pipe(values.value, v.maxLength(MAX_TOOL_LENGTH, TOOL));
const tool = object("a tool", {
  description: values.description,
  cost: v.optional(map(values.unit, values.units, "amounts by unit", 32)),
  group: v.optional(values.value),
  ignoreArgs: v.optional(listOf(values.value, "a list of names", values.MAX_VALUES, "names")),
  onError: v.optional(values.chargeOrRefund),
});

export const TOOL_KEYS: readonly string[] = Object.keys(tool.entries);

/** The keys of a limit, by its algorithm. */
export const LIMIT_KEYS: ReadonlyMap<string, readonly string[]> = new Map(
  algorithms.map(({ entries }) => [String(entries.algorithm.options[0]), Object.keys(entries)]),
);

const defaults = object("defaults", { ...shared, hold, timezone: values.timezone });
export const DEFAULTS_KEYS: readonly string[] = Object.keys(defaults.entries);

const anyLimit = variantOf("a limit", "algorithm", listed([...LIMIT_KEYS.keys()], "or"), algorithms);

/**
 * What a policy may say, once each limit has its algorithm (settled.ts). What one part of it demands of another is checked in
 * contradictions.ts.
 */
export const policySchema = object("a policy", {
  $schema: v.optional(v.string("a path or an address")),
  version: wordOf("1", [1]),
  description: values.description,
  partition: v.optional(values.dimension),
  defaults: v.optional(defaults),
  tools: v.optional(map(toolName, tool, "tools by name", MAX_NAMES)),
  onError: v.optional(values.chargeOrRefund),
  maxHold: v.optional(values.duration),
  log: v.optional(object("{ allowed, denied }", { allowed: v.optional(logShare), denied: v.optional(logShare) })),
  limits: v.pipe(listOf(anyLimit, "a list of limits", MAX_LIMITS, "limits"), v.minLength(1, "at least one limit")),
  // Not judged here: a wrong test must not keep a policy from being loaded.
  tests: v.optional(v.unknown()),
});

export const POLICY_KEYS: readonly string[] = Object.keys(policySchema.entries);

/** A policy whose limits all have their algorithm. */
export type ParsedPolicy = Output<typeof policySchema>;
export type ParsedLimit = ParsedPolicy["limits"][number];
