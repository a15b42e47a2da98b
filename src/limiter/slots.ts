// Calls of this process that wait for a slot of a limit of concurrency. No instant promises one: slots become free when other
// calls end. So the first call of a row asks the store again and again, and at once when a call of this process has ended; the
// others wait until they are first. Nothing of it is in the store: between processes there is no order.

import { MAX_PLACES } from "../kernel/holds.ts";

/** How long the first of a row pauses before it asks once more, and how long at most: each pause is twice the one before. */
const FIRST_PAUSE_MS = 25;
const LONGEST_PAUSE_MS = 1_000;

/** The rows of this process, by bucket. */
export class SlotRows {
  readonly #rows = new Map<string, SlotSeat[]>();

  /** The first of some buckets for whose slots calls wait. */
  busyAmong(buckets: readonly string[]): string | undefined {
    return buckets.find((bucket) => this.#rows.has(bucket));
  }

  /** A slot of a bucket may be free: the first that waits for it asks now. */
  freed(bucket: string): void {
    this.#rows.get(bucket)?.[0]?.wake();
  }

  isFirst(bucket: string, seat: SlotSeat): boolean {
    return this.#rows.get(bucket)?.[0] === seat;
  }

  /** Puts a call at the end of a row. Returns `false` when the row is full. */
  join(bucket: string, seat: SlotSeat): boolean {
    const row = this.#rows.get(bucket) ?? [];
    if (row.length >= MAX_PLACES) return false;
    this.#rows.set(bucket, row);
    row.push(seat);
    return true;
  }

  /** Takes a call out of a row. Where it was the first, the next one asks now. */
  leave(bucket: string, seat: SlotSeat): void {
    const row = this.#rows.get(bucket) ?? [];
    const place = row.indexOf(seat);
    row.splice(place, 1);
    if (row.length === 0) this.#rows.delete(bucket);
    else if (place === 0) this.freed(bucket);
  }
}

/** One call that may have to wait for slots: in one row at a time. */
export class SlotSeat {
  readonly #rows: SlotRows;
  #bucket: string | null = null;
  #pauses = 0;
  #isWoken = false;
  #onWake: (() => void) | null = null;

  constructor(rows: SlotRows) {
    this.#rows = rows;
  }

  /** Waits in the row of a bucket from now on. Returns `false` when that is full. */
  join(bucket: string): boolean {
    if (this.#bucket === bucket) return true;
    this.leave();
    if (!this.#rows.join(bucket, this)) return false;
    this.#bucket = bucket;
    this.#pauses = 0;
    return true;
  }

  leave(): void {
    if (this.#bucket !== null) this.#rows.leave(this.#bucket, this);
    this.#bucket = null;
    this.#isWoken = false;
  }

  /**
   * How long to wait before the store is asked again, ms: a random part of each pause, so that processes do not ask together.
   *
   * @param leaseMs when the first of the leases ends that keep the slots
   */
  pauseMs(leaseMs: number): number {
    if (this.#bucket === null || !this.#rows.isFirst(this.#bucket, this)) return Number.POSITIVE_INFINITY;
    const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(this.#pauses++, 10));
    return Math.min(Math.max(1, leaseMs), Math.ceil(pauseMs * (0.5 + Math.random() / 2)));
  }

  wake(): void {
    this.#isWoken = true;
    this.#onWake?.();
  }

  /** Calls back when it is woken; at once where that happened while it did not sleep. */
  sleep(onWake: () => void): void {
    this.#onWake = onWake;
    if (this.#isWoken) onWake();
  }

  /** It sleeps no more. */
  awake(): void {
    this.#onWake = null;
    this.#isWoken = false;
  }
}
