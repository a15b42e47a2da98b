// What a store remembers of those who ask, so that a batch whose answer was lost is neither lost nor booked twice: which
// requests of an instance's last batches were booked, and the mark by which it is known whether the store has lost it all.

import { isInstant } from "./algorithms/algorithm.ts";
import type { MarkState, Receipt, ReceiptsState } from "./state.ts";

/** Most batches of one instance that are remembered. */
export const MAX_RECEIPTS = 16;
/** How long they are, after the last one: ms. */
export const RECEIPTS_KEPT_MS = 86_400_000;

/** The key of the mark. */
export const MARK_KEY = "tollgate:1:$incarnation";

/** The key of an instance's receipts. */
export function receiptsKey(instance: string): string {
  return `tollgate:1:$receipts:${instance}`;
}

export function encodeReceipts({ from, receipts }: ReceiptsState): string {
  const texts = receipts.map(
    ({ number, part, atMs, booked, closed }) => `${number}.${part},${atMs},${booked},${closed ? "c" : "o"}`,
  );
  return `r1 ${from} ${texts.join(";")}`;
}

export function decodeReceipts(text: string, expiresAtMs: number): ReceiptsState | null {
  const match = /^r1 ([0-9]+) (\S*)$/.exec(text);
  if (match === null) return null;
  const [, from, list = ""] = match;
  const receipts = list === "" ? [] : list.split(";").map(decodeReceipt);
  if (!Number.isSafeInteger(Number(from)) || !receipts.every((receipt) => receipt !== null)) return null;
  // A batch writes its own receipt with them, and none below the first number that is open.
  if (receipts.length === 0 || receipts.some(({ number }) => number < Number(from))) return null;
  return { kind: "receipts", expiresAtMs, from: Number(from), receipts };
}

function decodeReceipt(text: string): Receipt | null {
  const match = /^([0-9]+)\.([0-9]+),([0-9]+),([01]*),([co])$/.exec(text);
  if (match === null) return null;
  const [number = 0, part = 0, atMs = 0] = match.slice(1, 4).map(Number);
  if (!Number.isSafeInteger(number) || !Number.isSafeInteger(part) || !isInstant(atMs)) return null;
  return { number, part, atMs, booked: match[4] ?? "", closed: match[5] === "c" };
}

export function encodeMark({ incarnation, lost }: MarkState): string {
  return `m1 ${incarnation} ${lost}`;
}

export function decodeMark(text: string, expiresAtMs: number): MarkState | null {
  const match = /^m1 ([\w-]{1,64}) (all|some)$/.exec(text);
  if (match === null) return null;
  return { kind: "mark", expiresAtMs, incarnation: match[1] ?? "", lost: match[2] === "all" ? "all" : "some" };
}
