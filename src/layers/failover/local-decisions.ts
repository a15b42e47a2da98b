// What this process decides without the store, and what it remembers of that for later: bookings of what it admitted, and
// batches whose answers were lost. It does not know when it decides (outage.ts) nor when that is booked (recovery.ts).

import type { StoreReply, StoreRequest } from "../../kernel/request.ts";
import { asStoreError, StoreError } from "../../store/error.ts";
import { type Backlog, settledBy } from "./backlog.ts";
import { Fallback } from "./fallback.ts";
import type { Members } from "./members.ts";
import { isOutage, type Outage } from "./outage.ts";
import type { Replies, Sender } from "./sender.ts";
import { reasonOf } from "../../kernel/reason.ts";

/** Decides by this instance's share, and keeps what has to be booked. */
export class LocalDecisions {
  readonly #sender: Sender;
  readonly #backlog: Backlog;
  readonly #members: Members;
  readonly #outage: Outage;
  readonly #fallback: Fallback;

  constructor(sender: Sender, backlog: Backlog, members: Members, outage: Outage) {
    this.#sender = sender;
    this.#backlog = backlog;
    this.#members = members;
    this.#outage = outage;
    this.#fallback = new Fallback(sender.views);
    // What an earlier process admitted, and has not been booked, reduces this one's share.
    for (const request of backlog.bookings()) this.#decide({ ...request, mode: "force" });
  }

  /** Decides a request that the store is not asked about, and remembers to book it. */
  admit(request: StoreRequest): StoreReply | StoreError {
    const reply = this.#decide(request);
    if (reply === this.#outage.failure) return this.#needsStore();
    if (StoreError.isInstance(reply) || request.mode === "peek" || reply.replay !== undefined) return reply;
    if (!reply.allowed && request.mode !== "force") return reply;
    try {
      this.#backlog.add(request, this.#sender.time.nowMs(), this.#fallback.limitsOf(request));
      return reply;
    } catch (error) {
      return asStoreError(error);
    }
  }

  /**
   * Decides requests of a batch that may have been booked, and remembers to settle it.
   *
   * @param number the batch's; `null` for one without a receipt
   * @param known the store's replies, as far as there are any
   */
  doubt(requests: readonly StoreRequest[], number: number | null, known: Replies): Replies {
    const atMs = this.#sender.time.nowMs();
    const settled: StoreRequest[] = [];
    const replies = requests.map((request, i): StoreReply | StoreError => {
      const found = known[i];
      const reply = found === undefined || isOutage(found) ? this.#decide(request) : found;
      settled.push(settledBy(request, !StoreError.isInstance(reply) && reply.allowed, atMs));
      return reply;
    });
    if (number !== null) this.#backlog.doubt(number, settled, atMs);
    return replies;
  }

  /** Forgets the buckets of this process: the store counts again. */
  clear(): void {
    this.#fallback.clear();
  }

  #decide(request: StoreRequest): StoreReply | StoreError {
    try {
      return this.#fallback.decide(request, this.#members.place(), this.#sender.time.nowMs(), this.#outage.failure);
    } catch (error) {
      return asStoreError(error);
    }
  }

  /** The error of a request that only the store can answer. */
  #needsStore(): StoreError {
    const { failure, awayMs } = this.#outage;
    const message = `the store has been away for ${awayMs} ms, and only it can do this (${reasonOf(failure)})`;
    return new StoreError(failure.code, message, { transient: failure.transient, cause: failure });
  }
}
