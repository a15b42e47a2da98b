// What a policy says without words: keys that are ignored, algorithms that follow from other keys, and defaults.

import { algorithmNamed, impliedAlgorithm } from "../algorithms/registry.ts";
import { isCalendarWord } from "./amounts.ts";
import { isObject } from "./place.ts";
import { LIMIT_KEYS, type ParsedLimit, type ParsedPolicy } from "./schema.ts";

/** Begins keys that Tollgate ignores. */
const EXTENSION = "x-";

/** A policy as the schema reads it: without the keys that are ignored, and with an algorithm in each limit. */
export function readable(input: unknown): unknown {
  if (!isObject(input)) return input;
  const { limits, tools, ...rest } = withoutExtensions(input);
  return {
    ...rest,
    ...(tools === undefined ? {} : { tools: isObject(tools) ? readableTools(tools) : tools }),
    ...(limits === undefined ? {} : { limits: Array.isArray(limits) ? limits.map(readableLimit) : limits }),
  };
}

function readableTools(tools: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(tools).map(([name, tool]) => [name, withoutExtensions(tool)]));
}

function readableLimit(limit: unknown): unknown {
  if (!isObject(limit)) return limit;
  const own = withoutExtensions(limit);
  return { ...own, algorithm: own.algorithm === undefined ? impliedAlgorithm(own) : own.algorithm };
}

/** An object without the keys that Tollgate ignores. */
export function withoutExtensions<Value>(value: Value): Value {
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).filter(([key]) => !key.startsWith(EXTENSION))) as Value;
}

/** A policy with the defaults that its limits take. What a limit says itself replaces a default as a whole. */
export function settledPolicy(policy: ParsedPolicy): ParsedPolicy {
  const { defaults = {} } = policy;
  const limits = policy.limits.map((limit) => {
    const keys = LIMIT_KEYS.get(limit.algorithm) ?? [];
    const taken = Object.entries(defaults).filter(
      ([key]) => keys.includes(key) && (key !== "timezone" || ("window" in limit && isCalendarWord(limit.window))),
    );
    // A key may be there and say nothing.
    const own = Object.entries(limit).filter(([, value]) => value !== undefined);
    const settled: Record<string, unknown> = Object.fromEntries([...taken, ...own]);
    // Units that are only ever held are always given back.
    const isHeldOnly = algorithmNamed(limit.algorithm).isHeldOnly;
    if (isHeldOnly && settled.hold === defaults.hold && defaults.hold !== undefined)
      settled.hold = { lease: defaults.hold.lease };
    return settled as ParsedLimit;
  });
  return { ...policy, limits };
}
