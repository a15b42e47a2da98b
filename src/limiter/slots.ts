// Calls of this process that wait for a slot of a concurrency limit. It is unknown when a slot becomes free: when another call
// ends. So the first call of a queue asks the store again and again, and at once when a call of this process has ended. The other
// calls wait until they are first. The store knows nothing of these queues: between processes there is no order.

import { type Clock, spread } from "../clock.ts";
import { MAX_QUEUED } from "../kernel/bucket/queue.ts";

/** The first pause of the first call in a queue before it asks again, and the longest: each pause is twice the one before. */
const FIRST_PAUSE_MS = 25;
export const LONGEST_PAUSE_MS = 500;
/** With many queues the pauses are longer, so that a process asks for all of them at most a hundred times a second. */
const PAUSE_PER_QUEUE_MS = 10;
/**
 * How long calls of one process pass slots on to one another. Then the first call of the queue pauses once, so that other
 * processes find a free slot.
 */
const HANDED_ON_MS = 5_000;

interface SlotQueue {
  readonly waiters: SlotWaiter[];
  /** Since when slots have been handed on; `null`: none was. */
  handsOnSinceMs: number | null;
  /** Until when slots are left to other processes. */
  yieldsUntilMs: number;
}

export class SlotQueues {
  readonly #clock: Clock;
  readonly #queues = new Map<string, SlotQueue>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#queues.size;
  }

  /** The first of some buckets for whose slots calls wait. */
  busyAmong(buckets: readonly string[]): string | undefined {
    return buckets.find((bucket) => this.#queues.has(bucket));
  }

  /** A call of this process that had a slot has ended: the first waiting call asks now, or leaves the slot to other processes. */
  freed(bucket: string): void {
    const queue = this.#queues.get(bucket);
    if (queue === undefined) return;
    const nowMs = this.#clock.nowMs();
    queue.handsOnSinceMs ??= nowMs;
    if (nowMs - queue.handsOnSinceMs >= HANDED_ON_MS) {
      queue.yieldsUntilMs = nowMs + LONGEST_PAUSE_MS;
      queue.handsOnSinceMs = queue.yieldsUntilMs;
    }
    this.wakeFirst(bucket);
  }

  /** A slot may be free: the first waiting call asks now. */
  wakeFirst(bucket: string): void {
    this.#queues.get(bucket)?.waiters[0]?.wake();
  }

  isFirst(bucket: string, waiter: SlotWaiter): boolean {
    return this.#queues.get(bucket)?.waiters[0] === waiter;
  }

  /** How long slots of a bucket are left to other processes. */
  yieldMs(bucket: string): number {
    return Math.max(0, (this.#queues.get(bucket)?.yieldsUntilMs ?? 0) - this.#clock.nowMs());
  }

  /** Puts a call at the end of a queue. Returns `false` when the queue is full. */
  join(bucket: string, waiter: SlotWaiter): boolean {
    const queue = this.#queues.get(bucket) ?? { waiters: [], handsOnSinceMs: null, yieldsUntilMs: 0 };
    if (queue.waiters.length >= MAX_QUEUED) return false;
    this.#queues.set(bucket, queue);
    queue.waiters.push(waiter);
    return true;
  }

  /** Takes a call out of the queue that it is in. When it was the first, the next call asks now. */
  leave(bucket: string, waiter: SlotWaiter): void {
    const waiters = this.#queues.get(bucket)?.waiters ?? [];
    const index = waiters.indexOf(waiter);
    waiters.splice(index, 1);
    if (waiters.length === 0) this.#queues.delete(bucket);
    else if (index === 0) this.wakeFirst(bucket);
  }
}

/** One call that may have to wait for slots: in one queue at a time. */
export class SlotWaiter {
  readonly #queues: SlotQueues;
  #bucket: string | null = null;
  #pauses = 0;
  #isWoken = false;
  #onWake: (() => void) | null = null;

  constructor(queues: SlotQueues) {
    this.#queues = queues;
  }

  /** Waits in the queue of a bucket from now on. Returns `false` when the queue is full. */
  join(bucket: string): boolean {
    if (this.#bucket === bucket) return true;
    this.leave();
    if (!this.#queues.join(bucket, this)) return false;
    this.#bucket = bucket;
    this.#pauses = 0;
    return true;
  }

  leave(): void {
    if (this.#bucket !== null) this.#queues.leave(this.#bucket, this);
    this.#bucket = null;
    this.#isWoken = false;
  }

  /** Milliseconds until the store is asked again, at most `leaseMs`: random, so that processes do not ask together. */
  pauseMs(leaseMs: number): number {
    if (this.#bucket === null || !this.#queues.isFirst(this.#bucket, this)) return Number.POSITIVE_INFINITY;
    const grownMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(this.#pauses++, 10));
    const pauseMs = spread(Math.max(grownMs, PAUSE_PER_QUEUE_MS * this.#queues.size));
    return Math.min(Math.max(1, leaseMs), Math.ceil(pauseMs));
  }

  /** Milliseconds for which it leaves slots to other processes. */
  yieldMs(): number {
    return this.#bucket === null ? 0 : this.#queues.yieldMs(this.#bucket);
  }

  wake(): void {
    this.#isWoken = true;
    this.#onWake?.();
  }

  /** Calls back when it is woken; at once when it was woken before it slept. */
  sleep(onWake: () => void): void {
    this.#onWake = onWake;
    if (this.#isWoken) onWake();
  }

  awake(): void {
    this.#onWake = null;
    this.#isWoken = false;
  }
}
