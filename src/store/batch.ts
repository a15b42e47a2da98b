// A batch inside a transaction: for stores that read states, let the kernel decide, and write what changed.

import { decide, keysOf } from "../kernel/decide.ts";
import { MARK_KEY, MAX_RECEIPTS, RECEIPTS_KEPT_MS, receiptsKey } from "../kernel/receipts.ts";
import type { Step, StoreReply, StoreRequest } from "../kernel/request.ts";
import type { Receipt, StoredState } from "../kernel/state.ts";
import { validTime } from "./check.ts";
import { StoreError, TermsError, tooManyHolds } from "./error.ts";
import type { Terms } from "./terms.ts";

/** What a key holds: `undefined` nothing, `null` a text that no version writes. */
export type Known = StoredState | undefined | null;

/** A key's state while a batch is decided. */
interface Cell {
  state: Known;
  isChanged: boolean;
}

/** What a batch came to. */
export interface DecidedBatch {
  /** One for each request, in order. */
  readonly replies: readonly (StoreReply | StoreError)[];
  /** What has to be written: `undefined` where nothing is to be kept. */
  readonly changed: ReadonlyMap<string, StoredState | undefined>;
}

/**
 * Decides requests in order, as if one by one. A request of a damaged bucket fails alone; a reset mends the bucket.
 *
 * @param read what the store holds for a key; asked once for each. With terms also for `MARK_KEY`, and for the
 *   `receiptsKey` of the batch's instance, which has to be locked as buckets are
 * @param nowMs the store's time, read once after everything that is read was locked
 * @throws TermsError `too-late`, `other-incarnation`; StoreError `invalid-reply` (the time is not a whole number): nothing is booked
 */
export function decideBatch(
  requests: readonly StoreRequest[],
  read: (key: string) => Known,
  nowMs: number,
  terms: Terms = {},
): DecidedBatch {
  validTime(nowMs);
  const { notAfterMs = nowMs, incarnation, receipt } = terms;
  if (nowMs > notAfterMs) throw tooLate(`it is ${nowMs - notAfterMs} ms after the batch's deadline`);
  if (incarnation !== undefined && !isMarked(read(MARK_KEY), incarnation)) throw otherIncarnation();

  const cells = new Map<string, Cell>();
  const cellOf = (key: string): Cell => {
    let cell = cells.get(key);
    if (cell === undefined) {
      cell = { state: read(key), isChanged: false };
      cells.set(key, cell);
    }
    return cell;
  };
  const set = (cell: Cell, state: StoredState | undefined) => {
    cell.state = state;
    cell.isChanged = true;
  };

  const decideOne = (request: StoreRequest): StoreReply | StoreError => {
    const keys = keysOf(request);
    const own: Cell[] = [];
    const states: (StoredState | undefined)[] = [];
    const isAnswered = hasAnswer(request, keys, cellOf, nowMs);
    let broken: string | null = null;
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i] as string;
      const cell = cellOf(key);
      const mends = request.steps[i]?.event.type === "reset" && request.mode !== "peek" && !isAnswered;
      if (cell.state === null && mends) set(cell, undefined);
      if (cell.state === null) broken ??= key;
      own.push(cell);
      states.push(cell.state ?? undefined);
    }
    // A request that was answered before does not ask what its buckets hold.
    if (broken !== null && !isAnswered) return damaged(broken);
    const { reply, next } = decide(request, states, nowMs);
    if (next !== null) {
      for (let i = 0; i < own.length; i++) if (next[i] !== states[i]) set(own[i] as Cell, next[i]);
    }
    return reply ?? tooManyHolds();
  };

  const changedOf = (): Map<string, StoredState | undefined> => {
    const changed = new Map<string, StoredState | undefined>();
    for (const [key, { state, isChanged }] of cells) if (isChanged && state !== null) changed.set(key, state);
    return changed;
  };

  if (receipt === undefined) return { replies: requests.map(decideOne), changed: changedOf() };
  const kept = read(receiptsKey(receipt.instance));
  const { from, before, others } = openReceipt(kept, receipt);
  let booked = "";
  const replies = requests.map((request, i) => {
    const isBooked = before?.booked[i] === "1";
    const isUndo = request.mode === "undo";
    const reply = decideOne(
      isUndo === isBooked ? (isUndo ? { ...request, atMs: before?.atMs ?? nowMs } : request) : shown(request),
    );
    const books = isUndo === isBooked ? !isUndo && hasBooked(request, reply) : isBooked;
    booked += books ? "1" : "0";
    return reply;
  });
  const { number, closes = false } = receipt;
  const after = { number, part: 0, atMs: before?.atMs ?? nowMs, booked, closed: closes };
  const changed = changedOf();
  changed.set(receiptsKey(receipt.instance), {
    kind: "receipts",
    expiresAtMs: nowMs + RECEIPTS_KEPT_MS,
    from,
    receipts: [...others, after],
  });
  return { replies, changed };
}

/** Whether the answer of an earlier request is kept for this one. */
function hasAnswer(
  { mode, steps }: StoreRequest,
  keys: readonly string[],
  cellOf: (key: string) => Cell,
  nowMs: number,
): boolean {
  const key = keys[steps.length];
  if (key === undefined || mode === "undo") return false;
  const { state } = cellOf(key);
  return state?.kind === "once" && nowMs < state.expiresAtMs;
}

function damaged(key: string): StoreError {
  return new StoreError("damaged-bucket", `the bucket ${key} is damaged: a reset of it empties it`, {
    transient: false,
  });
}

/** The receipts under which a batch is decided: those of others, and what is known of its own number. */
function openReceipt(kept: Known, { number, from, closes = false }: NonNullable<Terms["receipt"]>) {
  const state = kept?.kind === "receipts" ? kept : undefined;
  const floor = Math.max(from, state?.from ?? 1);
  const open = state?.receipts.filter((receipt) => receipt.number >= floor) ?? [];
  const before: Receipt | undefined = open.find((receipt) => receipt.number === number);
  // Of what was denied its sender may have heard: what passes now would be nobody's.
  const isOver = before !== undefined && !closes && (before.closed || before.booked.includes("0"));
  if (number < floor || isOver) throw tooLate(`the batch ${number} is settled`);
  const others = open.filter((receipt) => receipt !== before);
  if (others.length >= MAX_RECEIPTS) {
    throw new StoreError("overloaded", `${MAX_RECEIPTS} batches of the instance are open`, { transient: true });
  }
  return { from: floor, before, others };
}

function hasBooked({ mode }: StoreRequest, reply: StoreReply | StoreError): boolean {
  if (StoreError.isInstance(reply) || mode === "peek") return false;
  return reply.replay === undefined && reply.stale !== true && (reply.allowed || mode === "force");
}

/** The request, booking nothing: how its buckets stand. */
function shown({ steps }: StoreRequest): StoreRequest {
  return { mode: "peek", steps: steps.map((step): Step => ({ ...step, event: { type: "read" } })) };
}

function isMarked(mark: Known, incarnation: string): boolean {
  return mark?.kind === "mark" && mark.incarnation === incarnation;
}

function tooLate(message: string): StoreError {
  return new TermsError("too-late", message);
}

function otherIncarnation(): StoreError {
  const message = "the store has lost what it held since the sender last heard of it";
  return new TermsError("other-incarnation", message);
}
