// What the service has still to be told of the time in which it was away: in its order, each thing once.

import { type Clock, monotonicClock } from "../clock.ts";
import { StoreError } from "../store/error.ts";
import { type Item, MAX_ITEMS } from "./wire.ts";

/** One thing to tell. */
export interface Booking {
  /** What is sent now; `null` when there is nothing to say any more. */
  item(): Item | null;
  /** What is still to be told after the answer. */
  answered?(answer: unknown): Booking | null;
  /** The service will never have it. */
  dropped?(): void;
  /** Whether it is about a call that was allowed before: it settles what that holds, or reports what came of it. */
  readonly endsCall?: true;
  /** Whether it is known what to send; absent: it is. */
  isReady?(): boolean;
}

/** Where they are sent. */
interface Asks {
  ask(item: Item): Promise<unknown>;
}

interface Entry {
  readonly booking: Booking;
  /** When it was sent first. */
  sentAtMs: number | null;
}

/** Most of them. Ends of calls may be as many again: refused, they would leave what the calls hold in place. */
export const MAX_BOOKINGS = 100_000;
/** The service knows a key again for ten minutes: what was sent before that may be booked twice. */
const KNOWN_FOR_MS = 9 * 60_000;

/** All that is still to be told. */
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

  /** How many are done with since the counts were taken. */
  get done(): number {
    return this.#booked + this.#dropped;
  }

  /** How many were told, and how many could not be, since this was asked last. */
  takeCounts(): { readonly booked: number; readonly dropped: number } {
    const counts = { booked: this.#booked, dropped: this.#dropped };
    this.#booked = 0;
    this.#dropped = 0;
    return counts;
  }

  /**
   * @param isSent whether the service may have it
   * @throws StoreError `overloaded`
   */
  add(booking: Booking, isSent: boolean): void {
    if (this.#entries.length >= (booking.endsCall ? 2 * MAX_BOOKINGS : MAX_BOOKINGS)) {
      const message = `the service is away, and ${MAX_BOOKINGS} bookings wait for it`;
      throw new StoreError("overloaded", message, { transient: true });
    }
    this.#entries.push({ booking, sentAtMs: isSent ? this.#clock.nowMs() : null });
  }

  /**
   * Tells the first of them, when what was sent before is answered: how a hold ends is known only then.
   *
   * @throws StoreError when the service is away again: what it did not answer is kept
   */
  send(wire: Asks): Promise<void> {
    const sent = this.#sending.then(() => this.#sendFirst(wire));
    this.#sending = sent.catch(() => {});
    return sent;
  }

  async #sendFirst(wire: Asks): Promise<void> {
    const part = this.#take();
    const answers = await Promise.allSettled(part.map((entry) => this.#tell(wire, entry)));
    const left: Entry[] = [];
    let away: unknown;
    for (const [i, answer] of answers.entries()) {
      const entry = part[i] as Entry;
      if (answer.status === "fulfilled") {
        this.#booked++;
        const next = entry.booking.answered?.(answer.value) ?? null;
        if (next !== null) left.push({ booking: next, sentAtMs: null });
      } else if (StoreError.isInstance(answer.reason) && answer.reason.transient) {
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

  #take(): Entry[] {
    const { length } = this.#entries;
    let count = 0;
    while (count < length && count < MAX_ITEMS && (this.#entries[count]?.booking.isReady?.() ?? true)) count++;
    return this.#entries.splice(0, count);
  }

  async #tell(wire: Asks, entry: Entry): Promise<unknown> {
    const item = entry.booking.item();
    if (item === null) return null;
    const nowMs = this.#clock.nowMs();
    entry.sentAtMs ??= nowMs;
    if (nowMs - entry.sentAtMs > KNOWN_FOR_MS) throw new Error("too old to be booked just once");
    return wire.ask(item);
  }
}
