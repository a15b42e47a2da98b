// A batch on terms: whether it may be booked at all, and what was booked of it before. The receipt that says so is written
// in the same transaction as the buckets. How a request is decided is in batch.ts.

import { MARK_KEY, MAX_RECEIPTS, RECEIPTS_KEPT_MS, receiptsKey } from "../kernel/receipts.ts";
import type { Step, StoreReply, StoreRequest } from "../kernel/request.ts";
import type { Receipt } from "../kernel/state.ts";
import { Batch, type DecidedBatch, decideBatch, type Known } from "./batch.ts";
import { validTime } from "./check.ts";
import { StoreError } from "./error.ts";
import { type ReceiptTerms, type Terms, TermsError } from "./shared-store.ts";

/**
 * Decides requests as `decideBatch` does, on terms.
 *
 * @param read as for `decideBatch`; also called for `MARK_KEY`, and for the `receiptsKey` of the batch's instance, which has
 *   to be locked as buckets are
 * @throws TermsError `too-late`, `other-incarnation`; StoreError `overloaded`, `invalid-reply`: nothing is booked
 */
export function bookBatch(
  requests: readonly StoreRequest[],
  read: (key: string) => Known,
  nowMs: number,
  { notAfterMs = nowMs, incarnation, receipt }: Terms,
): DecidedBatch {
  validTime(nowMs);
  if (nowMs > notAfterMs) throw tooLate(`it is ${nowMs - notAfterMs} ms after the batch's deadline`);
  if (incarnation !== undefined && !isMarked(read(MARK_KEY), incarnation)) {
    const message = "the store has lost what it held since the sender last heard of it";
    throw new TermsError("other-incarnation", message);
  }
  return receipt === undefined ? decideBatch(requests, read, nowMs) : decideWithReceipt(requests, read, nowMs, receipt);
}

function decideWithReceipt(
  requests: readonly StoreRequest[],
  read: (key: string) => Known,
  nowMs: number,
  receipt: ReceiptTerms,
): DecidedBatch {
  const key = receiptsKey(receipt.instance);
  const { from, before, others } = openReceipts(read(key), receipt);
  const atMs = before?.atMs ?? nowMs;
  const batch = new Batch(read, nowMs);
  let booked = "";
  const replies = requests.map((request, i) => {
    const wasBooked = before?.booked[i] === "1";
    if ((request.mode === "undo") !== wasBooked) {
      booked += wasBooked ? "1" : "0";
      return batch.decide(asRead(request));
    }
    if (request.mode === "undo") {
      booked += "0";
      return batch.decide({ ...request, atMs });
    }
    const reply = batch.decide(request);
    booked += isBooking(request, reply) ? "1" : "0";
    return reply;
  });
  const { changed } = batch;
  const own: Receipt = { number: receipt.number, part: 0, atMs, booked, closed: receipt.closes ?? false };
  const expiresAtMs = nowMs + RECEIPTS_KEPT_MS;
  changed.set(key, { kind: "receipts", expiresAtMs, from, receipts: [...others, own] });
  return { replies, changed };
}

/**
 * The receipts of an instance: those of its other open batches, and that of this number.
 *
 * @throws TermsError `too-late`; StoreError `overloaded`
 */
function openReceipts(kept: Known, { number, from, closes = false }: ReceiptTerms) {
  const state = kept?.kind === "receipts" ? kept : undefined;
  const floor = Math.max(from, state?.from ?? 1);
  const open = state?.receipts.filter((receipt) => receipt.number >= floor) ?? [];
  const before = open.find((receipt) => receipt.number === number);
  // The sender may have received a denial already: a request that passes now would have no caller.
  const isOver = before !== undefined && !closes && (before.closed || before.booked.includes("0"));
  if (number < floor || isOver) throw tooLate(`the batch ${number} is settled`);
  const others = open.filter((receipt) => receipt !== before);
  if (others.length >= MAX_RECEIPTS) {
    throw new StoreError("overloaded", `${MAX_RECEIPTS} batches of the instance are open`, { transient: true });
  }
  return { from: floor, before, others };
}

function isBooking({ mode }: StoreRequest, reply: StoreReply | StoreError): boolean {
  if (StoreError.isInstance(reply) || mode === "peek") return false;
  return reply.replay === undefined && reply.stale !== true && (reply.allowed || mode === "force");
}

/** The request as one that books nothing: it reads how its buckets stand. */
function asRead({ steps }: StoreRequest): StoreRequest {
  return { mode: "peek", steps: steps.map((step): Step => ({ ...step, event: { type: "read" } })) };
}

function isMarked(mark: Known, incarnation: string): boolean {
  return mark?.kind === "mark" && mark.incarnation === incarnation;
}

function tooLate(message: string): TermsError {
  return new TermsError("too-late", message);
}
