// Rules of what is written: ids and digits.

import { codeAt } from "../lua.ts";

/** Of ids, fingerprints and outcomes. */
export const MAX_ID_LENGTH = 64;

const ZERO = 48;

/** Whether digits have no zero before others: what is written again must be the same text. */
export function isCanonical(digits: string): boolean {
  return digits.length === 1 || codeAt(digits, 1) !== ZERO;
}
