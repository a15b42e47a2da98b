// An entry of a bucket as text: `<id>,<units>,<expiresAtMs>,<letter>[<leaseMs>][,…]`. The letter says what the entry is, in
// upper case once it has ended: c and r are holds that are charged or refunded, g grants, p calls in the queue, M late usage.
// (These letters have nothing to do with those of algorithms.)
// Behind it are the level after a hold, `<baseMs>,<level>,<levelPerUnit>`, or what a call in the queue becomes, `c|r<leaseMs>`.

import { isInstant, type Level } from "../algorithms/algorithm.ts";
import { isLevel } from "../algorithms/algorithm.ts";
import type { Entry, QueuedCall } from "../state.ts";
import { isId, numberIn, wholeIn } from "./scan.ts";

const FIELDS = 4;

export function encodeEntry(entry: Entry): string {
  const text = `${entry.id},${entry.units},${entry.expiresAtMs},${letterOf(entry)}${entry.leaseMs ?? ""}`;
  if (entry.kind === "queued" && entry.becomes !== undefined) {
    return `${text},${entry.becomes.onExpiry.charAt(0)}${entry.becomes.leaseMs}`;
  }
  if (entry.kind !== "reservation" || entry.levelAfter === null) return text;
  const { baseMs, level, levelPerUnit } = entry.levelAfter;
  return `${text},${baseMs},${level},${levelPerUnit}`;
}

function letterOf(entry: Entry): string {
  if (entry.kind === "queued") return "p";
  if (entry.kind === "late") return "M";
  const letter = entry.kind === "grant" ? "g" : entry.onExpiry.charAt(0);
  return entry.expired ? letter.toUpperCase() : letter;
}

export function decodeEntry(text: string): Entry | null {
  const parts = text.split(",");
  const id = parts[0];
  const units = numberIn(parts[1]);
  const expiresAtMs = numberIn(parts[2]);
  const letterAndLease = parts[3] ?? "";
  const hasLease = letterAndLease.length > 1;
  const leaseMs = hasLease ? wholeIn(letterAndLease.slice(1)) : 0;
  if (!isId(id) || !Number.isSafeInteger(units) || !isInstant(expiresAtMs) || !isInstant(leaseMs)) return null;
  const base = hasLease ? { id, units, expiresAtMs, leaseMs } : { id, units, expiresAtMs };
  const letter = letterAndLease.charAt(0);
  if (letter === "p") return queuedIn(base, parts);
  const onExpiry = onExpiryOf(letter.toLowerCase());
  const expired = letter !== letter.toLowerCase();
  if (onExpiry !== null) {
    const levelAfter = parts.length === FIELDS ? null : levelIn(parts);
    return levelAfter === undefined ? null : { kind: "reservation", ...base, onExpiry, expired, levelAfter };
  }
  if (parts.length > FIELDS) return null;
  if (letter === "M") return { kind: "late", ...base };
  return letter === "g" || letter === "G" ? { kind: "grant", ...base, expired } : null;
}

/** What happens to the units of a hold at its end, by its letter; `null` where it is none of a hold. */
function onExpiryOf(letter: string): "charge" | "refund" | null {
  if (letter === "c") return "charge";
  return letter === "r" ? "refund" : null;
}

/** The level behind the fields of an entry; `undefined` where there is none. */
function levelIn(parts: readonly string[]): Level | undefined {
  const level = { baseMs: numberIn(parts[4]), level: numberIn(parts[5]), levelPerUnit: wholeIn(parts[6]) };
  return parts.length === FIELDS + 3 && level.levelPerUnit > 0 && isLevel(level) ? level : undefined;
}

function queuedIn(base: Omit<QueuedCall, "kind" | "becomes">, parts: readonly string[]): QueuedCall | null {
  const then = parts[FIELDS];
  if (then === undefined) return { kind: "queued", ...base };
  const onExpiry = onExpiryOf(then.charAt(0));
  const leaseMs = wholeIn(then.slice(1));
  if (parts.length > FIELDS + 1 || onExpiry === null || !isInstant(base.expiresAtMs + leaseMs)) return null;
  return { kind: "queued", ...base, becomes: { onExpiry, leaseMs } };
}
