// From a query to dimensions.

import type { BucketDimensions } from "../kernel/call.ts";
import { formatFault } from "../kernel/errors.ts";
import { ProblemError } from "./problems.ts";

/**
 * The dimensions that a query names; `args` as JSON.
 *
 * @throws ProblemError 400
 */
export function usageQuery(url: string): BucketDimensions {
  const dimensions: Record<string, unknown> = {};
  for (const [name, value] of new URL(url).searchParams) {
    if (name === "__proto__" || Object.hasOwn(dimensions, name)) throw invalidQuery(name, "each name once", "it twice");
    if (value === "") throw invalidQuery(name, "a value that is not empty", "an empty one");
    dimensions[name] = name === "args" ? parsed(value) : value;
  }
  return dimensions as BucketDimensions;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalidQuery("args", "arguments as JSON", "a text that is no JSON");
  }
}

/** A query that is wrong. */
export function invalidQuery(name: string, expected: string, got: string): ProblemError {
  const fault = { path: name.slice(0, 60), expected, got };
  return new ProblemError(400, "invalid-query", formatFault(fault), { faults: [fault] });
}
