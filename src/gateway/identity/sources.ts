// Values that a dimension of a call can come from: a fixed one, a claim of a token, a header, a field of `_meta`. Which of them is
// proof is decided in dimensions.ts.

import type { Source } from "../config/config.ts";
import type { Origin } from "../contract.ts";

/** Longest value of a dimension, in characters. */
const MOST_CHARACTERS = 256;

/** The value that a source has for a request; `null`: none, or one that cannot be used. */
export function valueFrom(source: Source, origin: Origin, meta: Readonly<Record<string, unknown>>): string | null {
  if ("value" in source) return source.value;
  if ("header" in source) return usable(origin.header(source.header));
  const [from, key] = "claim" in source ? [origin.principal.claims, source.claim] : [meta, source.meta];
  return usable(Object.hasOwn(from, key) ? from[key] : undefined);
}

/** A value as the text of a dimension. What a client sends must never be an error of the limiter. */
export function usable(value: unknown): string | null {
  const text = Number.isSafeInteger(value) ? String(value) : value;
  if (typeof text !== "string" || text === "" || text.length > MOST_CHARACTERS) return null;
  return /\p{Cc}|\p{Cs}/u.test(text) ? null : text;
}
