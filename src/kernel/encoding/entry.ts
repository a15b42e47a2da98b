// An entry of a bucket as text: `<id>,<units>,<expiresAtMs>,<letter>[<leaseMs>][,…]`. The letter says what the entry is, in
// upper case once it has ended: c and r are holds that are charged or refunded, g grants, p calls in the queue, M late usage.
// (These letters have nothing to do with those of algorithms.)
// Behind it are the level after a hold, `<baseMs>,<level>,<levelPerUnit>`, or what a call in the queue becomes, `c|r<leaseMs>`.

import { isLevel, type Level, MAX_INSTANT_MS, MAX_UNITS } from "../algorithms/rules/rules.ts";
import { type Becomes, grantOf, lateUsageOf, queuedCallOf, reservationOf } from "../bucket/make.ts";
import type { Entry } from "../state.ts";
import { codeAt, find, keepText, knownText, numberOf, partOf, textOf } from "../lua.ts";
import { isCanonical, MAX_ID_LENGTH } from "./digits.ts";

const ENTRY = "^([%w_-]+),(%d+),(%d+),([crgpCRGM])(%d*)";
const LEVEL = "^,(%d+),(%d+),([1-9]%d*)";
const BECOMES = "^,([cr])(%d+)";
const COMMA = 44;

export function encodeEntry(entry: Entry): string {
  const known = knownText(entry);
  if (known !== undefined) return known;
  const { leaseMs } = entry;
  const lease = leaseMs === undefined ? "" : textOf(leaseMs);
  const text = `${entry.id},${textOf(entry.units)},${textOf(entry.expiresAtMs)},${letterOf(entry)}${lease}${restOf(entry)}`;
  keepText(entry, text);
  return text;
}

function letterOf(entry: Entry): string {
  if (entry.kind === "reservation") {
    if (entry.onExpiry === "charge") return entry.expired ? "C" : "c";
    return entry.expired ? "R" : "r";
  }
  if (entry.kind === "grant") return entry.expired ? "G" : "g";
  return entry.kind === "queued" ? "p" : "M";
}

/** What is behind the letter and the lease. */
function restOf(entry: Entry): string {
  if (entry.kind === "reservation") {
    const level = entry.levelAfter;
    if (level === null) return "";
    return `,${textOf(level.baseMs)},${textOf(level.level)},${textOf(level.levelPerUnit)}`;
  }
  if (entry.kind !== "queued" || entry.becomes === undefined) return "";
  return `,${entry.becomes.onExpiry === "charge" ? "c" : "r"}${textOf(entry.becomes.leaseMs)}`;
}

/** An entry that was read, and the position of its last character. */
export interface ReadEntry {
  entry: Entry;
  last: number;
}

/**
 * Reads the entry that begins at a position of a text.
 *
 * @param into where the entry and its last position are written
 * @returns whether there is an entry
 */
export function readEntry(into: ReadEntry, text: string, first: number): boolean {
  const [head, end, id, unitsText, endText, letter, leaseText] = find(text, ENTRY, first);
  if (head === undefined || end === undefined || id === undefined || unitsText === undefined) return false;
  if (endText === undefined || letter === undefined || leaseText === undefined) return false;
  const units = numberOf(unitsText);
  const expiresAtMs = numberOf(endText);
  const leaseMs = leaseText === "" ? undefined : numberOf(leaseText);
  if (id.length > MAX_ID_LENGTH || units > MAX_UNITS || expiresAtMs > MAX_INSTANT_MS) return false;
  if (leaseMs !== undefined && (!isCanonical(leaseText) || leaseMs > MAX_INSTANT_MS)) return false;
  into.last = end;
  const isExact = isCanonical(unitsText) && isCanonical(endText);
  if (codeAt(text, end + 1) === COMMA)
    return readMore(into, text, first, id, units, expiresAtMs, leaseMs, letter, isExact);
  into.entry = entryOf(id, units, expiresAtMs, leaseMs, letter, null);
  // A zero before other digits would not be written again.
  if (isExact) keepText(into.entry, partOf(text, first, end));
  return true;
}

/** Reads what is behind the lease: the level after a hold, or what a queued call becomes. */
function readMore(
  into: ReadEntry,
  text: string,
  first: number,
  id: string,
  units: number,
  expiresAtMs: number,
  leaseMs: number | undefined,
  letter: string,
  isExact: boolean,
): boolean {
  const from = into.last + 1;
  if (letter === "p") {
    const [head, end, then, lease] = find(text, BECOMES, from);
    if (head === undefined || end === undefined || then === undefined || lease === undefined) return false;
    const becomes: Becomes = { onExpiry: then === "c" ? "charge" : "refund", leaseMs: numberOf(lease) };
    if (!isCanonical(lease) || expiresAtMs + becomes.leaseMs > MAX_INSTANT_MS) return false;
    into.entry = queuedCallOf(id, units, expiresAtMs, leaseMs, becomes);
    into.last = end;
  } else {
    const [head, end, base, height, size] = find(text, LEVEL, from);
    if (head === undefined || end === undefined || base === undefined) return false;
    if (height === undefined || size === undefined || !isHold(letter)) return false;
    const level = { baseMs: numberOf(base), level: numberOf(height), levelPerUnit: numberOf(size) };
    if (!isLevel(level.baseMs, level.level, level.levelPerUnit)) return false;
    into.entry = entryOf(id, units, expiresAtMs, leaseMs, letter, level);
    into.last = end;
    if (!isCanonical(base) || !isCanonical(height)) return true;
  }
  if (isExact) keepText(into.entry, partOf(text, first, into.last));
  return true;
}

function isHold(letter: string): boolean {
  return letter === "c" || letter === "r" || letter === "C" || letter === "R";
}

function entryOf(
  id: string,
  units: number,
  expiresAtMs: number,
  leaseMs: number | undefined,
  letter: string,
  levelAfter: Level | null,
): Entry {
  if (letter === "c") return reservationOf(id, units, expiresAtMs, leaseMs, "charge", false, levelAfter);
  if (letter === "r") return reservationOf(id, units, expiresAtMs, leaseMs, "refund", false, levelAfter);
  if (letter === "C") return reservationOf(id, units, expiresAtMs, leaseMs, "charge", true, levelAfter);
  if (letter === "R") return reservationOf(id, units, expiresAtMs, leaseMs, "refund", true, levelAfter);
  if (letter === "p") return queuedCallOf(id, units, expiresAtMs, leaseMs, undefined);
  if (letter === "M") return lateUsageOf(id, units, expiresAtMs, leaseMs);
  return grantOf(id, units, expiresAtMs, leaseMs, letter === "G");
}
