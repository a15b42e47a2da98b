// From a policy that was checked to one that calls are judged by: durations in ms, rates in whole numbers, defaults.

import { algorithmNamed, algorithmOf } from "../algorithms/registry.ts";
import { CALL_WORDS, DERIVED_DIMENSIONS, DIMENSIONS, type Dimension } from "../call.ts";
import { claimsUpTo } from "../claims.ts";
import { entryFinder, isGlob } from "../glob.ts";
import { digest } from "../key.ts";
import type { Allotment, CompiledPolicy, Limit, Tool } from "../limit.ts";
import { isSayable } from "../phrases.ts";
import { toMs, unitsOf } from "./amounts.ts";
import type { HoldInput, QuotaFromCallInput, QuotaInput, WhenInput } from "./input-values.ts";
import type { LimitInput, OverrideInput, ToolInput } from "./input.ts";
import type { Keys } from "./place.ts";
import type { ParsedLimit, ParsedPolicy } from "./schema.ts";
import {
  callMatcher,
  excludedBy,
  excludedIn,
  firstMatcher,
  includedIn,
  patternsOf,
  valueMatcher,
} from "../selector.ts";

export function compilePolicy(input: ParsedPolicy): CompiledPolicy {
  const limits = input.limits.map(compileLimit);
  const named = input.limits.flatMap(({ quotas }) => Object.keys(quotas?.tool ?? {}));
  const tools = Object.entries(input.tools ?? {}).map(([name, tool]) => [name, compileTool(tool)] as const);
  const whole = tools.map(([name]) => name).filter((name) => !isGlob(name));
  const derived: readonly string[] = DERIVED_DIMENSIONS;
  const own = input.limits.flatMap(dimensionsIn).filter((dimension) => !derived.includes(dimension));
  const dimensions = [...DIMENSIONS, ...own];
  return {
    version: digest({ ...input, tests: undefined }),
    partition: input.partition ?? "session",
    limits,
    onError: input.onError ?? "charge",
    toolNamed: entryFinder(tools),
    log: { allowed: input.log?.allowed ?? 1, denied: input.log?.denied ?? 1 },
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
  return when?.model !== undefined && includedIn(patternsOf(when.model)).length > 0;
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
  if (when?.group !== undefined || excludedIn(patterns).length > 0) return [];
  return patterns.includes("*") ? null : patterns;
}

/** Which calls a limit is for, by other dimensions than the tool; `null` for all. */
function selectorOf({ when }: ParsedLimit): Limit["selects"] {
  const { tool: _, ...others } = when ?? {};
  return Object.keys(others).length === 0 ? null : callMatcher(others);
}

/** The dimensions that a limit looks at, but for the tool that its `when` names. */
function dimensionsIn(limit: ParsedLimit): string[] {
  return [
    ...limit.per,
    ...[distinctOf(limit) ?? []].flat(),
    ...Object.keys(limit.when ?? {}).filter((dimension) => dimension !== "tool"),
    ...Object.keys(limit.quotas ?? {}),
    ...(limit.overrides ?? []).flatMap(({ when }) => Object.keys(when)),
  ];
}

/** The dimension whose distinct values a limit counts; `null` where it counts units. */
export function distinctOf(limit: LimitInput): Dimension | null {
  return ("distinct" in limit ? limit.distinct : null) ?? null;
}

const DEFAULT_LEASE = "2m";
const DEFAULT_MAX_HOLD = "1h";

function compileLimit(limit: ParsedLimit): Limit {
  const { policy, countsUnits, isHeldOnly } = algorithmNamed(limit.algorithm);
  const usualAt = limit.mode === "warn" ? null : policy.noticeAt;
  const { at = usualAt ?? "never", message = null } = limit.notice ?? {};
  const noticeAt = at === "never" ? null : at;
  const allotment = (quota: Amount, burst?: Amount) => allotmentOf(limit, quota, noticeAt, burst);
  const hold: HoldInput = ("hold" in limit ? limit.hold : undefined) ?? {};
  const distinct = distinctOf(limit);
  const callPrice = distinct === null ? policy.callPrice : 1;
  const { quota, quotas, overrides: written } = allottedIn(limit);
  const overrides = written.map(({ quota, burst }) => allotment(quota, burst));
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
    leaseMs: toMs(hold.lease ?? DEFAULT_LEASE),
    onExpiry: isHeldOnly ? "refund" : (hold.onExpiry ?? "charge"),
    onError: "onError" in limit ? (limit.onError ?? null) : null,
    quotas: Object.entries(quotas).map(([dimension, byValue]) => ({
      dimension,
      allotments: new Map(Object.entries(byValue).map(([value, quota]) => [value, allotment(quota)])),
    })),
    allotment: isFromCall(quota) ? claimed(quota, allotment) : allotment(quota),
  };
}

/** What a limit may allot: a number, or a text that is an amount, a duration or `unlimited`. */
type Amount = number | string;

/** What a limit allots, whatever its algorithm and the key that it has for it. */
interface AllottedIn {
  readonly quota: Amount | QuotaFromCallInput;
  readonly quotas: Readonly<Record<Dimension, Readonly<Record<string, Amount>>>>;
  readonly overrides: readonly (OverrideInput<Amount> & { readonly burst?: Amount | undefined })[];
}

export function allottedIn(limit: ParsedLimit): AllottedIn {
  const { amountKey } = algorithmNamed(limit.algorithm).policy;
  const {
    quotas = {},
    overrides = [],
    [amountKey]: quota,
  } = limit as unknown as AllottedIn & { readonly pause: Amount };
  const written: readonly (AllottedIn["overrides"][number] & { readonly pause?: Amount })[] = overrides;
  return { quota, quotas, overrides: written.map((each) => ({ ...each, quota: each[amountKey] ?? each.quota })) };
}

/** Every quota that a limit has, the keys that lead to it, and the burst beside it. */
export function quotasIn(limit: ParsedLimit): (readonly [keys: Keys, quota: Amount, burst?: Amount | undefined])[] {
  const { quota, quotas, overrides } = allottedIn(limit);
  const { amountKey } = algorithmNamed(limit.algorithm).policy;
  const own = isFromCall(quota)
    ? [[["quota", "default"], quota.default] as const, [["quota", "max"], quota.max] as const]
    : [[[amountKey], quota] as const];
  return [
    ...own,
    ...Object.entries(quotas).flatMap(([dimension, byValue]) =>
      Object.entries(byValue).map(([value, units]) => [["quotas", dimension, value], units] as const),
    ),
    ...overrides.map(({ quota, burst }, n) => [["overrides", n, amountKey], quota, burst] as const),
  ];
}

function allotmentOf(limit: ParsedLimit, amount: Amount, noticeAt: number | null, burst?: Amount): Allotment {
  const { policy } = algorithmNamed(limit.algorithm);
  const isUnlimited = amount === "unlimited";
  const units = isUnlimited ? Number.MAX_SAFE_INTEGER : unitsOf(amount);
  const spec = (isUnlimited ? policy.unlimitedSpec : null) ?? policy.specOf(limit, units, burst);
  const capacity = algorithmOf(spec).capacity(spec);
  return {
    quota: isUnlimited ? null : policy.quotaOf(units),
    spec,
    capacity,
    isCounted: !isUnlimited || policy.isUnlimitedCounted,
    claims: null,
    // Nothing is decided by it, so that it need not be exact: four of five are four fifths.
    noticeBelow: isUnlimited || noticeAt === null ? 0 : capacity * (1 - noticeAt + 1e-9),
    windowMs: policy.windowMs(limit, units),
  };
}

export function isFromCall(quota: AllottedIn["quota"]): quota is QuotaFromCallInput {
  return typeof quota === "object";
}

/** What is allotted to calls that bring no quota, and how others do. */
function claimed(quota: QuotaFromCallInput, allotment: (quota: Amount) => Allotment): Allotment {
  const units = (amount: QuotaInput) => (amount === "unlimited" ? amount : unitsOf(amount));
  const claims = claimsUpTo(units(quota.max), (claim, claims) => ({ ...allotment(claim), claims }));
  return claims.allotmentFor(units(quota.default));
}

/** Tells whether a limit is for a tool. */
export function toolMatcher({ when }: { readonly when?: WhenInput | undefined }): (tool: string) => boolean {
  return when?.tool === undefined ? () => true : valueMatcher(when.tool);
}
