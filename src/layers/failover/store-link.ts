// The link to a shared store. It sends batches on terms, each with a deadline, and learns from every reply the store's time and how
// buckets stand. It knows the incarnation of the store, and nothing of outages.

import { monotonicClock } from "../../clock.ts";
import { Deadlines, LateError } from "../../deadlines.ts";
import { reasonOf } from "../../kernel/reason.ts";
import type { StoreRequest } from "../../kernel/request.ts";
import type { StoreAnswer } from "../../store/store.ts";
import { asStoreError, StoreError } from "../../store/error.ts";
import type { ReceiptTerms, SharedStore } from "../../store/shared-store.ts";
import { StoreTime } from "./store-time.ts";
import { Views } from "./views.ts";

export interface Sending {
  readonly receipt?: ReceiptTerms | undefined;
  /** Default: the incarnation that is known. */
  readonly incarnation?: string;
  /** How long its answer may take, ms. Default: the whole deadline. */
  readonly leftMs?: number;
  /** By which that is counted. Default: by the machine's clock. */
  readonly deadlines?: Deadlines;
}

export class StoreLink {
  readonly store: SharedStore;
  readonly deadlineMs: number;
  readonly time = new StoreTime();
  readonly views: Views;
  readonly #deadlines = new Deadlines();
  /** The incarnation of the store that this instance knows; `undefined` before its first beat. */
  incarnation: string | undefined;

  constructor(store: SharedStore, deadlineMs: number, views = new Views()) {
    this.store = store;
    this.deadlineMs = deadlineMs;
    this.views = views;
  }

  /** Sends a batch. Throws `LateError`, or what the store fails with. */
  send(requests: readonly StoreRequest[], sending: Sending = {}): Promise<readonly StoreAnswer[]> {
    const { receipt, incarnation = this.incarnation, leftMs = this.deadlineMs, deadlines = this.#deadlines } = sending;
    const terms = {
      notAfterMs: this.time.nowMs() + Math.ceil(leftMs),
      ...(incarnation === undefined ? {} : { incarnation }),
      ...(receipt === undefined ? {} : { receipt }),
    };
    const sentMs = monotonicClock.nowMs();
    const booked = deadlines.within(leftMs, this.store.book(requests, terms), { deadlineMs: this.deadlineMs });
    return booked.then((replies) => {
      const trip = { sentMs, heardMs: monotonicClock.nowMs() };
      for (let i = 0; i < replies.length; i++) {
        const reply = replies[i] as StoreAnswer;
        if (StoreError.isInstance(reply)) continue;
        this.views.learn(requests[i] as StoreRequest, reply, trip);
        if (reply.replay === undefined) this.time.learn(reply.nowMs, sentMs);
      }
      return replies;
    });
  }

  /** An error as the store's. When the store did not answer, and knows why it has no connection, the error has that reason. */
  failureOf(error: unknown): StoreError {
    const fault = error instanceof LateError ? this.store.lastFault?.() : undefined;
    if (fault === undefined) return asStoreError(error);
    const message = `the store: ${reasonOf(error)} (${reasonOf(fault)})`;
    return new StoreError("unavailable", message, { transient: true, cause: fault });
  }
}
