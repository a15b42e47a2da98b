// From a policy that was checked to one that calls are judged by: durations in ms, rates in whole numbers, defaults.

import { algorithmNamed, algorithmOf } from "../algorithms/registry.ts";
import { CALL_WORDS, DERIVED_DIMENSIONS, DIMENSIONS } from "../call.ts";
import { claimsUpTo } from "../claims.ts";
import { entryFinder, isGlob } from "../glob.ts";
import { digest } from "../key.ts";
import type { Allotment, CompiledPolicy, Limit, Tool } from "../limit.ts";
import { isSayable } from "../phrases.ts";
import { toMs, unitsOf } from "./amounts.ts";
import type { QuotaFromCallInput, QuotaInput, WhenInput } from "./input-values.ts";
import type { OverrideInput, ToolInput } from "./input.ts";
import type { ParsedLimit, ParsedPolicy } from "./schema.ts";
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

function compileLimit(limit: ParsedLimit): Limit {
  const { policy, countsUnits } = algorithmNamed(limit.algorithm);
  const usualAt = limit.mode === "warn" ? null : policy.noticeAt;
  const { at = usualAt ?? "never", message = null } = limit.notice ?? {};
  const noticeAt = at === "never" ? null : at;
  const allotment = (quota: number | string, burst?: number | string): Allotment =>
    quota === "unlimited" ? unlimitedOf(limit) : allotmentOf(limit, unitsOf(quota), noticeAt, burst);
  const { lease = DEFAULT_LEASE, onExpiry = "charge" } = holdOf(limit);
  const distinct = "distinct" in limit ? (limit.distinct ?? null) : null;
  const callPrice = distinct === null ? policy.callPrice : 1;
  const { quota, quotas, overrides: written } = allottedIn(limit);
  const overrides = written.map(({ quota, burst }) => ({ allotment: allotment(quota, burst) }));
  const placeOf = firstMatcher(written.map(({ when }) => when));
  return {
    name: limit.name,
    per: [...limit.per],
    unit: distinct === null ? policy.unit(limit) : distinct.replace(/s?$/, "s"),
    isPriced: countsUnits && callPrice === null,
    callPrice,
    distinct,
    reports: policy.reports(limit),
    calendar: policy.calendar(limit),
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
    allotment: isFromCall(quota) ? claimed(quota, allotment) : allotment(quota),
  };
}

/** What a limit allots, whatever its algorithm: amounts, or durations. */
interface AllottedIn {
  readonly quota: number | string | QuotaFromCallInput;
  readonly quotas: Readonly<Record<string, Readonly<Record<string, number | string>>>>;
  readonly overrides: readonly (OverrideInput<number | string> & {
    readonly burst?: number | string | undefined;
    readonly pause?: string | undefined;
  })[];
}

export function allottedIn(limit: ParsedLimit): AllottedIn {
  const { amountKey } = algorithmNamed(limit.algorithm).policy;
  const written: Readonly<Record<string, unknown>> = limit;
  const { quotas = {}, overrides = [] } = limit as Partial<AllottedIn>;
  return {
    quota: written[amountKey] as AllottedIn["quota"],
    quotas,
    overrides: overrides.map((override) => ({ ...override, quota: override[amountKey] as number | string })),
  };
}

function allotmentOf(limit: ParsedLimit, amount: number, noticeAt: number | null, burst?: number | string): Allotment {
  const { policy } = algorithmNamed(limit.algorithm);
  const spec = policy.specOf(limit, amount, burst);
  const capacity = algorithmOf(spec).capacity(spec);
  // Nothing is decided by it, so that it need not be exact: four of five are four fifths.
  const noticeBelow = noticeAt === null ? 0 : capacity * (1 - noticeAt + 1e-9);
  const [quota, windowMs] = [policy.quotaOf(amount), policy.windowMs(limit, amount)];
  return { quota, spec, capacity, isCounted: true, claims: null, noticeBelow, windowMs };
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
  const { policy } = algorithmNamed(limit.algorithm);
  const most = Number.MAX_SAFE_INTEGER;
  const spec = policy.unlimitedSpec ?? policy.specOf(limit, most);
  return {
    quota: null,
    spec,
    capacity: algorithmOf(spec).capacity(spec),
    isCounted: policy.isUnlimitedCounted,
    claims: null,
    noticeBelow: 0,
    windowMs: policy.windowMs(limit, most),
  };
}

function holdOf(limit: ParsedLimit): {
  readonly lease?: string | undefined;
  readonly onExpiry?: Limit["onExpiry"] | undefined;
} {
  const hold = "hold" in limit ? limit.hold : {};
  return algorithmNamed(limit.algorithm).isHeldOnly ? { ...hold, onExpiry: "refund" } : (hold ?? {});
}

/** Tells whether a limit is for a tool. */
export function toolMatcher({ when }: { readonly when?: WhenInput | undefined }): (tool: string) => boolean {
  return when?.tool === undefined ? () => true : valueMatcher(when.tool);
}
