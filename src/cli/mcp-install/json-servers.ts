// The servers in a configuration in JSON, with the comments and trailing commas that clients allow.

import type { Span } from "../../gateway/contract.ts";
import { NotJsonError, OPEN_OBJECT, scanList, scanObject, skipSpace, skipValue } from "../../gateway/json/scan.ts";
import type { ServerEntry, Word } from "./entry.ts";

const BLANK = 0x20;
const NEWLINE = 0x0a;
const QUOTE = 0x22;
const STAR = 0x2a;
const COMMA = 0x2c;
const SLASH = 0x2f;
const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_LIST = 0x5d;
const CLOSE_OBJECT = 0x7d;

/**
 * The servers below these keys, in their order.
 *
 * @throws NotJsonError
 */
export function jsonServers(bytes: Buffer, keys: readonly string[]): ServerEntry[] {
  const plain = strict(bytes);
  const start = skipSpace(plain, 0);
  const end = skipSpace(plain, skipValue(plain, start));
  if (end !== plain.length) throw new NotJsonError(end);
  const found = keys.reduce<number | undefined>(
    (at, key) => (at === undefined ? undefined : membersAt(plain, at).get(key)?.from),
    start,
  );
  if (found === undefined) return [];
  return [...membersAt(plain, found)].map(([name, { from }]) => entryAt(plain, name, from));
}

/** Where the values of an object stand; of two equal keys the last, as clients read them. Nothing where it is not an object. */
function membersAt(plain: Buffer, at: number): Map<string, Span> {
  const members = new Map<string, Span>();
  if (plain[at] !== OPEN_OBJECT) return members;
  scanObject(plain, at, (key, from) => {
    const to = skipValue(plain, from);
    members.set(key, { from, to });
    return to;
  });
  return members;
}

function entryAt(plain: Buffer, name: string, at: number): ServerEntry {
  const members = membersAt(plain, at);
  const word = (key: string) => wordAt(plain, members.get(key));
  const list = members.get("args");
  const isOdd = list !== undefined && plain[list.from] !== OPEN_LIST;
  const command = isOdd ? null : word("command");
  const url = ["url", "httpUrl", "serverUrl"].map(word).find((each) => each !== null)?.value ?? null;
  const slot = { at: command?.at.to ?? at, before: `,${gapBeforeKey(plain, command?.at.from ?? at)}"args": ` };
  return { name, command, args: list === undefined ? null : { at: list, items: wordsIn(plain, list) }, url, slot };
}

function wordAt(plain: Buffer, at: Span | undefined): Word | null {
  if (at === undefined || plain[at.from] !== QUOTE) return null;
  return { at, value: JSON.parse(plain.toString("utf8", at.from, at.to)) };
}

/** What is in a list. A number counts as its text: it is kept as it is. */
function wordsIn(plain: Buffer, { from }: Span): Word[] {
  const words: Word[] = [];
  if (plain[from] !== OPEN_LIST) return words;
  scanList(plain, from, (start) => {
    const at = { from: start, to: skipValue(plain, start) };
    words.push(wordAt(plain, at) ?? { at, value: plain.toString("utf8", at.from, at.to) });
    return at.to;
  });
  return words;
}

/** The white space before the key of a value, at most a line of it. */
function gapBeforeKey(plain: Buffer, value: number): string {
  const before = plain.toString("utf8", 0, value);
  return /(\r?\n[ \t]*|[ \t]*)"(?:[^"\\]|\\.)*"\s*:\s*$/.exec(before)?.[1] || " ";
}

/** The same text in strict JSON, of the same length: comments, commas before a closing bracket and a byte order mark are blanks. */
function strict(bytes: Buffer): Buffer {
  const plain = Buffer.from(bytes);
  if (plain.toString("latin1", 0, 3) === "\xef\xbb\xbf") plain.fill(BLANK, 0, 3);
  /** A comma with nothing after it yet. */
  let comma: number | null = null;
  let at = 0;
  while (at < plain.length) {
    const byte = plain[at];
    const end = byte === SLASH ? endOfComment(plain, at) : byte === QUOTE ? endOfText(plain, at) : at + 1;
    if (byte === SLASH && end > at + 1) plain.fill(BLANK, at, end);
    else if (byte === COMMA) comma = at;
    else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) {
      if (comma !== null) plain[comma] = BLANK;
      comma = null;
    } else if (skipSpace(plain, at) === at) comma = null;
    at = end;
  }
  return plain;
}

/** The offset after a comment; the next one where there is no comment. */
function endOfComment(plain: Buffer, at: number): number {
  if (plain[at + 1] === SLASH) return orEnd(plain, plain.indexOf(NEWLINE, at));
  if (plain[at + 1] !== STAR) return at + 1;
  const close = plain.indexOf("*/", at + 2);
  return close === -1 ? plain.length : close + 2;
}

function endOfText(plain: Buffer, at: number): number {
  let end = at + 1;
  while (end < plain.length && plain[end] !== QUOTE && plain[end] !== NEWLINE) end += plain[end] === BACKSLASH ? 2 : 1;
  return end + 1;
}

function orEnd(plain: Buffer, at: number): number {
  return at === -1 ? plain.length : at;
}
