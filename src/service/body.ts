// From a request's bytes to a value that fits its schema: bounded before anything is made of it.

import type { z } from "zod";
import type { Fault } from "../kernel/errors.ts";
import { invalidBody, kindOf, ProblemError } from "./problems.ts";

const MAX_PATH = 60;
/** Without one of these no key of a text in JSON is `__proto__`. */
const HIDING = /__proto__|\\u00/;

/**
 * The value that a body says.
 *
 * @throws ProblemError 400, 413, 415
 */
export async function readBody(request: Request, maxBytes: number): Promise<unknown> {
  const { headers } = request;
  const type = headers.get("content-type");
  if (type !== "application/json" && !/^application\/json *(;|$)/i.test(type ?? "")) {
    throw new ProblemError(415, "unsupported-media-type", "The body must be application/json.");
  }
  const length = headers.get("content-length");
  if (length !== null && Number(length) > maxBytes) throw tooLarge(maxBytes);
  // The server reads no more than the length that was announced; without one it is counted.
  const text = length === null ? await readCounted(request, maxBytes) : await request.text().catch(cutOff);
  if (text.length > maxBytes) throw tooLarge(maxBytes);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ProblemError(400, "invalid-json", "The body is no JSON.");
  }
  if (HIDING.test(text) && hasReservedKey(value)) {
    throw invalidBody([{ path: "__proto__", expected: "another name", got: "a reserved one" }]);
  }
  return value;
}

/**
 * A value as its schema says it.
 *
 * @throws ProblemError 400 with the place of each fault, and of what is there only the kind
 */
export function parseBy<Output>(schema: z.ZodType<Output>, value: unknown): Output {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw invalidBody(result.error.issues.map((issue) => faultOf(issue, value)));
}

async function readCounted(request: Request, maxBytes: number): Promise<string> {
  if (request.body === null) return "";
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const chunk of request.body as unknown as AsyncIterable<Uint8Array>) {
      bytes += chunk.byteLength;
      if (bytes > maxBytes) throw tooLarge(maxBytes);
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof ProblemError) throw error;
    cutOff();
  }
  return Buffer.concat(chunks).toString("utf8");
}

function cutOff(): never {
  throw new ProblemError(499, "client-gone", "The body ended before its end.");
}

function tooLarge(maxBytes: number): ProblemError {
  return new ProblemError(413, "body-too-large", `The body may have ${maxBytes} bytes.`);
}

/** The schema library passes `__proto__` over in silence. Arguments and results may have any names: they are hashed. */
function hasReservedKey(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (Object.hasOwn(value, "__proto__")) return true;
  return Object.entries(value).some(([key, inner]) => key !== "args" && key !== "result" && hasReservedKey(inner));
}

function at(value: object, key: string): unknown {
  return Object.hasOwn(value, key) ? value[key as keyof typeof value] : undefined;
}

function faultOf(issue: z.core.$ZodIssue, value: unknown): Fault {
  const path = pathOf(issue.path);
  if (issue.code === "unrecognized_keys") {
    return { path: path === "" ? "body" : path, expected: "only the words of the schema", got: keysOf(issue.keys) };
  }
  const found = issue.path.reduce<unknown>(
    (inner, key) => (typeof inner === "object" && inner !== null ? at(inner, String(key)) : undefined),
    value,
  );
  return { path: path === "" ? "body" : path, expected: expectedOf(issue), got: kindOf(found) };
}

const MEASURES: Readonly<Record<string, string>> = { string: "a length of ", array: "a length of " };

/** The issue in the house's words: what was expected, not what is wrong. */
function expectedOf(issue: z.core.$ZodIssue): string {
  if (issue.code === "invalid_type")
    return issue.expected === "int" ? "a whole number" : `a value of the type ${issue.expected}`;
  if (issue.code === "invalid_union") return "one of the forms that the schema lists";
  if (issue.code === "invalid_format") return `a text like ${"pattern" in issue ? issue.pattern : issue.format}`;
  if (issue.code === "too_small") return `${MEASURES[issue.origin] ?? ""}at least ${issue.minimum}`;
  if (issue.code === "too_big") return `${MEASURES[issue.origin] ?? ""}at most ${issue.maximum}`;
  if (issue.code === "invalid_value") return issue.values.map(String).join(" or ");
  return issue.message;
}

function pathOf(keys: readonly PropertyKey[]): string {
  return cut(keys.map(String).join("."));
}

function keysOf(keys: readonly string[]): string {
  return cut(keys.map((key) => JSON.stringify(cut(key))).join(", "));
}

function cut(text: string): string {
  return text.length > MAX_PATH ? `${text.slice(0, MAX_PATH - 1)}…` : text;
}
