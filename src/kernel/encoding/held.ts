// A bucket with entries as text: `h1 <tag of its algorithm's states> <entry>;… [<end of what is spent> <what is spent>]`.

import { isEnd } from "../algorithms/algorithm.ts";
import { decodeSpent, encodeSpent, flowsOf, kindOfTag, tagOfKind } from "../algorithms/registry.ts";
import type { Entry, HeldState } from "../state.ts";
import { decodeEntry, encodeEntry } from "./entry.ts";
import { listIn, numberIn } from "./scan.ts";

export function encodeHeld({ of, spent, entries }: HeldState): string {
  const text = `h1 ${tagOfKind(of)} ${entries.map(encodeEntry).join(";")}`;
  return spent === undefined ? text : `${text} ${spent.expiresAtMs} ${encodeSpent(spent)}`;
}

export function decodeHeld(text: string, expiresAtMs: number): HeldState | null {
  const [version, tag = "", list = "", end, ...rest] = text.split(" ");
  const of = kindOfTag(tag);
  if (version !== "h1" || of === undefined || !isEnd(expiresAtMs)) return null;
  const entries = listIn(list, ";", decodeEntry);
  if (entries === null || !areInOrder(entries) || (!flowsOf(of) && entries.some(needsFlow))) return null;
  if (end === undefined) return { kind: "held", expiresAtMs, of, spent: undefined, entries };
  const spent = decodeSpent(rest.join(" "), numberIn(end));
  return spent?.kind === of ? { kind: "held", expiresAtMs, of, spent, entries } : null;
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
