// Reads the parts of a text.

import { MAX_ID_LENGTH } from "./digits.ts";

export { MAX_ID_LENGTH };

/** The number that digits are, exact up to 2^53; `NaN` for any other text. */
export function numberIn(text: string | undefined): number {
  return text !== undefined && /^[0-9]+$/.test(text) ? Number(text) : Number.NaN;
}

/** Whether a text is 1 to 64 letters, digits, `_` or `-`. */
export function isId(text: string | undefined): text is string {
  return text !== undefined && text.length <= MAX_ID_LENGTH && /^[\w-]+$/.test(text);
}

/** What `read` finds in each part of a list; `null` where it finds nothing in one of them. */
export function listIn<T>(text: string, separator: string, read: (part: string) => T | null): T[] | null {
  const list: T[] = [];
  for (const part of text.split(separator)) {
    const item = read(part);
    if (item === null) return null;
    list.push(item);
  }
  return list;
}
