// The receipts of an instance as text: `r1 <from> <number>.<part>,<atMs>,<booked>,<c or o>;…`. Where there are digits of
// what was found, `,<found>` follows the letter.

import { isInstant } from "../algorithms/algorithm.ts";
import type { Receipt, ReceiptsState } from "../state.ts";
import { listIn, numberIn } from "./scan.ts";

export function encodeReceipts({ from, receipts }: ReceiptsState): string {
  const texts = receipts.map(
    ({ number, part, atMs, booked, found, closed }) =>
      `${number}.${part},${atMs},${booked},${closed ? "c" : "o"}${found === "" ? "" : `,${found}`}`,
  );
  return `r1 ${from} ${texts.join(";")}`;
}

export function decodeReceipts(text: string, expiresAtMs: number): ReceiptsState | null {
  const [tag, fromText, list = "", ...rest] = text.split(" ");
  const from = numberIn(fromText);
  if (tag !== "r1" || !Number.isSafeInteger(from) || rest.length > 0) return null;
  const receipts = listIn(list, ";", decodeReceipt);
  // No batch is below the first number that is open.
  if (receipts === null || receipts.some(({ number }) => number < from)) return null;
  return { kind: "receipts", expiresAtMs, from, receipts };
}

function decodeReceipt(text: string): Receipt | null {
  const [name = "", at, booked = "", letter, found, ...rest] = text.split(",");
  const [numberText, partText, ...more] = name.split(".");
  const [number, part, atMs] = [numberIn(numberText), numberIn(partText), numberIn(at)];
  if (!Number.isSafeInteger(number) || !Number.isSafeInteger(part) || !isInstant(atMs)) return null;
  // A digit for each request.
  if (!/^[01]*$/.test(booked) || (letter !== "c" && letter !== "o") || rest.length > 0 || more.length > 0) return null;
  if (found !== undefined && !/^[012]+$/.test(found)) return null;
  return { number, part, atMs, booked, found: found ?? "", closed: letter === "c" };
}
