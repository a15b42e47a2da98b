// Where values stand in the bytes of a JSON text. It accepts the texts that `JSON.parse` accepts, up to a depth, and decodes
// nothing but keys that it is asked for. What the values mean is not known here.

/** Thrown for bytes that are no JSON. */
export class NotJsonError extends Error {
  override readonly name = "NotJsonError";
  readonly at: number;

  constructor(at: number, what = "unexpected text") {
    super(`${what} at byte ${at}`);
    this.at = at;
  }
}

/** As deep as Go's decoder reads. */
const MOST_DEPTH = 10_000;

const SPACE = 0x20;
const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
export const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

const LITERALS = new Map(["true", "false", "null"].map((word) => [word.charCodeAt(0), Buffer.from(word)]));
/** What may follow a backslash. */
const ESCAPED = new Set(Buffer.from('"\\/bfnrtu'));

/** The first byte from `at` on that is no white space. */
export function skipSpace(bytes: Buffer, at: number): number {
  let end = at;
  while (isSpace(bytes[end])) end++;
  return end;
}

function isSpace(byte: number | undefined): boolean {
  return byte === SPACE || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/**
 * Reads the members of the object at `at`, in their order.
 *
 * @param readValue reads the value at an offset, for instance by `skipValue`, and returns the offset after it
 * @returns the offset after the object
 * @throws NotJsonError
 */
export function scanObject(bytes: Buffer, at: number, readValue: (key: string, at: number) => number): number {
  let next = skipSpace(bytes, expect(bytes, at, OPEN_OBJECT));
  if (bytes[next] === CLOSE_OBJECT) return next + 1;
  for (;;) {
    const keyEnd = skipString(bytes, next);
    const key = stringAt(bytes, next, keyEnd);
    next = skipSpace(bytes, readValue(key, skipColon(bytes, keyEnd)));
    if (bytes[next] === CLOSE_OBJECT) return next + 1;
    next = skipSpace(bytes, expect(bytes, next, COMMA));
  }
}

/**
 * Reads the elements of the list at `at`, in their order.
 *
 * @param readValue as of `scanObject`
 * @returns the offset after the list
 * @throws NotJsonError
 */
export function scanList(bytes: Buffer, at: number, readValue: (at: number) => number): number {
  let next = skipSpace(bytes, expect(bytes, at, OPEN_LIST));
  if (bytes[next] === CLOSE_LIST) return next + 1;
  for (;;) {
    next = skipSpace(bytes, readValue(next));
    if (bytes[next] === CLOSE_LIST) return next + 1;
    next = skipSpace(bytes, expect(bytes, next, COMMA));
  }
}

/** The text of the string from `at` to `end`, its quotes included. */
export function stringAt(bytes: Buffer, at: number, end: number): string {
  const text = bytes.toString("utf8", at + 1, end - 1);
  return text.includes("\\") ? JSON.parse(`"${text}"`) : text;
}

/**
 * Reads one value, of any kind.
 *
 * @returns the offset after it
 * @throws NotJsonError
 */
export function skipValue(bytes: Buffer, at: number): number {
  /** The byte that closes each list or object that is open. */
  const closers: number[] = [];
  let next = at;
  for (;;) {
    const first = bytes[next];
    if (first === OPEN_OBJECT || first === OPEN_LIST) {
      const closer = first === OPEN_OBJECT ? CLOSE_OBJECT : CLOSE_LIST;
      if (closers.length === MOST_DEPTH) throw new NotJsonError(next, `more than ${MOST_DEPTH} levels`);
      next = skipSpace(bytes, next + 1);
      if (bytes[next] !== closer) {
        closers.push(closer);
        if (closer === CLOSE_OBJECT) next = skipKey(bytes, next);
        continue;
      }
      next++;
    } else next = skipScalar(bytes, next);
    // A value has ended; so may have what it stands in.
    let closer = closers.at(-1);
    while (closer !== undefined) {
      next = skipSpace(bytes, next);
      if (bytes[next] !== closer) break;
      next++;
      closers.pop();
      closer = closers.at(-1);
    }
    if (closer === undefined) return next;
    next = skipSpace(bytes, expect(bytes, next, COMMA));
    if (closer === CLOSE_OBJECT) next = skipKey(bytes, next);
  }
}

/** The offset after a byte that has to be there. */
function expect(bytes: Buffer, at: number, byte: number): number {
  if (bytes[at] !== byte) throw new NotJsonError(at);
  return at + 1;
}

function skipKey(bytes: Buffer, at: number): number {
  return skipColon(bytes, skipString(bytes, at));
}

function skipColon(bytes: Buffer, at: number): number {
  return skipSpace(bytes, expect(bytes, skipSpace(bytes, at), COLON));
}

function skipScalar(bytes: Buffer, at: number): number {
  const first = bytes[at];
  if (first === QUOTE) return skipString(bytes, at);
  const literal = LITERALS.get(first ?? -1);
  if (literal === undefined) return skipNumber(bytes, at);
  if (bytes.compare(literal, 0, literal.length, at, Math.min(bytes.length, at + literal.length)) !== 0) {
    throw new NotJsonError(at);
  }
  return at + literal.length;
}

function skipString(bytes: Buffer, at: number): number {
  let next = expect(bytes, at, QUOTE);
  const end = bytes.length;
  while (next < end) {
    const byte = bytes[next] as number;
    if (byte === QUOTE) return next + 1;
    if (byte < SPACE) break;
    next = byte === BACKSLASH ? skipEscape(bytes, next) : next + 1;
  }
  throw new NotJsonError(next);
}

function skipEscape(bytes: Buffer, at: number): number {
  const kind = bytes[at + 1];
  if (kind === undefined || !ESCAPED.has(kind)) throw new NotJsonError(at);
  if (kind !== 0x75) return at + 2;
  if (!/^[0-9a-fA-F]{4}$/.test(bytes.toString("latin1", at + 2, at + 6))) throw new NotJsonError(at);
  return at + 6;
}

function skipNumber(bytes: Buffer, at: number): number {
  let next = bytes[at] === MINUS ? at + 1 : at;
  // A zero stands alone before the point.
  next = bytes[next] === ZERO ? next + 1 : skipDigits(bytes, next);
  if (bytes[next] === POINT) next = skipDigits(bytes, next + 1);
  if (bytes[next] === 0x65 || bytes[next] === 0x45) {
    const isSigned = bytes[next + 1] === MINUS || bytes[next + 1] === 0x2b;
    next = skipDigits(bytes, next + (isSigned ? 2 : 1));
  }
  return next;
}

/** At least one. */
function skipDigits(bytes: Buffer, at: number): number {
  let next = at;
  while (isDigit(bytes[next])) next++;
  if (next === at) throw new NotJsonError(at);
  return next;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= ZERO && byte <= 0x39;
}
