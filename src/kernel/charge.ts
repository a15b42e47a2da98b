// From a call to its charges: which limits match, whose buckets they are, and what each of them is charged.

import { type LimitSpec, VALUE_LENGTH } from "./algorithms/registry.ts";
import { argsDigest } from "./args.ts";
import { checkCall, DERIVED_DIMENSIONS, dimensionValue } from "./call.ts";
import type { BucketDimensions, Call, Cost, Dimension, PartitionKey } from "./call.ts";
import { type Fault, formatGot, MisuseError } from "./errors.ts";
import { bucketKey, digest, keyPart, MAX_PART_BYTES } from "./key.ts";
import type { Allotment, CompiledPolicy, Limit, Tool } from "./limit.ts";
import type { Step, StepEvent } from "./request.ts";

const UNKNOWN_TOOL: Partial<Tool> = {};

/** One limit's bucket: whose it is and what it is allotted. */
export interface Bucket {
  readonly key: string;
  readonly limit: Limit;
  readonly partitionKey: PartitionKey;
  readonly allotment: Allotment;
}

/** One call against one bucket. */
export interface Charge extends Bucket {
  /** Units; 0 when the call has no price in the limit's unit. */
  readonly cost: number;
  /** The called tool's name, where the limit is per tool and the policy has that name, too; else `null`. */
  readonly tool: string | null;
  /** The hash of the value that is counted. Absent: units are. */
  readonly seen?: string;
}

/** A limit that matches a call, and its price there. */
export interface Match extends Omit<Charge, "cost"> {
  /** Units; `undefined` when neither the call nor its tool says, or it cannot have one. */
  readonly price: number | undefined;
}

/** What is said of a call, for each limit that may match it. */
export interface CallFacts {
  readonly policy: CompiledPolicy;
  readonly call: Call;
  /** The tool's name, as keys use it. */
  readonly tool: string;
  /** What the policy knows of the tool. */
  readonly about: Partial<Tool>;
  /** The call's dimensions, with the group of its tool. */
  readonly dimensions: BucketDimensions;
  readonly said: Said;
}

/**
 * The limits that match a call, in policy order.
 *
 * @throws MisuseError `invalid-call`, `missing-dimension`, `invalid-dimension`, `invalid-cost`, `unknown-unit`
 */
export function resolveMatches(policy: CompiledPolicy, prefix: string, call: Call): Match[] {
  const facts = factsOf(policy, call);
  const matches: Match[] = [];
  for (const limit of policy.limits) {
    const match = limit.matches(facts.tool) ? matchOf(limit, prefix, facts) : null;
    if (match !== null) matches.push(match);
  }
  return matches;
}

/**
 * What a call says, once it was checked.
 *
 * @throws MisuseError `invalid-call`, `missing-dimension`, `invalid-dimension`, `invalid-cost`, `unknown-unit`
 */
export function factsOf(policy: CompiledPolicy, call: Call): CallFacts {
  checkCall(call, policy.callWords);
  if (call.cost !== undefined) checkCost(policy, call.cost);
  const tool = dimensionValue("tool", call.tool);
  const about = policy.toolNamed(tool) ?? UNKNOWN_TOOL;
  const dimensions: BucketDimensions = about.group === undefined ? call : { ...call, group: about.group };
  return { policy, call, tool, about, dimensions, said: saidIn(policy, dimensions) };
}

/**
 * A limit for the tool of a call, where it matches the call; else `null`.
 *
 * @throws MisuseError `missing-dimension`, `invalid-dimension`
 */
export function matchOf(limit: Limit, prefix: string, facts: CallFacts): Match | null {
  const { policy, call, tool, about, dimensions, said } = facts;
  if (limit.selects?.(said.textOf) === false) return null;
  const price = limit.callPrice ?? priceOf(limit.unit, call.cost, about.cost);
  const missing = missingIn(limit, dimensions, limit.distinct);
  if (missing !== undefined) {
    // A free call is not judged by the limit, so it need not say whose it is.
    const isSkipped = limit.onMissing !== "error" || price === 0 || needsGroup(limit, about.group);
    if (!isSkipped) throw missingDimension(limit, missing);
    return null;
  }
  const { key, partitionKey, allotment } = bucketOf(policy, prefix, limit, dimensions, said);
  const named = limit.per.includes("tool") && policy.namedTools.has(tool) ? tool : null;
  const match = { key, limit, partitionKey, allotment, price, tool: named };
  const { distinct } = limit;
  // Calls without the value that is counted have the same hash.
  return distinct === null ? match : { ...match, seen: digest(said.textOf(distinct) ?? null).slice(0, VALUE_LENGTH) };
}

/** Whether a limit is per group, and the tool has none: it is not for this tool, whatever else its calls say or lack. */
export function needsGroup({ per, distinct }: Limit, group: string | undefined): boolean {
  return group === undefined && (distinct === "group" || per.includes("group"));
}

/** Whether there is a value. Arguments that are not said are `{}`. */
function isSaid(dimensions: BucketDimensions, dimension: Dimension): boolean {
  return dimension === "args" || (valueIn(dimensions, dimension) ?? null) !== null;
}

/** What each call has, or what follows from it: no bucket is shared by calls without it. */
const NEVER_SHARED: ReadonlySet<Dimension> = new Set(["tool", ...DERIVED_DIMENSIONS]);

/**
 * The first dimension of a limit that is not said, and that calls without it do not share a bucket for.
 *
 * @param distinct the dimension whose values are counted, where that has to be said as well
 */
export function missingIn(limit: Limit, dimensions: BucketDimensions, distinct: Dimension | null = null) {
  for (const name of limit.per) if (isMissing(limit, dimensions, name)) return name;
  return distinct !== null && isMissing(limit, dimensions, distinct) ? distinct : undefined;
}

function isMissing(limit: Limit, dimensions: BucketDimensions, dimension: Dimension): boolean {
  return !isSaid(dimensions, dimension) && !isShared(limit, dimension);
}

function isShared({ onMissing }: Limit, dimension: Dimension): boolean {
  return onMissing === "shared" && !NEVER_SHARED.has(dimension);
}

/** The texts and parts of keys that dimensions come to. What takes long is made once, however many limits look at it. */
interface Said {
  /** What is said of a dimension, as one text; `undefined` for nothing. */
  readonly textOf: (dimension: Dimension) => string | undefined;
  /** As `keyPart`. */
  readonly partOf: (value: string) => string;
}

function saidIn(policy: CompiledPolicy, dimensions: BucketDimensions): Said {
  let args: string | undefined;
  let parts: Map<string, string> | undefined;
  return {
    textOf(dimension) {
      if (dimension !== "args") {
        const value = valueIn(dimensions, dimension);
        return value === undefined || value === null ? undefined : dimensionValue(dimension, value);
      }
      args ??= argsOf(policy, dimensions);
      return args;
    },
    partOf(value) {
      if (value.length <= MAX_PART_BYTES) return keyPart(value);
      parts ??= new Map();
      const part = parts.get(value) ?? keyPart(value);
      parts.set(value, part);
      return part;
    },
  };
}

/**
 * The hash of a call's arguments, without what the policy ignores in those of its tool.
 *
 * @throws MisuseError `invalid-call`
 */
export function argsOf(policy: CompiledPolicy, { tool, args }: Pick<BucketDimensions, "tool" | "args">): string {
  return argsDigest(args, policy.toolNamed(String(tool))?.ignoreArgs);
}

/** Dimensions with the group of the tool that they name. */
export function withGroup(policy: CompiledPolicy, dimensions: BucketDimensions): BucketDimensions {
  if (!isSaid(dimensions, "tool") || isSaid(dimensions, "group")) return dimensions;
  const group = policy.toolNamed(String(dimensions.tool))?.group;
  return group === undefined ? dimensions : { ...dimensions, group };
}

/** Whether a limit may be for calls with some dimensions, whatever else they say. */
export function mayMatch(policy: CompiledPolicy, limit: Limit, dimensions: BucketDimensions): boolean {
  const { textOf } = saidIn(policy, dimensions);
  const tool = textOf("tool");
  // What is not said here may still be said by a call: it is unknown (`null`), and matches (`TextOf`).
  return (tool === undefined || limit.matches(tool)) && limit.selects?.((name) => textOf(name) ?? null) !== false;
}

export function valueIn(dimensions: BucketDimensions, dimension: Dimension): unknown {
  return Object.hasOwn(dimensions, dimension) ? dimensions[dimension as keyof BucketDimensions] : undefined;
}

/**
 * The bucket of a limit for dimensions that name all of its `per`, but for those that calls without them share a bucket for.
 *
 * @throws MisuseError `missing-dimension`, `invalid-dimension`
 */
export function bucketOf(
  policy: CompiledPolicy,
  prefix: string,
  limit: Limit,
  dimensions: BucketDimensions,
  { textOf, partOf } = saidIn(policy, dimensions),
): Bucket {
  const partitionKey = limit.per.map((dimension) => {
    const value = textOf(dimension);
    if (value === undefined && !isShared(limit, dimension)) throw missingDimension(limit, dimension);
    return [dimension, value ?? null] as const;
  });
  const allotment = allotmentOf(limit, textOf);
  const key = bucketKey(prefix, policy.partition, limit.name, partitionKey, partOf);
  return { key, limit, partitionKey, allotment };
}

/** Overrides first, then `quotas`, then `quota`. */
function allotmentOf(limit: Limit, textOf: Said["textOf"]): Allotment {
  const override = limit.overrides.length === 0 ? undefined : limit.overrideFor(textOf);
  if (override !== undefined) return override;
  for (const { dimension, allotments } of limit.quotas) {
    const value = textOf(dimension);
    const named = value === undefined ? undefined : allotments.get(value);
    if (named !== undefined) return named;
  }
  return limit.allotment;
}

/** What a step asks of a bucket. A limit that only counts, only warns, or is unlimited, is left out of the judgement. */
export function stepOf({ key, limit, allotment }: Bucket, spec: LimitSpec, event: StepEvent): Step {
  const isUnlimited = allotment.quota === null;
  const isShadow = limit.mode !== "enforce" || isUnlimited;
  const step = isShadow ? { bucket: key, limit: spec, event, shadow: true } : { bucket: key, limit: spec, event };
  const onStoreError = isUnlimited ? "allow" : limit.onStoreError;
  if (!limit.isBorrowing && onStoreError === "share") return step;
  const away = onStoreError === "share" ? {} : { onStoreError };
  return { ...step, hints: limit.isBorrowing ? { ...away, borrow: true } : away };
}

/**
 * The error for dimensions that lack one that the limit needs.
 *
 * @param hint what to do; default: as for a call
 */
export function missingDimension(
  limit: Limit,
  dimension: Dimension,
  hint = `Say it with each call (limiter.for({ ${dimension}: … }) binds it), or let the limit leave out such calls: "onMissing: skip".`,
): MisuseError {
  const why = limit.per.includes(dimension) ? `is per ${limit.per.join(", ")}` : `counts each ${dimension} once`;
  return new MisuseError("missing-dimension", {
    path: dimension,
    expected: `a string that is not empty, or a safe integer, because the limit ${limit.name} ${why}`,
    got: "nothing",
    hint,
  });
}

function priceOf(unit: string, cost: Cost | undefined, toolCost: Cost | undefined): number | undefined {
  if (cost !== undefined && Object.hasOwn(cost, unit)) return cost[unit];
  if (toolCost !== undefined && Object.hasOwn(toolCost, unit)) return toolCost[unit];
  return unit === "calls" ? 1 : undefined;
}

/**
 * Refuses a cost that is not whole numbers by units that some limit counts.
 *
 * @throws MisuseError `invalid-cost`, `unknown-unit`
 */
export function checkCost(policy: CompiledPolicy, cost: Cost): void {
  const wrongCost = costFault(cost);
  if (wrongCost !== null) throw new MisuseError("invalid-cost", wrongCost);
  for (const [unit, units] of Object.entries(cost)) {
    const unknown = unitNameFault(policy.units, unit);
    if (unknown !== null) throw new MisuseError("unknown-unit", unknown);
    const wrongUnits = unitCountFault(unit, units);
    if (wrongUnits !== null) throw new MisuseError("invalid-cost", wrongUnits);
  }
}

/** What is wrong with a cost as a whole; `null` when nothing is. */
export function costFault(cost: unknown): Fault | null {
  // Only a plain object: a Map or a list would be an object without units, no price at all.
  if (Object.prototype.toString.call(cost) === "[object Object]") return null;
  const expected = "an object of whole numbers by unit, such as { tokens: 4000 }";
  return { path: "cost", expected, got: formatGot(cost) };
}

/** What is wrong with the name of a unit; `null` when some limit counts it. */
export function unitNameFault(known: ReadonlySet<string>, unit: string): Fault | null {
  if (known.has(unit)) return null;
  const expected = `units that a limit of the policy counts: ${[...known].join(", ")}`;
  return { path: "cost", expected, got: formatGot(unit) };
}

/** What is wrong with a number of units; `null` when nothing is. */
export function unitCountFault(unit: string, units: unknown): Fault | null {
  if (Number.isSafeInteger(units) && Number(units) >= 0) return null;
  const expected = `a whole number from 0 to ${Number.MAX_SAFE_INTEGER}`;
  return { path: `cost.${unit}`, expected, got: formatGot(units) };
}
