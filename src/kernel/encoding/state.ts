// What a store keeps under one key as text: a plain integer where only units are spent, else `<letter><version> …`. The
// file of an algorithm has its letter; h is a bucket with entries, o a kept answer, r receipts, m the mark of the store.

import { decodeSpent, encodeSpent } from "../algorithms/registry.ts";
import type { StoredState } from "../state.ts";
import { decodeHeld, encodeHeld } from "./held.ts";
import { decodeMark, encodeMark } from "./mark.ts";
import { decodeOnce, encodeOnce } from "./once.ts";
import { decodeReceipts, encodeReceipts } from "./receipts.ts";

/** A state as text, for stores that keep text. */
export function encodeState(state: StoredState): string {
  switch (state.kind) {
    case "held":
      return encodeHeld(state);
    case "once":
      return encodeOnce(state);
    case "receipts":
      return encodeReceipts(state);
    case "mark":
      return encodeMark(state);
    default:
      return encodeSpent(state);
  }
}

/**
 * The state that `encodeState` wrote, or `null` when the text is damaged. What is not `null` is safe to decide on: its
 * numbers are in order, its instants are at most 2^52, and its sums stay below 2^53.
 */
export function decodeState(text: string, expiresAtMs: number): StoredState | null {
  return (DECODERS.get(text.charAt(0)) ?? decodeSpent)(text, expiresAtMs);
}

const DECODERS = new Map<string, typeof decodeState>([
  ["h", decodeHeld],
  ["o", decodeOnce],
  ["r", decodeReceipts],
  ["m", decodeMark],
]);
