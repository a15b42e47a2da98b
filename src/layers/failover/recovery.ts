// Makes good after an outage: it restores use that the store has lost, settles batches of which it is not known what became of
// them, and books what was admitted meanwhile. It does not know when that is done, nor who waits for it.

import type { StoreRequest } from "../../kernel/request.ts";
import type { StoreAnswer } from "../../store/store.ts";
import { asStoreError, StoreError } from "../../store/error.ts";
import { type Beat, TermsError } from "../../store/shared-store.ts";
import { type Backlog, MAX_AGE_MS, type OpenBatch } from "./backlog.ts";
import type { Unsettled } from "./options.ts";
import { isOutage } from "./outage.ts";
import type { Sending, StoreLink } from "./store-link.ts";
import { raiseOf } from "./views.ts";

/** How often a batch that is settled may be refused as too late. */
const MAX_REFUSALS = 10;

/** What became of the bookings of a batch. */
interface Settled {
  readonly booked: number;
  readonly dropped: number;
}

export interface RecoveryListener {
  /** Whether the limiter was closed: then nothing more is sent. */
  isClosed(): boolean;
  /** The store will never do these. */
  refused(open: Unsettled, error: StoreError): void;
}

export class Recovery {
  readonly #link: StoreLink;
  readonly #backlog: Backlog;
  readonly #batchSize: number;
  readonly #listener: RecoveryListener;
  #done = { booked: 0, dropped: 0, raised: 0 };
  /** While use is given back: to which incarnation, and which buckets it has already. */
  #raised: { readonly incarnation: string; readonly buckets: Set<string> } | undefined;
  /** How often in a row the store has refused the batch that is settled now as too late. */
  #refusals = 0;

  constructor(link: StoreLink, backlog: Backlog, batchSize: number, listener: RecoveryListener) {
    this.#link = link;
    this.#backlog = backlog;
    this.#batchSize = batchSize;
    this.#listener = listener;
  }

  /** How much was made good since the counts were taken. */
  get progress(): number {
    const { booked, dropped, raised } = this.#done;
    return booked + dropped + raised;
  }

  /** What was made good since this was called last. */
  takeCounts(): { readonly booked: number; readonly dropped: number; readonly raised: number } {
    const done = this.#done;
    this.#done = { booked: 0, dropped: 0, raised: 0 };
    return done;
  }

  /**
   * Restores the use that another incarnation of the store has lost. After a failure it goes on where it failed: a slow store
   * must not be given the same again and again.
   */
  async raise(beat: Beat): Promise<void> {
    const { incarnation } = beat;
    const { views, time, incarnation: before } = this.#link;
    if (before !== undefined && incarnation !== before) {
      if (this.#raised?.incarnation !== incarnation) this.#raised = { incarnation, buckets: new Set() };
      const { buckets } = this.#raised;
      const raises = [...views.live(time.nowMs())].flatMap(([bucket, view]): StoreRequest[] => {
        const event = buckets.has(bucket) ? null : raiseOf(view, beat);
        return event === null ? [] : [{ mode: "force", steps: [{ bucket, limit: view.limit, event }] }];
      });
      for (let first = 0; first < raises.length; first += this.#batchSize) {
        const part = raises.slice(first, first + this.#batchSize);
        await this.#ask(part, { incarnation });
        for (const { steps } of part) for (const { bucket } of steps) buckets.add(bucket);
        this.#done.raised += part.length;
      }
      this.#raised = undefined;
    }
    this.#link.incarnation = incarnation;
  }

  /** Settles batches of which it is not known what became of them, in their order. */
  async settle(): Promise<void> {
    for (const batch of this.#backlog.batches) {
      const { booked, dropped } = await this.#settleOne(batch);
      this.#done.booked += booked;
      this.#done.dropped += dropped;
      this.#backlog.forget(batch);
    }
  }

  /** Books what has been admitted until now. */
  async flush(): Promise<void> {
    const { time } = this.#link;
    this.#backlog.makeBatches(this.#batchSize, time.nowMs());
    await this.settle();
  }

  /**
   * How many bookings of a batch the store has taken now, and how many it will never take: all of a batch that is too old, that it
   * refuses as too late again and again while it answers otherwise, or that it refuses for a reason of its own.
   */
  async #settleOne(batch: OpenBatch): Promise<Settled> {
    if (this.#link.time.nowMs() - batch.openedAtMs > MAX_AGE_MS) {
      const message = "the store remembers what it booked of a batch for a day";
      return this.#abandon(batch, new TermsError("too-late", message, { transient: false }));
    }
    try {
      const replies = await this.#ask(batch.requests, { receipt: this.#backlog.closingReceipt(batch) });
      this.#refusals = 0;
      const isDropped = (reply: StoreAnswer, i: number) =>
        batch.requests[i]?.mode === "force" && StoreError.isInstance(reply);
      const dropped = replies.filter(isDropped).length;
      return { booked: bookingsIn(batch) - dropped, dropped };
    } catch (thrown) {
      const error = asStoreError(thrown);
      const refusal = TermsError.refusalOf(error);
      if (refusal === "settled") return this.#settledBefore(batch, error);
      if (refusal === "too-late") this.#refusals++;
      if (error.code === "closed" || (isOutage(error) && this.#refusals < MAX_REFUSALS)) throw error;
      return this.#abandon(batch, error);
    }
  }

  /**
   * What becomes of a batch of which the store says that it was settled: an earlier process has done that, and its journal has lost
   * what it wrote last. No batch that this process still has was settled: the receipts under its name are damaged.
   */
  #settledBefore(batch: OpenBatch, error: StoreError): Settled {
    this.#refusals = 0;
    if (!this.#backlog.isOwn(batch)) return { booked: 0, dropped: 0 };
    this.#backlog.rename();
    return this.#abandon(batch, error);
  }

  #abandon(batch: OpenBatch, error: StoreError): Settled {
    this.#refusals = 0;
    const bookings = bookingsIn(batch);
    const refunds = batch.requests.filter(({ mode }) => mode === "undo").length;
    if (bookings + refunds > 0) this.#listener.refused({ bookings, refunds }, error);
    return { booked: 0, dropped: bookings };
  }

  /** Throws a `StoreError` when any of it has to be asked again. */
  async #ask(requests: readonly StoreRequest[], sending: Sending): Promise<readonly StoreAnswer[]> {
    if (this.#listener.isClosed()) throw storeClosed();
    const replies = await this.#link.send(requests, sending);
    const failed = replies.find((reply) => isOutage(reply));
    if (failed !== undefined) throw failed;
    return replies;
  }
}

export function storeClosed(): StoreError {
  return new StoreError("closed", "the store was closed", { transient: false });
}

function bookingsIn({ requests }: OpenBatch): number {
  return requests.filter(({ mode }) => mode === "force").length;
}
