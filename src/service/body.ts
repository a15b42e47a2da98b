// From a request's bytes to a value that fits its schema: bounded before anything is made of it.

import type { z } from "zod";
import type { Fault } from "../kernel/errors.ts";
import { invalidBody, kindOf, ProblemError } from "./problems.ts";

const MAX_PATH = 60;
/** Most faults that are looked at: an answer lists fewer. */
const MAX_FAULTS = 10;
/** Deepest nesting of a body: arguments of 64 levels, in a call, in an item of a batch, and some room. */
const MAX_DEPTH = 80;
/** Most values in a body, counted by the commas between them: a batch of 1,000 calls of 100 values each. */
const MAX_VALUES = 100_000;
/** Most keys of one object, but in arguments and results: a call says fewer words, and has fewer costs. */
const MAX_KEYS = 64;
/** Without one of these no key of a text in JSON is `__proto__`. */
const HIDING = /__proto__|\\u00/;
const JSON_TYPE = /^application\/json[ \t]*(?:;[ \t]*charset[ \t]*=[ \t]*"?utf-?8"?[ \t]*)?;?[ \t]*$/i;

/**
 * The value that a body says.
 *
 * @throws ProblemError 400, 413, 415
 */
export async function readBody(request: Request, maxBytes: number): Promise<unknown> {
  const { headers } = request;
  checkHeaders(headers);
  const length = headers.get("content-length");
  if (length !== null && Number(length) > maxBytes) throw tooLarge(maxBytes);
  const text = textOf(length === null ? await readCounted(request, maxBytes) : await readAll(request));
  checkShape(text);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ProblemError("invalid-json", "The body is no JSON.");
  }
  if (HIDING.test(text) && hasReservedKey(value)) {
    throw invalidBody([{ path: "__proto__", expected: "another name", got: "a reserved one" }]);
  }
  return value;
}

/** Refuses a body that says that it is anything else than JSON in UTF-8, as it is. */
function checkHeaders(headers: Headers): void {
  const encoding = headers.get("content-encoding");
  if (encoding !== null && !/^identity$/i.test(encoding)) {
    const detail = "The body must not be compressed: send it without Content-Encoding.";
    throw new ProblemError("unsupported-content-encoding", detail, { headers: { "accept-encoding": "identity" } });
  }
  const type = headers.get("content-type") ?? "";
  if (JSON_TYPE.test(type)) return;
  const isOtherCharset = /^application\/json[ \t]*;/i.test(type) && /charset/i.test(type);
  const detail = isOtherCharset ? "The body must be in UTF-8." : "The body must be application/json.";
  throw new ProblemError("unsupported-media-type", detail);
}

/** Refuses a text that would be costly as a value: it is looked at once, and nothing is made of it. */
function checkShape(text: string): void {
  let depth = 0;
  let values = 1;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) i = endOfString(text, i);
    else if (code === COMMA) values++;
    else if (code === LIST || code === OBJECT) depth++;
    else if (code === LIST_END || code === OBJECT_END) depth--;
    else continue;
    if (depth > MAX_DEPTH) throw invalidBody([{ path: "body", expected: `at most ${MAX_DEPTH} levels`, got: "more" }]);
    if (values > MAX_VALUES) {
      throw invalidBody([{ path: "body", expected: `at most ${MAX_VALUES} values`, got: "more" }]);
    }
  }
}

const [QUOTE, COMMA, LIST, LIST_END, OBJECT, OBJECT_END, BACKSLASH] = [34, 44, 91, 93, 123, 125, 92] as const;

/** Where a string ends that begins at a quote; the end of the text where it does not end. */
function endOfString(text: string, start: number): number {
  for (let i = start + 1; ; i++) {
    i = text.indexOf('"', i);
    if (i === -1) return text.length;
    let slashes = 0;
    while (text.charCodeAt(i - 1 - slashes) === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return i;
  }
}

/**
 * A value as its schema says it.
 *
 * @throws ProblemError 400 with the place of each fault, and of what is there only the kind
 */
export function parseBy<Output>(schema: z.ZodType<Output>, value: unknown): Output {
  const crowded = crowdedIn(value, []);
  if (crowded !== null) throw invalidBody([{ path: crowded, expected: `at most ${MAX_KEYS} keys`, got: "more" }]);
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  // A word that is misspelt is one that is missing, too: what stands there says more.
  const issues = result.error.issues.toSorted((one, other) => Number(isUnknown(other)) - Number(isUnknown(one)));
  throw invalidBody(issues.slice(0, MAX_FAULTS).map((issue) => faultOf(issue, value)));
}

/** The server reads no more than the length that was announced. */
async function readAll(request: Request): Promise<Uint8Array> {
  return new Uint8Array(await request.arrayBuffer().catch(cutOff));
}

async function readCounted(request: Request, maxBytes: number): Promise<Uint8Array> {
  if (request.body === null) return new Uint8Array();
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
  return Buffer.concat(chunks);
}

/** A body as text, without a byte order mark. */
function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new ProblemError("invalid-json", "The body is no UTF-8.");
  }
}

function cutOff(): never {
  throw new ProblemError("client-gone", "The body ended before its end.");
}

function tooLarge(maxBytes: number): ProblemError {
  return new ProblemError("body-too-large", `The body may have ${maxBytes} bytes.`);
}

/** Where an object has more keys than it may: a schema would take its time with each of them. */
function crowdedIn(value: unknown, path: readonly string[]): string | null {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  const entries = Object.entries(value);
  if (entries.length > MAX_KEYS) return path.length === 0 ? "body" : pathOf(path);
  for (const [key, inner] of entries) {
    const crowded = isHashed(key) ? null : crowdedIn(inner, [...path, key]);
    if (crowded !== null) return crowded;
  }
  return null;
}

/** Whether a key's value may be anything: of arguments and results only a hash is used. */
function isHashed(key: string): boolean {
  return key === "args" || key === "result";
}

/** The schema library passes `__proto__` over in silence. Arguments and results may have any names: they are hashed. */
function hasReservedKey(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (Object.hasOwn(value, "__proto__")) return true;
  return Object.entries(value).some(([key, inner]) => !isHashed(key) && hasReservedKey(inner));
}

function at(value: object, key: string): unknown {
  return Object.hasOwn(value, key) ? value[key as keyof typeof value] : undefined;
}

function isUnknown({ code }: z.core.$ZodIssue): boolean {
  return code === "unrecognized_keys";
}

function faultOf(issue: z.core.$ZodIssue, value: unknown): Fault {
  const path = pathOf(issue.path);
  if (issue.code === "unrecognized_keys") {
    return { path: path === "" ? "body" : path, expected: issue.message, got: keysOf(issue.keys) };
  }
  const found = issue.path.reduce<unknown>(
    (inner, key) => (typeof inner === "object" && inner !== null ? at(inner, String(key)) : undefined),
    value,
  );
  return { path: path === "" ? "body" : path, expected: expectedOf(issue), got: kindOf(found) };
}

const MEASURES: Readonly<Record<string, string>> = { string: "a length of ", array: "a length of " };

const TYPES: Readonly<Record<string, string>> = {
  string: "a text",
  int: "a whole number",
  number: "a whole number",
  object: "an object",
  record: "an object of whole numbers by unit",
  array: "a list",
  never: "nothing",
};

/** The issue in the house's words: what was expected, not what is wrong. */
function expectedOf(issue: z.core.$ZodIssue): string {
  if (issue.code === "invalid_type") return TYPES[issue.expected] ?? `a value of the type ${issue.expected}`;
  if (issue.code === "too_small") return `${MEASURES[issue.origin] ?? ""}at least ${issue.minimum}`;
  if (issue.code === "too_big") return `${MEASURES[issue.origin] ?? ""}at most ${issue.maximum}`;
  if (issue.code === "invalid_value") return issue.values.map(String).join(" or ");
  return issue.message;
}

function pathOf(keys: readonly PropertyKey[]): string {
  return cut(keys.map(String).join("."));
}

function keysOf(keys: readonly string[]): string {
  return cut(
    keys
      .slice(0, MAX_FAULTS)
      .map((key) => JSON.stringify(cut(key)))
      .join(", "),
  );
}

function cut(text: string): string {
  return text.length > MAX_PATH ? `${text.slice(0, MAX_PATH - 1)}…` : text;
}
