// What a store remembers of those who ask, so that a batch whose answer was lost is neither lost nor booked twice: which
// requests of an instance's last batches were booked, and the mark by which it is known whether the store has lost it all.

import { isInstant } from "./algorithms/algorithm.ts";

/** Most batches of one instance that are remembered. */
export const MAX_RECEIPTS = 16;
/** How long they are, after the last one: ms. */
export const RECEIPTS_KEPT_MS = 86_400_000;

/** What became of one batch. */
export interface Receipt {
  readonly number: number;
  /** Where a store cuts a batch in parts: which one, from 0. */
  readonly part: number;
  /** When it was first decided, epoch ms. */
  readonly atMs: number;
  /** A digit for each request: 1 booked, 0 not. */
  readonly booked: string;
  /** Whether its sender has settled what becomes of it: what comes later under its number is too late. */
  readonly closed: boolean;
}

/** What became of an instance's last batches. */
export interface ReceiptsState {
  readonly kind: "receipts";
  readonly expiresAtMs: number;
  /** Numbers below are closed. */
  readonly from: number;
  readonly receipts: readonly Receipt[];
}

/** By what a store is known again. Where it is not there any more, the store has lost what it held. */
export interface MarkState {
  readonly kind: "mark";
  readonly expiresAtMs: number;
  /** 1 to 64 letters, digits, `_` or `-`. */
  readonly incarnation: string;
  /** Of what was in the store before: whether all of it is lost for sure. */
  readonly lost: "all" | "some";
}

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
