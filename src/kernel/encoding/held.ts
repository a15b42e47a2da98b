// A bucket with entries as text: `h1 <letter of its algorithm> <entry>;… [<end of what is spent> <what is spent>]`.

import { decodeSpent, encodeSpent, rulesOfKind, rulesOfLetter, type SpentState } from "../algorithms/rules/registry.ts";
import { isEnd } from "../algorithms/rules/rules.ts";
import type { Entry, HeldState } from "../state.ts";
import { codeAt, find, numberOf, shortList, textOf } from "../lua.ts";
import { encodeEntry, type ReadEntry, readEntry } from "./entry.ts";

const SEMICOLON = 59;
const SPACE = 32;
const LETTER_AT = 4;
const ENTRIES_AT = 6;

export function encodeHeld(state: HeldState): string {
  const { spent, entries } = state;
  let text = `h1 ${rulesOfKind(state.of).letter} ${encodeEntry(entries[0] as Entry)}`;
  if (entries.length > 1) text = withMore(text, entries);
  return spent === undefined ? text : `${text} ${textOf(spent.expiresAtMs)} ${encodeSpent(spent)}`;
}

/** A text of the first entry, with all others behind it. */
function withMore(text: string, entries: readonly Entry[]): string {
  const texts = [text];
  for (let i = 1; i < entries.length; i++) texts.push(encodeEntry(entries[i] as Entry));
  return texts.join(";");
}

export function decodeHeld(text: string, expiresAtMs: number): HeldState | null {
  const [head] = find(text, "^h1 [a-z] ");
  if (head === undefined || !isEnd(expiresAtMs)) return null;
  const rules = rulesOfLetter(codeAt(text, LETTER_AT));
  if (rules === null) return null;
  const entries = shortList<Entry>();
  const last = readEntries(entries, text, rules.flow !== undefined);
  if (last === 0) return null;
  if (last === text.length) return { kind: "held", expiresAtMs, of: rules.kind, spent: undefined, entries };
  const spent = spentFrom(text, last + 1);
  if (spent === null || spent.kind !== rules.kind) return null;
  return { kind: "held", expiresAtMs, of: rules.kind, spent, entries };
}

function spentFrom(text: string, first: number): SpentState | null {
  const [head, , end, spent] = find(text, "^ (%d+) ([^\n]+)$", first);
  if (head === undefined || end === undefined || spent === undefined) return null;
  return decodeSpent(spent, numberOf(end));
}

const NO_ENTRY: Entry = { kind: "late", id: "", units: 0, expiresAtMs: 0 };
/** The entry that was read last: each one that is read writes over it. */
const READ: ReadEntry = { entry: NO_ENTRY, last: 0 };

/** Reads all entries of a text into a list. Returns the position of their last character; 0 where one is damaged. */
function readEntries(entries: Entry[], text: string, flows: boolean): number {
  let endMs = 0;
  let first = ENTRIES_AT;
  for (;;) {
    if (!readEntry(READ, text, first)) return 0;
    const { entry, last } = READ;
    if (entry.expiresAtMs < endMs || (!flows && needsFlow(entry))) return 0;
    entries.push(entry);
    endMs = entry.expiresAtMs;
    if (codeAt(text, last + 1) !== SEMICOLON)
      return last === text.length || codeAt(text, last + 1) === SPACE ? last : 0;
    first = last + 2;
  }
}

/** Whether an entry is only in buckets that flow. */
function needsFlow(entry: Entry): boolean {
  if (entry.kind === "reservation") return entry.levelAfter !== null;
  return entry.kind === "queued" && entry.becomes !== undefined;
}
