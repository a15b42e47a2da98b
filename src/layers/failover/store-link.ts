// The link to a shared store. It sends batches on terms, each with a deadline, and learns from every reply the store's time and how
// buckets stand. It knows the incarnation of the store, and nothing of outages.

import { type Clock, LateError, monotonicClock, within } from "../../clock.ts";
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
  /** By which that is counted. Default: the machine's. */
  readonly clock?: Clock;
}

export class StoreLink {
  readonly store: SharedStore;
  readonly deadlineMs: number;
  readonly time = new StoreTime();
  readonly views = new Views();
  /** The incarnation of the store that this instance knows; `undefined` before its first beat. */
  incarnation: string | undefined;

  constructor(store: SharedStore, deadlineMs: number) {
    this.store = store;
    this.deadlineMs = deadlineMs;
  }

  /** Sends a batch. Throws `LateError`, or what the store fails with. */
  async send(requests: readonly StoreRequest[], sending: Sending = {}): Promise<readonly StoreAnswer[]> {
    const { receipt, incarnation = this.incarnation, leftMs = this.deadlineMs, clock = monotonicClock } = sending;
    const terms = {
      notAfterMs: this.time.nowMs() + Math.ceil(leftMs),
      ...(incarnation === undefined ? {} : { incarnation }),
      ...(receipt === undefined ? {} : { receipt }),
    };
    const sentMs = monotonicClock.nowMs();
    const replies = await within(leftMs, this.store.book(requests, terms), { clock, deadlineMs: this.deadlineMs });
    const trip = { sentMs, heardMs: monotonicClock.nowMs() };
    for (const [i, reply] of replies.entries()) {
      if (StoreError.isInstance(reply)) continue;
      this.views.learn(requests[i] as StoreRequest, reply, trip);
      if (reply.replay === undefined) this.time.learn(reply.nowMs, sentMs);
    }
    return replies;
  }

  /** An error as the store's. When the store did not answer, and knows why it has no connection, the error has that reason. */
  failureOf(error: unknown): StoreError {
    const fault = error instanceof LateError ? this.store.lastFault?.() : undefined;
    if (fault === undefined) return asStoreError(error);
    const message = `the store: ${reasonOf(error)} (${reasonOf(fault)})`;
    return new StoreError("unavailable", message, { transient: true, cause: fault });
  }
}
