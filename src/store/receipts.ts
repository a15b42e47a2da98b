// A batch on terms: whether it may be booked at all, and what was booked of it before. The receipt that says so is written
// in the same transaction as the buckets. How a request is decided is in batch.ts.

import { MARK_KEY, MAX_RECEIPTS, receiptsEndMs, receiptsKey } from "../kernel/receipts.ts";
import { FOUND, namesEntry, type Step, type StepReply, type StoreRequest } from "../kernel/request.ts";
import type { ReceiptsState } from "../kernel/state.ts";
import { type DecidedBatch, decideBatch } from "./batch.ts";
import { type ReadState, validTime } from "./check.ts";
import { StoreError } from "./error.ts";
import { type ReceiptTerms, type Terms, TermsError } from "./shared-store.ts";
import type { StoreAnswer } from "./store.ts";

type Found = StepReply["found"];

/**
 * Decides requests as `decideBatch` does, on terms.
 *
 * @param read as for `decideBatch`; also called for `MARK_KEY`, and for the `receiptsKey` of the batch's instance, which has
 *   to be locked as buckets are
 * @throws TermsError `too-late`, `settled`, `other-incarnation`, `too-many-open`; StoreError `invalid-reply`: nothing is booked
 */
export function bookBatch(
  requests: readonly StoreRequest[],
  read: (key: string) => ReadState,
  nowMs: number,
  { notAfterMs = nowMs, incarnation, receipt }: Terms,
): DecidedBatch {
  validTime(nowMs);
  if (nowMs > notAfterMs) throw new TermsError("too-late", `it is ${nowMs - notAfterMs} ms after the batch's deadline`);
  if (incarnation !== undefined) {
    const mark = read(MARK_KEY);
    if (mark?.kind !== "mark" || mark.incarnation !== incarnation) {
      const message = "the store has lost what it held since the sender last heard of it";
      throw new TermsError("other-incarnation", message);
    }
  }
  return receipt === undefined ? decideBatch(requests, read, nowMs) : decideWithReceipt(requests, read, nowMs, receipt);
}

function decideWithReceipt(
  requests: readonly StoreRequest[],
  read: (key: string) => ReadState,
  nowMs: number,
  receipt: ReceiptTerms,
): DecidedBatch {
  const { number, closes = false } = receipt;
  const key = receiptsKey(receipt.instance);
  const kept = read(key);
  const state = kept?.kind === "receipts" ? kept : undefined;
  const { from, before, others } = receiptsFor(receipt, state);
  const isClosed = number < from || (before?.closed === true && !closes);
  // The sender may have acted on what was not booked then, such as a denial: it may not be booked now.
  const isPartlyBooked = before?.booked.includes("0") === true && !closes;
  if (isClosed || isPartlyBooked) {
    throw new TermsError("settled", `the batch ${number} was closed, or a part of it was refused`);
  }
  // A batch that closes its number makes room.
  if (others.length >= MAX_RECEIPTS && !closes) {
    throw new TermsError("too-many-open", `${MAX_RECEIPTS} batches of the instance are open`);
  }
  const atMs = before?.atMs ?? nowMs;
  const wasBooked = (i: number) => before?.booked[i] === "1";
  /** Whether nothing is left to do: an earlier try booked the request, or booked nothing that is to be taken back. */
  const isDone = (request: StoreRequest, i: number) => takesBackTry(request) !== wasBooked(i);
  const asked = requests.map((request, i) => {
    if (!isDone(request, i)) return takesBackTry(request) ? { ...request, atMs } : request;
    return asRead(request);
  });
  const { replies, changed } = decideBatch(asked, read, nowMs);
  const isBooked = requests.map((request, i) => (isDone(request, i) ? wasBooked(i) : isBooking(request, replies[i])));
  const booked = isBooked.map(Number).join("");
  // A batch is one transaction here: it has one part.
  const found = closes
    ? ""
    : (before?.found ?? foundIn(replies.filter((_, i) => isBooked[i] && requests[i]?.mode !== "undo")));
  const receipts = [...others, { number, part: 0, atMs, booked, found, closed: closes }];
  const written: ReceiptsState = { kind: "receipts", expiresAtMs: receiptsEndMs(nowMs), from, receipts };
  const founds = before === undefined || closes ? [] : foundBy(before.found, requests);
  const answers = replies.map((reply, i) => {
    const steps = founds[i];
    return steps !== undefined && isDone(requests[i] as StoreRequest, i) ? withFound(reply, steps) : reply;
  });
  return { replies: answers, changed: new Map([...changed, [key, written]]) };
}

/** The first number that is open, the receipt that a batch has already, and those of the other open batches. */
export function receiptsFor(receipt: ReceiptTerms, state: ReceiptsState | undefined) {
  const from = Math.max(receipt.from, state?.from ?? 1);
  const open = state?.receipts.filter((each) => each.number >= from) ?? [];
  const before = open.find((each) => each.number === receipt.number);
  return { from, before, others: open.filter((each) => each !== before) };
}

/** Whether a request takes back what the batch's earlier try has booked: an undo that does not say when that was. */
function takesBackTry({ mode, atMs }: StoreRequest): boolean {
  return mode === "undo" && atMs === undefined;
}

function isBooking(request: StoreRequest, reply: StoreAnswer | undefined): boolean {
  const { mode } = request;
  if (reply === undefined || StoreError.isInstance(reply) || mode === "peek") return false;
  if (mode === "undo") return !takesBackTry(request);
  return reply.replay === undefined && reply.stale !== true && (reply.allowed || mode === "force");
}

/** How steps found the holds and grants that they name, as a receipt has it. */
function foundIn(replies: readonly StoreAnswer[]): string {
  const steps = replies.flatMap((reply) => (StoreError.isInstance(reply) ? [] : reply.steps));
  return steps.map(({ found }) => (found === undefined ? "" : FOUND.indexOf(found))).join("");
}

/** How the steps of requests found what they name when all of them were booked, by the receipt. */
function foundBy(digits: string, requests: readonly StoreRequest[]): Found[][] {
  let read = 0;
  const next = () => FOUND[Number(digits[read++])];
  return requests.map(({ mode, steps }) =>
    steps.map(({ event }) => (mode !== "undo" && namesEntry(event.type) ? next() : undefined)),
  );
}

function withFound(reply: StoreAnswer, founds: readonly Found[]): StoreAnswer {
  if (StoreError.isInstance(reply)) return reply;
  const steps = reply.steps.map((step, i) => (founds[i] === undefined ? step : { ...step, found: founds[i] }));
  return { ...reply, steps };
}

/** The request as one that books nothing: it reads how its buckets stand. */
function asRead({ steps }: StoreRequest): StoreRequest {
  return { mode: "peek", steps: steps.map((step): Step => ({ ...step, event: { type: "read" } })) };
}
