// Calls of this process that wait for a slot of a limit of concurrency. No instant promises one: slots become free when other
// calls end. So the first call of a row asks the store again and again, and at once when a call of this process has ended; the
// others wait until they are first. Nothing of it is in the store: between processes there is no order.

import type { Clock } from "../clock.ts";
import { MAX_QUEUED } from "../kernel/bucket/queue.ts";

/** How long the first of a row pauses before it asks once more, and how long at most: each pause is twice the one before. */
const FIRST_PAUSE_MS = 25;
export const LONGEST_PAUSE_MS = 500;
/** With many rows the pauses are longer, so that a process asks for all of them at most a hundred times a second. */
const PAUSE_PER_ROW_MS = 10;
/**
 * For so long calls of one process hand slots on to one another. Then the first of the row pauses once, so that other processes
 * find a slot that is free.
 */
const HANDED_ON_MS = 5_000;

interface Row {
  readonly seats: SlotSeat[];
  /** Since when slots have been handed on; `null`: none was. */
  sinceMs: number | null;
  /** Until when slots are left to other processes. */
  yieldsUntilMs: number;
}

/** The rows of this process, by bucket. */
export class SlotRows {
  readonly #clock: Clock;
  readonly #rows = new Map<string, Row>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How many there are. */
  get size(): number {
    return this.#rows.size;
  }

  /** The first of some buckets for whose slots calls wait. */
  busyAmong(buckets: readonly string[]): string | undefined {
    return buckets.find((bucket) => this.#rows.has(bucket));
  }

  /** A call of this process has ended that had a slot: the first that waits for it asks now, or leaves it to other processes. */
  freed(bucket: string): void {
    const row = this.#rows.get(bucket);
    if (row === undefined) return;
    const nowMs = this.#clock.nowMs();
    row.sinceMs ??= nowMs;
    if (nowMs - row.sinceMs >= HANDED_ON_MS) {
      row.yieldsUntilMs = nowMs + LONGEST_PAUSE_MS;
      row.sinceMs = row.yieldsUntilMs;
    }
    this.wakeFirst(bucket);
  }

  /** A slot may be free: the first that waits for it asks now. */
  wakeFirst(bucket: string): void {
    this.#rows.get(bucket)?.seats[0]?.wake();
  }

  isFirst(bucket: string, seat: SlotSeat): boolean {
    return this.#rows.get(bucket)?.seats[0] === seat;
  }

  /** For how long slots of a bucket are left to other processes. */
  yieldMs(bucket: string): number {
    return Math.max(0, (this.#rows.get(bucket)?.yieldsUntilMs ?? 0) - this.#clock.nowMs());
  }

  /** Puts a call at the end of a row. Returns `false` when the row is full. */
  join(bucket: string, seat: SlotSeat): boolean {
    const row = this.#rows.get(bucket) ?? { seats: [], sinceMs: null, yieldsUntilMs: 0 };
    if (row.seats.length >= MAX_QUEUED) return false;
    this.#rows.set(bucket, row);
    row.seats.push(seat);
    return true;
  }

  /** Takes a call out of its row. Where it was the first, the next one asks now. */
  leave(bucket: string, seat: SlotSeat): void {
    const seats = this.#rows.get(bucket)?.seats ?? [];
    const place = seats.indexOf(seat);
    seats.splice(place, 1);
    if (seats.length === 0) this.#rows.delete(bucket);
    else if (place === 0) this.wakeFirst(bucket);
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
    const grownMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(this.#pauses++, 10));
    const pauseMs = Math.max(grownMs, PAUSE_PER_ROW_MS * this.#rows.size);
    return Math.min(Math.max(1, leaseMs), Math.ceil(pauseMs * (0.5 + Math.random() / 2)));
  }

  /** For how long it leaves slots to other processes, ms. */
  yieldMs(): number {
    return this.#bucket === null ? 0 : this.#rows.yieldMs(this.#bucket);
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
