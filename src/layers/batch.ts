// A store that wraps a store for which one big request is cheaper than many: what one tick asks, and what gathers
// while batches are under way, goes in one `apply`. It changes no answer.

import { Alarm, type Clock, inNextTurn, monotonicClock } from "../clock.ts";
import type { StoreRequest } from "../kernel/request.ts";
import type { Batching, Layer, StoreAnswer } from "../store/store.ts";
import { StoreError, tooFewReplies } from "../store/error.ts";
import { endsCall } from "../store/room.ts";

/** Most requests that wait; one more is refused with `StoreError` `overloaded`. Those that end calls may be twice as many. */
export const MAX_QUEUED = 10_000;

/**
 * After this part of its deadline a request does not wait any more for others to fill its batch. A request that
 * comes with less than its whole deadline has waited already.
 */
const PATIENCE = 0.25;

/** So many requests go in a batch of their own while others are under way, unless the store says another number. */
const LEAST = 8;

interface Asked {
  readonly request: StoreRequest;
  /** Of the deadline when it was asked; absent: all of it. */
  readonly leftMs: number | undefined;
  readonly resolve: (reply: StoreAnswer) => void;
  readonly reject: (error: unknown) => void;
  /** When it has to be answered, by the layer's clock. */
  dueMs: number;
}

/**
 * A batch that fails fails its own callers alone. While batches are under way the next one waits until enough requests are there.
 * Where the store has a deadline, requests that have waited for a quarter of it go in a smaller batch, if one more may be under
 * way; those that have waited for all of it are given to the store with nothing left of it, so that it can answer them without
 * sending them.
 */
export class BatchLayer implements Layer {
  readonly deadlineMs?: number;
  readonly #store: Layer;
  readonly #size: number;
  readonly #underWay: number;
  readonly #least: number;
  readonly #spread: boolean;
  readonly #clock: Clock;
  #queue: Asked[] = [];
  /** Those of this tick, whose deadlines have not begun. */
  #fresh: Asked[] = [];
  readonly #alarm: Alarm;
  /** Loops that send one batch after the other: at most `underWay`. */
  readonly #lanes = new Set<Promise<void>>();
  /** Batches that the store has not answered. */
  #sent = 0;
  /** Batches that are given to the store with no time left. */
  readonly #late = new Set<Promise<void>>();

  /** @param clock the clock by which requests wait */
  constructor(
    store: Layer,
    { size, underWay, least = LEAST, spread = false }: Batching,
    clock: Clock = monotonicClock,
  ) {
    this.#store = store;
    this.#size = size;
    this.#underWay = underWay;
    this.#least = Math.min(size, least);
    this.#spread = spread;
    this.#clock = clock;
    // Where this process itself stood still, an answer may be here, and unread.
    this.#alarm = new Alarm(clock, () => inNextTurn(() => this.#lookAfterQueue()));
    if (store.deadlineMs !== undefined) this.deadlineMs = store.deadlineMs;
  }

  async apply(requests: readonly StoreRequest[], leftMs?: number): Promise<StoreAnswer[]> {
    this.#checkRoom(requests);
    return Promise.all(requests.map((request) => this.#ask(request, leftMs)));
  }

  answer(request: StoreRequest, leftMs?: number): Promise<StoreAnswer> {
    this.#checkRoom([request]);
    return this.#ask(request, leftMs);
  }

  async close(withinMs?: number): Promise<void> {
    await Promise.all(this.#lanes);
    await Promise.all(this.#late);
    await this.#store.close(withinMs);
  }

  #checkRoom(requests: readonly StoreRequest[]): void {
    const most = requests.every(endsCall) ? 2 * MAX_QUEUED : MAX_QUEUED;
    if (this.#queue.length + requests.length <= most) return;
    throw new StoreError("overloaded", `${this.#queue.length} requests wait for the store`, { transient: true });
  }

  #ask(request: StoreRequest, leftMs: number | undefined): Promise<StoreAnswer> {
    return new Promise((resolve, reject) => {
      const asked = { request, leftMs, resolve, reject, dueMs: Number.POSITIVE_INFINITY };
      this.#queue.push(asked);
      this.#fresh.push(asked);
      if (this.#mayOpenLane()) this.#openLane();
      else if (this.deadlineMs !== undefined && this.#fresh.length === 1) inNextTurn(() => this.#beginDeadlines());
    });
  }

  /**
   * Begins the deadlines of what was asked in one tick, in the next tick: a process that stands still in between must not
   * take that for a silent store.
   */
  #beginDeadlines(): void {
    const { deadlineMs } = this;
    if (deadlineMs === undefined || this.#fresh.length === 0) return;
    const nowMs = this.#clock.nowMs();
    for (const asked of this.#fresh) asked.dueMs = nowMs + (asked.leftMs ?? deadlineMs);
    this.#alarm.setBy(dueOf(this.#fresh) - deadlineMs * (1 - PATIENCE));
    this.#fresh = [];
  }

  #lookAfterQueue(): void {
    this.#giveBackLate();
    if (this.#queue.length === 0) return;
    if (this.#lanes.size < this.#underWay) this.#openLane();
    this.#alarm.setBy(dueOf(this.#queue));
  }

  /** Gives those to the store that must not be sent any more. */
  #giveBackLate(): void {
    if (this.deadlineMs === undefined) return;
    const nowMs = this.#clock.nowMs();
    const late = this.#queue.filter(({ dueMs }) => dueMs <= nowMs);
    if (late.length === 0) return;
    this.#queue = this.#queue.filter(({ dueMs }) => dueMs > nowMs);
    for (let first = 0; first < late.length; first += this.#size) {
      const part = late.slice(first, first + this.#size);
      const sent: Promise<void> = send(this.#store, part, 0).finally(() => this.#late.delete(sent));
      this.#late.add(sent);
    }
  }

  /** The next batch: what waits, or its share of it. */
  #takeBatch(): Asked[] {
    const waiting = this.#queue.length;
    const batches = this.#spread ? Math.min(this.#underWay - this.#sent, Math.floor(waiting / this.#least)) : 1;
    const count = Math.min(this.#size, Math.ceil(waiting / Math.max(1, batches)));
    const batch = this.#queue.slice(0, count);
    this.#queue = this.#queue.slice(count);
    return batch;
  }

  #mayOpenLane(): boolean {
    const lanes = this.#lanes.size;
    return lanes === 0 || (lanes < this.#underWay && this.#queue.length >= this.#least);
  }

  #openLane(): void {
    const lane: Promise<void> = this.#runLane(() => this.#lanes.delete(lane));
    this.#lanes.add(lane);
  }

  /**
   * Sends one batch after the other until nothing waits. The lane ends in the microtask in which the queue was found empty: one
   * later, a request could find a lane that does not look at the queue any more.
   */
  async #runLane(end: () => void): Promise<void> {
    for (;;) {
      // Where only one batch can be under way, others of this turn would wait for it.
      await (this.#underWay === 1 ? new Promise<void>(inNextTurn) : null);
      this.#beginDeadlines();
      this.#giveBackLate();
      if (this.#queue.length === 0) return end();
      const batch = this.#takeBatch();
      if (this.#mayOpenLane()) this.#openLane();
      this.#sent++;
      const leftMs = this.deadlineMs === undefined ? undefined : Math.max(0, dueOf(batch) - this.#clock.nowMs());
      await send(this.#store, batch, leftMs);
      this.#sent--;
    }
  }
}

/** The first instant at which one of them has to be answered. */
function dueOf(asked: readonly Asked[]): number {
  return asked.reduce((first, { dueMs }) => Math.min(first, dueMs), Number.POSITIVE_INFINITY);
}

async function send(store: Layer, batch: readonly Asked[], leftMs: number | undefined): Promise<void> {
  try {
    const requests = batch.map(({ request }) => request);
    const replies = await store.apply(requests, leftMs);
    for (const [i, { resolve }] of batch.entries()) resolve(replies[i] ?? tooFewReplies());
  } catch (error) {
    for (const { reject } of batch) reject(error);
  }
}
