// From a request's bytes to a value that fits its schema. Bounds are checked before the text is parsed.

import type { Fault } from "../kernel/errors.ts";
import { valueAt } from "../kernel/policy/place.ts";
import { readBy, type Schema, type SchemaFault } from "../kernel/policy/schema-kinds.ts";
import { joined } from "./bytes.ts";
import { invalidBody, invalidRequest, kindOf, MAX_FAULTS, ProblemError } from "./problems.ts";

const MAX_PATH = 60;
/** Deepest nesting of a body: arguments of 64 levels, in a call, in an item of a batch, and some room. */
const MAX_DEPTH = 80;
/** Most values in a body, counted by the commas between them: a batch of 1,000 calls of 100 values each. */
const MAX_VALUES = 100_000;
/** Most keys of one object, except arguments and results: a call has fewer dimensions and costs. */
const MAX_KEYS = 64;
/** A JSON text without a match has no key `__proto__`. */
const RESERVED_KEY = /__proto__|\\u00/;
const JSON_TYPE = /^application\/json[ \t]*(?:;[ \t]*charset[ \t]*=[ \t]*"?utf-?8"?[ \t]*)?;?[ \t]*$/i;

/** Reads and parses a body. Throws ProblemError 400, 413, 415. */
export async function readBody(request: Request, maxBytes: number): Promise<unknown> {
  const { headers } = request;
  checkHeaders(headers);
  const length = headers.get("content-length");
  if (length !== null && Number(length) > maxBytes) throw tooLarge(maxBytes);
  // The server reads no more than the length that was announced.
  const bytes = length === null ? await readCounted(request, maxBytes) : await request.arrayBuffer().catch(cutOff);
  const text = textOf(bytes);
  checkShape(text);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ProblemError("invalid-json", "The body is not JSON.");
  }
  if (RESERVED_KEY.test(text) && hasReservedKey(value)) {
    throw invalidBody("__proto__", "another name", "a reserved one");
  }
  return value;
}

/** Refuses a body that is compressed, or is not JSON in UTF-8 by its headers. */
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

/** Refuses a text that would be costly to parse, in one pass over its characters. */
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
    if (depth > MAX_DEPTH) throw invalidBody("body", `at most ${MAX_DEPTH} levels`, "more");
    if (values > MAX_VALUES) throw invalidBody("body", `at most ${MAX_VALUES} values`, "more");
  }
}

const [QUOTE, COMMA, LIST, LIST_END, OBJECT, OBJECT_END, BACKSLASH] = [34, 44, 91, 93, 123, 125, 92] as const;

/** The index of the quote that ends a string; the length of the text where none does. */
function endOfString(text: string, start: number): number {
  for (let i = start + 1; ; i++) {
    i = text.indexOf('"', i);
    if (i === -1) return text.length;
    let slashes = 0;
    while (text.charCodeAt(i - 1 - slashes) === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return i;
  }
}

/** Checks a value by its schema. Throws ProblemError 400 with the path of each fault and the kind of its value. */
export function parseBy<Value>(schema: Schema<Value>, value: unknown): Value {
  const crowded = crowdedIn(value);
  if (crowded !== null) throw invalidBody(pathOf(crowded), `at most ${MAX_KEYS} keys`, "more");
  const read = readBy(schema, value);
  if ("value" in read) return read.value;
  // A misspelt key is a missing key, too: the fault of the key that is there says more.
  const faults = read.faults.toSorted((one, other) => Number(isUnknown(other)) - Number(isUnknown(one)));
  throw invalidRequest(
    "invalid-body",
    faults.slice(0, MAX_FAULTS).map((fault) => bodyFault(fault, value)),
  );
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
  return joined(chunks, bytes);
}

/** A body as text, without a byte order mark. */
function textOf(bytes: Uint8Array | ArrayBuffer): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new ProblemError("invalid-json", "The body is not UTF-8.");
  }
}

function cutOff(): never {
  throw new ProblemError("client-gone", "The body was cut off.");
}

function tooLarge(maxBytes: number): ProblemError {
  return new ProblemError("body-too-large", `The body may have ${maxBytes} bytes.`);
}

/** The path to an object that has too many keys: a schema would check each of them. Batches check their items one by one. */
function crowdedIn(value: unknown): readonly string[] | null {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  const keys = Object.keys(value);
  if (keys.length > MAX_KEYS) return [];
  for (const key of keys) {
    const path = isHashed(key) ? null : crowdedIn((value as Readonly<Record<string, unknown>>)[key]);
    if (path !== null) return [key, ...path];
  }
  return null;
}

/** Whether a key's value may be anything: only a hash of arguments and results is used. */
function isHashed(key: string): boolean {
  return key === "args" || key === "result";
}

/** Whether a key is `__proto__`, which no object of a body has. Arguments and results may have any keys. */
function hasReservedKey(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (Object.hasOwn(value, "__proto__")) return true;
  return Object.entries(value).some(([key, inner]) => !isHashed(key) && hasReservedKey(inner));
}

function isUnknown({ unknown }: SchemaFault): boolean {
  return unknown.length > 0;
}

function bodyFault({ keys, expected, unknown }: SchemaFault, value: unknown): Fault {
  const names = unknown.slice(0, MAX_FAULTS).map((key) => JSON.stringify(cut(key)));
  return { path: pathOf(keys), expected, got: names.length > 0 ? cut(names.join(", ")) : kindOf(valueAt(value, keys)) };
}

function pathOf(keys: readonly PropertyKey[]): string {
  return keys.length === 0 ? "body" : cut(keys.map(String).join("."));
}

function cut(text: string): string {
  return text.length > MAX_PATH ? `${text.slice(0, MAX_PATH - 1)}…` : text;
}
