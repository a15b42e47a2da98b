// From a policy that was checked to one that calls are judged by: durations in ms, rates in whole numbers, defaults.

import type { CalendarWindow } from "../algorithms/fixed-window.ts";
import { algorithmOf, type LimitSpec } from "../algorithms/registry.ts";
import { CALL_WORDS, DERIVED_DIMENSIONS, DIMENSIONS } from "../call.ts";
import { claimsUpTo } from "../claims.ts";
import { MAX_DURATION_MS, parseDuration } from "../duration.ts";
import { entryFinder, isGlob } from "../glob.ts";
import { digest } from "../key.ts";
import type { Allotment, CompiledPolicy, Limit, Tool } from "../limit.ts";
import { isSayable } from "../message.ts";
import type { QuotaFromCallInput, QuotaInput, WhenInput } from "./input-values.ts";
import type { OverrideInput, ToolInput } from "./input.ts";
import type { ParsedLimit, ParsedPolicy } from "./schema.ts";
import { isCalendarWord } from "./settled.ts";
import { parseQuantity } from "../quantity.ts";
import { callMatcher, excludedBy, firstMatcher, patternsOf, valueMatcher } from "../selector.ts";

/** The policy that a correct input says. */
export function compilePolicy(input: ParsedPolicy): CompiledPolicy {
  const limits = input.limits.map(compileLimit);
  const named = input.limits.flatMap(({ quotas }) => Object.keys(quotas?.tool ?? {}));
  const tools = Object.entries(input.tools ?? {}).map(([name, tool]) => [name, compileTool(tool)] as const);
  const whole = tools.map(([name]) => name).filter((name) => !isGlob(name));
  const dimensions = dimensionsOf(input);
  return {
    version: digest({ ...input, tests: undefined }),
    partition: input.partition ?? "session",
    limits,
    onError: input.onError ?? "charge",
    toolNamed: entryFinder(tools),
    maxHoldMs: toMs(input.maxHold ?? DEFAULT_MAX_HOLD),
    units: new Set(limits.filter(({ isPriced }) => isPriced).map(({ unit }) => unit)),
    tools: [...new Set([...whole, ...named])],
    namedTools: new Set([...whole, ...named, ...selectedIn(input)].filter(isSayable)),
    groups: new Set(tools.flatMap(([, { group }]) => group ?? [])),
    dimensions: new Set(dimensions),
    callWords: new Set([...dimensions, ...CALL_WORDS]),
    bucketWords: new Set([...dimensions, ...DERIVED_DIMENSIONS]),
  };
}

function compileTool({ cost, group, ignoreArgs, onError }: ToolInput): Tool {
  const units = Object.entries(cost ?? {}).map(([unit, amount]) => [unit, unitsOf(amount)] as const);
  return { cost: cost && Object.fromEntries(units), group, ignoreArgs: new Set(ignoreArgs), onError };
}

/** The tools that the `when` of limits have by name. */
function selectedIn({ limits }: ParsedPolicy): string[] {
  const patterns = limits.flatMap(({ when }) => (when?.tool === undefined ? [] : patternsOf(when.tool)));
  return patterns.map((pattern) => excludedBy(pattern) ?? pattern).filter((name) => !isGlob(name));
}

/** What the guards of a model call it. */
const MODEL = "model";

/** Whether all calls of a limit are the model's: its tool is `model`, or they say a model, which those of tools do not. */
function isOfModel({ when }: ParsedLimit): boolean {
  if (when?.tool !== undefined) return patternsOf(when.tool).every((pattern) => pattern === MODEL);
  return when?.model !== undefined && patternsOf(when.model).some((pattern) => excludedBy(pattern) === null);
}

/**
 * The tools that a limit is for, where a list of names and patterns says it; `null` for all. No model calls itself: without
 * its calls, all are left.
 */
function toolsOf(limit: ParsedLimit): readonly string[] | null {
  const { when } = limit;
  if (isOfModel(limit)) return null;
  const written = when?.tool === undefined ? ["*"] : patternsOf(when.tool);
  const others = written.filter((pattern) => excludedBy(pattern) !== MODEL);
  const patterns = others.length === 0 ? ["*"] : others;
  if (when?.group !== undefined || patterns.some((pattern) => excludedBy(pattern) !== null)) return [];
  return patterns.includes("*") ? null : patterns;
}

/** Which calls a limit is for, by other dimensions than the tool; `null` for all. */
function selectorOf({ when }: ParsedLimit): Limit["selects"] {
  const { tool: _, ...others } = when ?? {};
  return Object.keys(others).length === 0 ? null : callMatcher(others);
}

function dimensionsOf({ limits }: ParsedPolicy): string[] {
  const derived: readonly string[] = DERIVED_DIMENSIONS;
  return [...DIMENSIONS, ...limits.flatMap(dimensionsIn).filter((dimension) => !derived.includes(dimension))];
}

/** The dimensions that a limit looks at, but for the tool that its `when` names. */
function dimensionsIn(limit: ParsedLimit): string[] {
  return [
    ...limit.per,
    ...("distinct" in limit && limit.distinct !== undefined ? [limit.distinct] : []),
    ...Object.keys(limit.when ?? {}).filter((dimension) => dimension !== "tool"),
    ...Object.keys(limit.quotas ?? {}),
    ...(limit.overrides ?? []).flatMap(({ when }) => Object.keys(when)),
  ];
}

const DEFAULT_LEASE = "2m";
const DEFAULT_MAX_HOLD = "1h";
/** A budget that is used up by four fifths is near its end. */
const NOTICE_AT = 0.8;

function compileLimit(limit: ParsedLimit): Limit {
  const { at = isBudget(limit) && limit.mode !== "warn" ? NOTICE_AT : "never", message = null } = limit.notice ?? {};
  const noticeAt = at === "never" ? null : at;
  const allotment = (quota: number | string, burst?: number | string): Allotment =>
    quota === "unlimited" ? unlimitedOf(limit) : allotmentOf(limit, unitsOf(quota), noticeAt, burst);
  const { lease = DEFAULT_LEASE, onExpiry = "charge" } = holdOf(limit);
  const distinct = "distinct" in limit ? (limit.distinct ?? null) : null;
  const { quotas, overrides: written } = allottedIn(limit);
  const overrides = written.map(({ quota, burst }) => ({ allotment: allotment(quota, burst) }));
  const placeOf = firstMatcher(written.map(({ when }) => when));
  return {
    name: limit.name,
    per: [...limit.per],
    unit: unitOf(limit),
    isPriced: distinct === null && limit.algorithm !== "elapsed" && limit.algorithm !== "streak",
    distinct,
    reports: limit.algorithm === "streak" ? limit.of : null,
    calendar: calendarOf(limit),
    onMissing: limit.onMissing ?? "error",
    mode: limit.mode ?? "enforce",
    isBorrowing: "borrow" in limit && limit.borrow === "auto",
    notice: { at: noticeAt, message },
    message: limit.message ?? null,
    onStoreError: limit.onStoreError ?? "share",
    dimensions: new Set(dimensionsIn(limit)),
    tools: toolsOf(limit),
    isOfModel: isOfModel(limit),
    matches: toolMatcher(limit),
    selects: selectorOf(limit),
    overrides,
    overrideFor: (textOf) => overrides[placeOf(textOf)],
    leaseMs: toMs(lease),
    onExpiry,
    onError: "onError" in limit ? (limit.onError ?? null) : null,
    quotas: Object.entries(quotas).map(([dimension, byValue]) => ({
      dimension,
      allotments: new Map(Object.entries(byValue).map(([value, quota]) => [value, allotment(quota)])),
    })),
    allotment: isFromCall(limit.quota) ? claimed(limit.quota, allotment) : allotment(limit.quota),
  };
}

/** What a limit allots, whatever its algorithm: amounts, or durations. */
interface AllottedIn {
  readonly quota: number | string | QuotaFromCallInput;
  readonly quotas: Readonly<Record<string, Readonly<Record<string, number | string>>>>;
  readonly overrides: readonly (OverrideInput<number | string> & { readonly burst?: number | string | undefined })[];
}

export function allottedIn({ quota, quotas = {}, overrides = [] }: ParsedLimit): AllottedIn {
  return { quota, quotas, overrides };
}

function allotmentOf(limit: ParsedLimit, quota: number, noticeAt: number | null, burst?: number | string): Allotment {
  const spec = specOf(limit, quota, burst);
  const capacity = algorithmOf(spec).capacity(spec);
  // Nothing is decided by it, so that it need not be exact: four of five are four fifths.
  const noticeBelow = noticeAt === null ? 0 : capacity * (1 - noticeAt + 1e-9);
  return { quota, spec, capacity, isCounted: true, claims: null, noticeBelow, windowMs: windowOf(limit) };
}

/** The length of a limit's window; `null` where it has none, or a calendar's. */
function windowOf(limit: ParsedLimit): number | null {
  return "window" in limit && calendarOf(limit) === null ? toMs(limit.window) : null;
}

/** Whether calls may bring the quota. */
export function isFromCall(quota: AllottedIn["quota"]): quota is QuotaFromCallInput {
  return typeof quota === "object";
}

/** What is allotted to calls that bring no quota, and how others do. */
function claimed(quota: QuotaFromCallInput, allotment: (quota: number | string) => Allotment): Allotment {
  const units = (amount: QuotaInput) => (amount === "unlimited" ? amount : unitsOf(amount));
  const claims = claimsUpTo(units(quota.max), (claim, claims) => ({ ...allotment(claim), claims }));
  return claims.allotmentFor(units(quota.default));
}

/** An allotment that denies nothing. */
function unlimitedOf(limit: ParsedLimit): Allotment {
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
function isBudget({ algorithm }: ParsedLimit): boolean {
  return algorithm === "budget" || algorithm === "elapsed";
}

function holdOf(limit: ParsedLimit): {
  readonly lease?: string | undefined;
  readonly onExpiry?: Limit["onExpiry"] | undefined;
} {
  if (limit.algorithm === "concurrency") return { ...limit.hold, onExpiry: "refund" };
  return "hold" in limit ? (limit.hold ?? {}) : {};
}

function unitOf(limit: ParsedLimit): string {
  if (limit.algorithm === "elapsed") return "ms";
  if (limit.algorithm === "streak") return limit.of;
  if ("distinct" in limit && limit.distinct !== undefined) return limit.distinct.replace(/s?$/, "s");
  return limit.unit ?? "calls";
}

function calendarOf(limit: ParsedLimit): CalendarWindow | null {
  if (limit.algorithm !== "fixed-window" || !isCalendarWord(limit.window)) return null;
  const { window: every, timezone = "UTC", anchorDay = 1 } = limit;
  return { every, timezone, anchorDay };
}

/** Tells whether a limit is for a tool. */
export function toolMatcher({ when }: { readonly when?: WhenInput | undefined }): (tool: string) => boolean {
  return when?.tool === undefined ? () => true : valueMatcher(when.tool);
}

/** An amount in whole numbers: one of time is written as a duration. */
export function unitsOf(amount: number | string): number {
  return typeof amount === "number" ? amount : (parseQuantity(amount) ?? toMs(amount));
}

/** The numbers of a limit. Those of a calendar have no boundaries yet: whoever asks a store names them. */
export function specOf(limit: ParsedLimit, quota: number, burst?: number | string): LimitSpec {
  switch (limit.algorithm) {
    case "fixed-window":
      return isCalendarWord(limit.window)
        ? { algorithm: "fixed-window", quota, align: "calendar", boundaries: [0, 0, 0] }
        : { algorithm: "fixed-window", quota, windowMs: toMs(limit.window), align: limit.align ?? "epoch" };
    case "sliding-window":
      return { algorithm: "sliding-window", quota, windowMs: toMs(limit.window) };
    case "token-bucket":
      return tokenBucketSpec(quota, toMs(limit.window), unitsOf(burst ?? limit.burst ?? quota));
    case "concurrency":
      return { algorithm: "concurrency", quota };
    case "elapsed":
    case "streak":
      return { algorithm: limit.algorithm, quota, ttlMs: lifeMs(limit.resetAfterIdle ?? idleOf(limit)) };
    case "budget": {
      const { resetAfter, resetAfterIdle = resetAfter === "never" ? "never" : idleOf(limit) } = limit;
      return resetAfter === undefined || resetAfter === "never"
        ? { algorithm: "budget", quota, ttlMs: lifeMs(resetAfterIdle), ttlFrom: "last" }
        : { algorithm: "budget", quota, ttlMs: toMs(resetAfter), ttlFrom: "first" };
    }
  }
}

/** After which idle time a scope has ended, that nobody announces. */
function idleOf({ per }: ParsedLimit): string {
  return per.includes("turn") ? "24h" : "30d";
}

/** A scope that never begins again is one that lives longer than any program. */
function lifeMs(duration: string): number {
  return duration === "never" ? MAX_DURATION_MS : toMs(duration);
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
