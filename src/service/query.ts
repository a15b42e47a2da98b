// From a query to dimensions.

import type { BucketDimensions } from "../kernel/call.ts";
import { ProblemError } from "./problems.ts";

/**
 * The dimensions that a query names; `args` as JSON.
 *
 * @throws ProblemError 400
 */
export function usageQuery(url: string): BucketDimensions {
  const dimensions: Record<string, unknown> = {};
  for (const [name, value] of new URL(url).searchParams) {
    if (name === "__proto__" || Object.hasOwn(dimensions, name)) throw invalidQuery(name, "each name once");
    if (value === "") throw invalidQuery(name, "a value that is not empty");
    dimensions[name] = name === "args" ? parsed(value) : value;
  }
  return dimensions as BucketDimensions;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalidQuery("args", "arguments as JSON");
  }
}

function invalidQuery(name: string, expected: string): ProblemError {
  const path = name.slice(0, 60);
  const faults = [{ path, expected, got: "another" }];
  return new ProblemError(400, "invalid-query", `${path}: expected ${expected}`, { faults });
}
