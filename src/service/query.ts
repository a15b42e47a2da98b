// Reads the query of `GET /v1/usage`.

import type { BucketDimensions } from "../kernel/call.ts";
import { formatGot } from "../kernel/errors.ts";
import { invalidQuery } from "./problems.ts";
import { MAX_PAGE } from "../http/requests.ts";

export interface UsageQuery {
  readonly dimensions: BucketDimensions;
  /** The tenant whose buckets they are, for a key that is not bound. */
  readonly asTenant: string | undefined;
  /** How many came before this page. */
  readonly skip: number;
  readonly pageSize: number;
}

/** The dimensions that a query names, with `args` parsed as JSON, and the page. Throws ProblemError 400. */
export function usageQuery(url: string): UsageQuery {
  const dimensions: Record<string, unknown> = {};
  let [skip, pageSize] = [0, MAX_PAGE];
  let asTenant: string | undefined;
  const names = new Set<string>();
  for (const [name, value] of new URL(url).searchParams) {
    if (name === "__proto__") throw invalidQuery(name, "another name", "a reserved one");
    if (names.has(name)) throw invalidQuery(name, "each name once", "it twice");
    if (value === "") throw invalidQuery(name, "a value that is not empty", "an empty one");
    names.add(name);
    if (name === "cursor") skip = skippedBy(value);
    else if (name === "asTenant") asTenant = value;
    else if (name === "pageSize") pageSize = sizeIn(value);
    else dimensions[name] = name === "args" ? parsed(value) : value;
  }
  return { dimensions: dimensions as BucketDimensions, asTenant, skip, pageSize };
}

/** Names the page that begins after `count` items. */
export function cursorAfter(count: number): string {
  return btoa(`after ${count}`).replaceAll("=", "");
}

function skippedBy(cursor: string): number {
  const [, count] = /^after (\d{1,9})$/.exec(decoded(cursor)) ?? [];
  if (count === undefined) throw invalidQuery("cursor", "the nextCursor of an answer", "another text");
  return Number(count);
}

function decoded(base64: string): string {
  try {
    return atob(base64);
  } catch {
    return "";
  }
}

function sizeIn(text: string): number {
  const size = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (size >= 1 && size <= MAX_PAGE) return size;
  throw invalidQuery("pageSize", `a whole number from 1 to ${MAX_PAGE}`, formatGot(text));
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalidQuery("args", "arguments as JSON", "a text that is no JSON");
  }
}
