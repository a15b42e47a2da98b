// Changes of a JSON text that leave all other bytes as they are.

import type { Span, Splice } from "../contract.ts";
import { skipSpace } from "./scan.ts";

/** Other text for a part of a JSON text. */
export interface Change {
  readonly at: Span;
  readonly text: string;
}

const COMMA = 0x2c;
const QUOTE = 0x22;
const CLOSE_OBJECT = 0x7d;

/** @throws RangeError when the spans overlap, or are not sorted */
export const splice: Splice = (bytes, changes) => {
  if (changes.length === 0) return bytes;
  const parts: Buffer[] = [];
  let copied = 0;
  for (const { at, text } of changes) {
    if (at.from < copied || at.to < at.from || at.to > bytes.length) {
      throw new RangeError(`the span from ${at.from} to ${at.to} is not after ${copied} and within ${bytes.length}`);
    }
    parts.push(bytes.subarray(copied, at.from), Buffer.from(text));
    copied = at.to;
  }
  parts.push(bytes.subarray(copied));
  return Buffer.concat(parts);
};

/**
 * Adds a member to an object, as its first: a reader that takes the last of two equal keys takes the one that was there.
 *
 * @param text the value, as JSON
 */
export function addition(bytes: Buffer, object: Span, key: string, text: string): Change {
  const at = object.from + 1;
  const isEmpty = bytes[skipSpace(bytes, at)] === CLOSE_OBJECT;
  return { at: { from: at, to: at }, text: `${JSON.stringify(key)}:${text}${isEmpty ? "" : ","}` };
}

/** Adds an element to a list, as its last. */
export function appending(bytes: Buffer, list: Span, text: string): Change {
  const at = list.to - 1;
  const isEmpty = skipSpace(bytes, list.from + 1) === at;
  return { at: { from: at, to: at }, text: `${isEmpty ? "" : ","}${text}` };
}

/** Removes the member whose value stands there, with one comma. Its key has no quote in it. */
export function removal(bytes: Buffer, value: Span): Change {
  const keyEnd = bytes.lastIndexOf(QUOTE, value.from - 1);
  const from = bytes.lastIndexOf(QUOTE, keyEnd - 1);
  const after = skipSpace(bytes, value.to);
  if (bytes[after] === COMMA) return { at: { from, to: after + 1 }, text: "" };
  const before = skipSpaceBack(bytes, from);
  return { at: { from: bytes[before - 1] === COMMA ? before - 1 : from, to: value.to }, text: "" };
}

/** The offset after the last byte before `at` that is no white space. */
function skipSpaceBack(bytes: Buffer, at: number): number {
  let start = at;
  while (start > 0 && skipSpace(bytes, start - 1) !== start - 1) start--;
  return start;
}
