// From a policy that was checked to one that calls are judged by: durations in ms, rates in whole numbers, defaults.

import type { CalendarWindow } from "./algorithms/fixed-window.ts";
import { algorithmOf, type LimitSpec } from "./algorithms/registry.ts";
import { CALL_WORDS, DERIVED_DIMENSIONS, DIMENSIONS } from "./call.ts";
import { parseDuration } from "./duration.ts";
import { globMatcher, isGlob } from "./glob.ts";
import { isSayable } from "./message.ts";
import type { Allotment, Limit, Override, Policy } from "./policy.ts";
import type { LimitInput, PolicyInput } from "./policy-schema.ts";

/** The policy that a correct input says. */
export function compilePolicy(input: PolicyInput): Policy {
  const limits = input.limits.map(compileLimit);
  const named = input.limits
    .filter(({ per }) => per.at(-1) === "tool")
    .flatMap(({ quotas }) => Object.keys(quotas ?? {}));
  const tools = Object.entries(input.tools ?? {});
  const dimensions = dimensionsOf(input);
  return {
    partition: input.partition ?? "session",
    costs: new Map(tools.flatMap(([tool, { cost }]) => (cost === undefined ? [] : [[tool, { ...cost }] as const]))),
    limits,
    onError: input.onError ?? "charge",
    toolsOnError: new Map(
      tools.flatMap(([tool, { onError }]) => (onError === undefined ? [] : [[tool, onError] as const])),
    ),
    maxHoldMs: toMs(input.maxHold ?? DEFAULT_MAX_HOLD),
    units: new Set(limits.filter(({ isPriced }) => isPriced).map(({ unit }) => unit)),
    tools: [...new Set([...tools.map(([tool]) => tool), ...named])],
    namedTools: new Set([...tools.map(([tool]) => tool), ...named, ...matchedIn(input)].filter(isSayable)),
    tiers: new Map(tools.flatMap(([tool, { tier }]) => (tier === undefined ? [] : [[tool, tier] as const]))),
    volatile: new Map(tools.map(([tool, { volatile }]) => [tool, new Set(volatile)] as const)),
    dimensions: new Set(dimensions),
    callWords: new Set([...dimensions, ...CALL_WORDS]),
    bucketWords: new Set([...dimensions, ...DERIVED_DIMENSIONS]),
  };
}

/** The tools that limits are for by name. */
function matchedIn({ limits }: PolicyInput): string[] {
  return limits.flatMap(({ match }) => (match ?? []).filter((pattern) => !pattern.includes("*")));
}

function dimensionsOf({ limits }: PolicyInput): string[] {
  const said = limits.flatMap((limit) => [
    ...limit.per,
    ...("count" in limit && limit.count !== undefined ? [limit.count] : []),
    ...(limit.overrides ?? []).flatMap(({ when }) => Object.keys(when)),
  ]);
  const derived: readonly string[] = DERIVED_DIMENSIONS;
  return [...DIMENSIONS, ...said.filter((dimension) => !derived.includes(dimension))];
}

const DEFAULT_LEASE = "2m";
const DEFAULT_MAX_HOLD = "1h";
/** A budget that is used up by four fifths is near its end. */
const NOTICE_AT = 0.8;

function compileLimit(limit: LimitInput): Limit {
  const noticeAt = limit.noticeAt === "never" ? null : (limit.noticeAt ?? (isBudget(limit) ? NOTICE_AT : null));
  const allotment = (quota: number | string): Allotment =>
    quota === "unlimited" ? unlimitedOf(limit) : allotmentOf(limit, unitsOf(quota), noticeAt);
  const { lease = DEFAULT_LEASE, onExpiry = "charge" } = holdOf(limit);
  const count = "count" in limit ? (limit.count ?? null) : null;
  const overrides = (limit.overrides ?? []).map(({ when, quota }) => ({
    when: Object.entries(when).map(([dimension, value]) => [dimension, String(value)] as const),
    allotment: allotment(quota),
  }));
  return {
    name: limit.name,
    per: [...limit.per],
    unit: unitOf(limit),
    isPriced: count === null && limit.algorithm !== "elapsed" && limit.algorithm !== "streak",
    count,
    reports: limit.algorithm === "streak" ? limit.of : null,
    calendar: calendarOf(limit),
    optional: limit.optional ?? false,
    mode: modeOf(limit),
    isLent: "lease" in limit && limit.lease === "auto",
    noticeAt,
    message: limit.message ?? null,
    onStoreError: limit.onStoreError ?? "share",
    match: limit.match === undefined || limit.match.includes("*") ? null : [...limit.match],
    matches: toolMatcher(limit.match),
    overrides,
    overrideFor: overrideFinder(overrides),
    leaseMs: toMs(lease),
    onExpiry,
    onError: "onError" in limit ? (limit.onError ?? null) : null,
    allotments: new Map(Object.entries(limit.quotas ?? {}).map(([value, quota]) => [value, allotment(quota)])),
    otherwise: allotment(limit.quota ?? (limit.otherwise === "deny" ? 0 : "unlimited")),
  };
}

function allotmentOf(limit: LimitInput, quota: number, noticeAt: number | null): Allotment {
  const spec = specOf(limit, quota);
  const capacity = algorithmOf(spec).capacity(spec);
  // Nothing is decided by it, so that it need not be exact: four of five are four fifths.
  const noticeBelow = noticeAt === null ? 0 : capacity * (1 - noticeAt + 1e-9);
  return { quota, spec, capacity, isCounted: true, claims: null, noticeBelow, windowMs: windowOf(limit) };
}

function modeOf(limit: LimitInput): Limit["mode"] {
  if (limit.mode === "shadow") return "shadow";
  return limit.algorithm === "streak" && limit.action === "warn" ? "warn" : "enforce";
}

/** The length of a limit's window; `null` where it has none, or a calendar's. */
function windowOf(limit: LimitInput): number | null {
  return "window" in limit && calendarOf(limit) === null ? toMs(limit.window) : null;
}

/** An allotment that denies nothing. */
function unlimitedOf(limit: LimitInput): Allotment {
  const isCounted = limit.algorithm !== "token-bucket" && limit.algorithm !== "concurrency";
  const spec = limit.algorithm === "token-bucket" ? WITHOUT_RATE : specOf(limit, Number.MAX_SAFE_INTEGER);
  const capacity = algorithmOf(spec).capacity(spec);
  return { quota: null, spec, capacity, isCounted, claims: null, noticeBelow: 0, windowMs: windowOf(limit) };
}

/** A token bucket from which everything flows back at once. */
const WITHOUT_RATE: LimitSpec = {
  algorithm: "token-bucket",
  burst: 2 ** 51 - 1,
  levelPerUnit: 1,
  levelPerMs: 2 ** 51 - 1,
};

/** Whether a limit does not refill while a model waits, and is told of in time. */
function isBudget({ algorithm }: LimitInput): boolean {
  return algorithm === undefined || algorithm === "budget" || algorithm === "elapsed";
}

function holdOf(limit: LimitInput): {
  readonly lease?: string | undefined;
  readonly onExpiry?: Limit["onExpiry"] | undefined;
} {
  if (limit.algorithm === "concurrency") return { lease: limit.lease, onExpiry: "refund" };
  return "hold" in limit ? (limit.hold ?? {}) : {};
}

function unitOf(limit: LimitInput): string {
  if (limit.algorithm === "elapsed") return "ms";
  if (limit.algorithm === "streak") return limit.of;
  if ("count" in limit && limit.count !== undefined) return limit.count.replace(/s?$/, "s");
  return limit.unit ?? "calls";
}

function calendarOf(limit: LimitInput): CalendarWindow | null {
  if (limit.algorithm !== "fixed-window" || limit.align !== "calendar") return null;
  const { window, timezone = "UTC", anchorDay = 1 } = limit;
  return { every: window as CalendarWindow["every"], timezone, anchorDay };
}

/** Overrides are looked up once for each set of dimensions, not one after the other: there may be a thousand. */
function overrideFinder(overrides: readonly Override[]): Limit["overrideFor"] {
  const sets = new Map<string, { readonly dimensions: readonly string[]; readonly places: Map<string, number> }>();
  for (const [place, { when }] of overrides.entries()) {
    const pairs = [...when].sort(([one], [other]) => (one < other ? -1 : 1));
    const dimensions = pairs.map(([dimension]) => dimension);
    const set = sets.get(dimensions.join()) ?? { dimensions, places: new Map() };
    sets.set(dimensions.join(), set);
    const values = JSON.stringify(pairs.map(([, value]) => value));
    if (!set.places.has(values)) set.places.set(values, place);
  }
  return (valueIn) => {
    let first = overrides.length;
    for (const { dimensions, places } of sets.values()) {
      const values = dimensions.map(valueIn);
      if (!values.every((value) => typeof value === "string" || typeof value === "number")) continue;
      first = Math.min(first, places.get(JSON.stringify(values.map(String))) ?? first);
    }
    return overrides[first];
  };
}

/** Tells whether `match` lets a tool through. */
export function toolMatcher(patterns: readonly string[] | undefined): (tool: string) => boolean {
  if (patterns === undefined) return () => true;
  const names = new Set(patterns.filter((pattern) => !isGlob(pattern)));
  const globs = patterns.filter(isGlob).map(globMatcher);
  return (tool) => names.has(tool) || globs.some((matches) => matches(tool));
}

/** A quota in whole numbers: one of time is written as a duration. */
export function unitsOf(quota: number | string): number {
  return typeof quota === "number" ? quota : toMs(quota);
}

/** The numbers of a limit. Those of a calendar have no boundaries yet: whoever asks a store names them. */
export function specOf(limit: LimitInput, quota: number): LimitSpec {
  switch (limit.algorithm) {
    case "fixed-window":
      return limit.align === "calendar"
        ? { algorithm: "fixed-window", quota, align: "calendar", boundaries: [0, 0, 0] }
        : { algorithm: "fixed-window", quota, windowMs: toMs(limit.window), align: limit.align ?? "epoch" };
    case "sliding-window":
      return { algorithm: "sliding-window", quota, windowMs: toMs(limit.window) };
    case "token-bucket":
      return tokenBucketSpec(quota, toMs(limit.window), limit.burst ?? quota);
    case "concurrency":
      return { algorithm: "concurrency", quota };
    case "elapsed":
      return { algorithm: "elapsed", quota, ttlMs: toMs(limit.ttl ?? idleOf(limit)) };
    case "streak":
      return { algorithm: "streak", quota, ttlMs: toMs(limit.ttl ?? idleOf(limit)) };
    default: {
      const ttl = limit.ttl ?? idleOf(limit);
      return typeof ttl === "string"
        ? { algorithm: "budget", quota, ttlMs: toMs(ttl), ttlFrom: "last" }
        : { algorithm: "budget", quota, ttlMs: toMs(ttl.fromFirst), ttlFrom: "first" };
    }
  }
}

/** After which idle time a scope has ended, that nobody announces. */
function idleOf({ per }: LimitInput): string {
  return per.includes("turn") ? "24h" : "30d";
}

function tokenBucketSpec(quota: number, windowMs: number, burst: number): LimitSpec {
  // Nothing may ever pass, whatever the burst. What is still recorded flows back as slowly as a rate can be, so that
  // a quota of 0 for a while forgets no use.
  if (quota === 0) return { algorithm: "token-bucket", burst: 0, levelPerUnit: windowMs, levelPerMs: 1 };
  const divisor = greatestCommonDivisor(quota, windowMs);
  return { algorithm: "token-bucket", burst, levelPerUnit: windowMs / divisor, levelPerMs: quota / divisor };
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/** The schema has let only durations through; a calendar's words are no length. */
function toMs(duration: string): number {
  return parseDuration(duration) ?? Number.NaN;
}
