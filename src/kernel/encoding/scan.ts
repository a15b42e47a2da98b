// Reads the parts of a text, character by character: also in a language without regular expressions.

export const MAX_ID_LENGTH = 64;
const ZERO = 48;

/** The number that digits are, exact up to 2^53; `NaN` for any other text. */
export function numberIn(text: string | undefined): number {
  if (text === undefined || text === "") return Number.NaN;
  let number = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (!isDigit(code)) return Number.NaN;
    number = number * 10 + (code - ZERO);
  }
  return number;
}

/** As `numberIn`, without a zero before other digits: what is written again must be the same text. */
export function wholeIn(text: string | undefined): number {
  return text !== undefined && text.length > 1 && text.startsWith("0") ? Number.NaN : numberIn(text);
}

/** Whether a text is 1 to 64 letters, digits, `_` or `-`. */
export function isId(text: string | undefined): text is string {
  if (text === undefined || text.length > MAX_ID_LENGTH) return false;
  for (let i = 0; i < text.length; i++) if (!isIdCharacter(text.charCodeAt(i))) return false;
  return text !== "";
}

function isDigit(code: number): boolean {
  return code >= ZERO && code <= ZERO + 9;
}

/** Of ASCII: letters, digits, `_` or `-`. */
function isIdCharacter(code: number): boolean {
  return isDigit(code) || (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || code === 95 || code === 45;
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
