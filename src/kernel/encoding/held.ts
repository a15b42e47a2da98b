// A bucket with entries as text: `h1 <letter of its algorithm> <entry>;… [<end of what is spent> <what is spent>]`.

import { isEnd } from "../algorithms/algorithm.ts";
import { algorithmOfKind, algorithmOfLetter, decodeSpent, encodeSpent } from "../algorithms/registry.ts";
import type { Entry, HeldState } from "../state.ts";
import { decodeEntry, encodeEntry } from "./entry.ts";
import { listIn, numberIn } from "./scan.ts";

export function encodeHeld({ of, spent, entries }: HeldState): string {
  const text = `h1 ${algorithmOfKind(of).letter} ${entries.map(encodeEntry).join(";")}`;
  return spent === undefined ? text : `${text} ${spent.expiresAtMs} ${encodeSpent(spent)}`;
}

export function decodeHeld(text: string, expiresAtMs: number): HeldState | null {
  const [version, letter = "", list = "", end, ...rest] = text.split(" ");
  const algorithm = algorithmOfLetter(letter);
  if (version !== "h1" || algorithm === undefined || !isEnd(expiresAtMs)) return null;
  const { kind: of, flow } = algorithm;
  const entries = listIn(list, ";", decodeEntry);
  if (entries === null || !areInOrder(entries) || (flow === undefined && entries.some(needsFlow))) return null;
  const spent = end === undefined ? undefined : decodeSpent(rest.join(" "), numberIn(end));
  return spent === undefined || spent?.kind === of ? { kind: "held", expiresAtMs, of, spent, entries } : null;
}

function areInOrder(entries: readonly Entry[]): boolean {
  return entries.every(({ expiresAtMs }, i) => (entries[i - 1]?.expiresAtMs ?? 0) <= expiresAtMs);
}

/** Whether an entry is only in buckets that flow. */
function needsFlow(entry: Entry): boolean {
  return entry.kind === "reservation"
    ? entry.levelAfter !== null
    : entry.kind === "queued" && entry.becomes !== undefined;
}
