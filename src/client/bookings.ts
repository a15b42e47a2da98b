// Requests that the service still has to get from the time in which it was unreachable: in order, each once.

import { type Clock, monotonicClock } from "../clock.ts";
import { StoreError } from "../store/error.ts";
import { type BatchItem, MAX_ITEMS } from "./wire.ts";

/** One request that the service still has to get. */
export interface Booking {
  /** The item to send now; `null` when nothing is left to send. */
  item(): BatchItem | null;
  /** Returns a booking that follows from the answer to what was sent at an instant of the monotonic clock. */
  answered?(answer: unknown, sentMs: number): Booking | null;
  /** Called when the service will never get it. */
  dropped?(): void;
  /** Whether the item is known already; absent: yes. */
  isReady?(): boolean;
}

interface Asks {
  ask(item: BatchItem): Promise<unknown>;
}

interface Entry {
  readonly booking: Booking;
  /** When it was sent first; `null`: not yet. */
  sentAtMs: number | null;
}

/** With so many bookings no more calls are decided. Those that end calls may be as many again: a refused one would leave its call's units held. */
export const MAX_BOOKINGS = 100_000;
/** The service remembers a key for ten minutes: a booking that was sent before that might be booked twice. */
const KNOWN_FOR_MS = 9 * 60_000;

export class Bookings {
  readonly #clock: Clock;
  #entries: Entry[] = [];
  #sending: Promise<unknown> = Promise.resolve();
  #booked = 0;
  #dropped = 0;

  constructor(clock = monotonicClock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#entries.length;
  }

  /** How many were booked or dropped since the last `takeCounts`. */
  get done(): number {
    return this.#booked + this.#dropped;
  }

  /** How many were booked, and how many could not be, since it was called last. */
  takeCounts(): { readonly booked: number; readonly dropped: number } {
    const counts = { booked: this.#booked, dropped: this.#dropped };
    this.#booked = 0;
    this.#dropped = 0;
    return counts;
  }

  /** Throws StoreError `overloaded` when no more calls should be decided here. */
  checkRoom(most: number = MAX_BOOKINGS): void {
    if (this.#entries.length < most) return;
    const message = `the service is away, and ${MAX_BOOKINGS} bookings wait for it`;
    throw new StoreError("overloaded", message, { transient: true });
  }

  /** `isSent`: the service may have got it already. Throws StoreError `overloaded`. */
  add(booking: Booking, isSent: boolean): void {
    this.checkRoom(2 * MAX_BOOKINGS);
    this.#entries.push({ booking, sentAtMs: isSent ? this.#clock.nowMs() : null });
  }

  /**
   * Sends the first bookings, after the earlier ones were answered: only then is it known how a hold ends. Throws StoreError when
   * the service is unreachable again; unanswered bookings are kept.
   */
  send(wire: Asks): Promise<void> {
    const sent = this.#sending.then(() => this.#sendFirst(wire));
    this.#sending = sent.catch(() => {});
    return sent;
  }

  async #sendFirst(wire: Asks): Promise<void> {
    const part = this.#take();
    const sentMs = this.#clock.nowMs();
    const answers = await Promise.allSettled(part.map((entry) => this.#ask(wire, entry)));
    const left: Entry[] = [];
    let away: unknown;
    for (const [i, answer] of answers.entries()) {
      const entry = part[i] as Entry;
      if (answer.status === "fulfilled") {
        // A booking that had nothing left to send was not booked.
        if (entry.sentAtMs !== null) this.#booked++;
        const next = entry.booking.answered?.(answer.value, sentMs) ?? null;
        if (next !== null) left.push({ booking: next, sentAtMs: null });
      } else if (isAway(answer.reason)) {
        away = answer.reason;
        left.push(entry);
      } else {
        this.#dropped++;
        entry.booking.dropped?.();
      }
    }
    this.#entries.unshift(...left);
    if (away !== undefined) throw away;
  }

  /** The first bookings that are ready. The first one always is: what it waits for was answered or dropped before. */
  #take(): Entry[] {
    const { length } = this.#entries;
    let count = 0;
    while (count < length && count < MAX_ITEMS && (this.#entries[count]?.booking.isReady?.() ?? true)) count++;
    return this.#entries.splice(0, count);
  }

  async #ask(wire: Asks, entry: Entry): Promise<unknown> {
    const item = entry.booking.item();
    if (item === null) return null;
    const nowMs = this.#clock.nowMs();
    entry.sentAtMs ??= nowMs;
    if (nowMs - entry.sentAtMs > KNOWN_FOR_MS) throw new Error("too old to be booked just once");
    return wire.ask(item);
  }
}

/** Whether the booking can be sent again. A bucket that is full of holds may stay so for a day, and other calls must not wait for it. */
function isAway(error: unknown): error is StoreError {
  return StoreError.isInstance(error) && error.transient && error.code !== "too-many-holds";
}
