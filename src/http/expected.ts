// What a schema expected of a body where it found a fault, in the project's words.

import type { z } from "zod";

const TYPES: Readonly<Record<string, string>> = {
  string: "a text",
  int: "a whole number",
  number: "a whole number",
  object: "an object",
  record: "an object of whole numbers by unit",
  array: "a list",
  boolean: "true or false",
  never: "nothing",
};

export function expectedOf(issue: z.core.$ZodIssue): string {
  if (issue.code === "invalid_type") return TYPES[issue.expected] ?? `a value of the type ${issue.expected}`;
  if (issue.code === "too_small") return `${measureOf(issue.origin)}at least ${issue.minimum}`;
  if (issue.code === "too_big") return `${measureOf(issue.origin)}at most ${issue.maximum}`;
  if (issue.code === "invalid_value") return issue.values.map(String).join(" or ");
  return issue.message;
}

function measureOf(origin: string): string {
  return origin === "string" || origin === "array" ? "a length of " : "";
}
