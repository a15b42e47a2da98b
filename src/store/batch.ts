// A batch inside a transaction, for stores that read states, let the kernel decide, and write what changed. Whether the batch
// may be booked at all, and what was booked of it before, is in receipts.ts.

import { keysOf } from "../kernel/decide.ts";
import type { StoreReply, StoreRequest } from "../kernel/request.ts";
import type { StoredState } from "../kernel/state.ts";
import { decide, validTime } from "./check.ts";
import { StoreError, tooManyHolds } from "./error.ts";

/** What a key holds: `undefined` nothing, `null` a text that no version writes. */
export type Known = StoredState | undefined | null;

/** A decided batch. */
export interface DecidedBatch {
  /** One for each request, in order. */
  readonly replies: readonly (StoreReply | StoreError)[];
  /** What has to be written: `undefined` where nothing is to be kept. */
  readonly changed: ReadonlyMap<string, StoredState | undefined>;
}

/**
 * Decides requests in order, as if one by one. A request of a damaged bucket fails alone; a reset mends the bucket.
 *
 * @param read what the store holds for a key; called once for each key
 * @param nowMs the store's time, read once after everything that is read was locked
 * @throws StoreError `invalid-reply` (the time is not a whole number): nothing is booked
 */
export function decideBatch(
  requests: readonly StoreRequest[],
  read: (key: string) => Known,
  nowMs: number,
): DecidedBatch {
  const batch = new Batch(read, nowMs);
  const replies = requests.map((request) => batch.decide(request));
  return { replies, changed: batch.changed };
}

/** A key's state while a batch is decided. */
interface Cell {
  state: Known;
  isChanged: boolean;
}

/** The states that a batch has read and changed so far. */
export class Batch {
  readonly #read: (key: string) => Known;
  readonly #nowMs: number;
  readonly #cells = new Map<string, Cell>();

  /** @throws StoreError `invalid-reply` */
  constructor(read: (key: string) => Known, nowMs: number) {
    this.#read = read;
    this.#nowMs = validTime(nowMs);
  }

  /** The states to write. */
  get changed(): Map<string, StoredState | undefined> {
    const changed = new Map<string, StoredState | undefined>();
    for (const [key, { state, isChanged }] of this.#cells) if (isChanged && state !== null) changed.set(key, state);
    return changed;
  }

  decide(request: StoreRequest): StoreReply | StoreError {
    const keys = keysOf(request);
    // A request that was answered before does not ask what its buckets hold.
    const isAnswered = this.#hasAnswer(request, keys);
    const cells: Cell[] = [];
    let broken: string | null = null;
    for (const [i, key] of keys.entries()) {
      const cell = this.#cellOf(key);
      const mends = request.steps[i]?.event.type === "reset" && request.mode !== "peek" && !isAnswered;
      if (cell.state === null && mends) setState(cell, undefined);
      if (cell.state === null) broken ??= key;
      cells.push(cell);
    }
    if (broken !== null && !isAnswered) return damaged(broken);
    const states = cells.map(({ state }) => state ?? undefined);
    const { reply, next } = decide(request, states, this.#nowMs);
    if (next !== null) {
      for (const [i, cell] of cells.entries()) if (next[i] !== states[i]) setState(cell, next[i]);
    }
    return reply ?? tooManyHolds();
  }

  #cellOf(key: string): Cell {
    let cell = this.#cells.get(key);
    if (cell === undefined) {
      cell = { state: this.#read(key), isChanged: false };
      this.#cells.set(key, cell);
    }
    return cell;
  }

  /** Whether the answer of an earlier request is kept for this one. */
  #hasAnswer({ mode, steps }: StoreRequest, keys: readonly string[]): boolean {
    const key = keys[steps.length];
    if (key === undefined || mode === "undo") return false;
    const { state } = this.#cellOf(key);
    return state?.kind === "once" && this.#nowMs < state.expiresAtMs;
  }
}

function setState(cell: Cell, state: StoredState | undefined): void {
  cell.state = state;
  cell.isChanged = true;
}

function damaged(key: string): StoreError {
  return new StoreError("damaged-bucket", `the bucket ${key} is damaged: a reset of it empties it`, {
    transient: false,
  });
}
