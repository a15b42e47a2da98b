// Deadlines: what is waited for, and not longer than so many ms of a clock.

import { Alarm, afterReads, type Clock, monotonicClock } from "./clock.ts";

interface WithinOptions {
  /** Whether a caller waits for it, so that the process must stay alive until then. Default `true`. */
  readonly isAwaited?: boolean;
  /** Default: the machine's. */
  readonly clock?: Clock;
  /** What the error calls the deadline, where `ms` is only what is left of it. */
  readonly deadlineMs?: number;
}

/** What `within` fails with when its time is over. */
export class LateError extends Error {
  constructor(deadlineMs: number | undefined) {
    super(`no answer within ${deadlineMs} ms`);
  }
}

/** A timer that fires later than this says that the process stood still. */
export const STOOD_STILL_MS = 50;

/** What waits for an answer until its deadline. */
interface Waiting {
  endsAtMs: number;
  /** How much of the time in which the process stands still may be added. */
  addableMs: number;
  readonly isAwaited: boolean;
  readonly late: () => void;
}

/**
 * Deadlines that share a timer. Nearly every answer comes long before its deadline, and a timer for each would cost more than all
 * else that waiting does.
 */
export class Deadlines {
  readonly #clock: Clock;
  readonly #waiting = new Set<Waiting>();
  readonly #alarm: Alarm;
  readonly #keepsAlarm: boolean;
  #awaited = 0;

  /** @param keepsAlarm whether the timer stays, for the next deadline, when nothing waits */
  constructor(clock: Clock = monotonicClock, keepsAlarm = true) {
    // What waits takes real time where the clock sets no timers.
    this.#clock = clock.setTimer === undefined ? monotonicClock : clock;
    this.#alarm = new Alarm(this.#clock, (atMs) => this.#ring(atMs));
    this.#keepsAlarm = keepsAlarm;
  }

  /**
   * What a promise comes to, or a `LateError` when that takes longer than `ms` of the clock. What it waits for goes on. If this
   * process stood still, that time is added, at most `ms`, because nothing could answer then.
   */
  within<Value>(
    ms: number,
    promise: Promise<Value>,
    { isAwaited = true, deadlineMs = ms }: Omit<WithinOptions, "clock"> = {},
  ): Promise<Value> {
    return new Promise((resolve, reject) => {
      const endsAtMs = this.#clock.nowMs() + ms;
      const waiting = { endsAtMs, addableMs: ms, isAwaited, late: () => reject(new LateError(deadlineMs)) };
      this.#add(waiting);
      promise.then(
        (value) => {
          this.#remove(waiting);
          resolve(value);
        },
        (error) => {
          this.#remove(waiting);
          reject(error);
        },
      );
    });
  }

  #add(waiting: Waiting): void {
    this.#waiting.add(waiting);
    if (waiting.isAwaited && this.#awaited++ === 0) this.#alarm.keepAlive(true);
    this.#alarm.setBy(waiting.endsAtMs);
  }

  #remove(waiting: Waiting): void {
    if (!this.#waiting.delete(waiting)) return;
    if (this.#waiting.size === 0 && !this.#keepsAlarm) this.#alarm.cancel();
    if (waiting.isAwaited && --this.#awaited === 0) this.#alarm.keepAlive(false);
  }

  #ring(atMs: number): void {
    // A test may move the timers alone.
    const nowMs = Math.max(this.#clock.nowMs(), atMs);
    let nextMs = Number.POSITIVE_INFINITY;
    for (const waiting of this.#waiting) {
      const stoodStillMs = Math.min(waiting.addableMs, nowMs - waiting.endsAtMs);
      if (stoodStillMs > STOOD_STILL_MS) {
        waiting.addableMs -= stoodStillMs;
        waiting.endsAtMs = nowMs + stoodStillMs;
      } else if (stoodStillMs >= 0) {
        this.#remove(waiting);
        // The answer may be here, and unread.
        afterReads(waiting.late);
        continue;
      }
      nextMs = Math.min(nextMs, waiting.endsAtMs);
    }
    if (this.#waiting.size > 0) this.#alarm.setBy(nextMs);
  }
}

/** What a promise comes to within `ms` of the clock, as `Deadlines.within` says. */
export function within<Value>(ms: number, promise: Promise<Value>, options: WithinOptions = {}): Promise<Value> {
  return new Deadlines(options.clock, false).within(ms, promise, options);
}

/** Whether a promise is fulfilled within `ms`; what it is rejected with is thrown. */
export async function isWithin(ms: number, promise: Promise<unknown>, options?: WithinOptions): Promise<boolean> {
  try {
    await within(ms, promise, options);
    return true;
  } catch (error) {
    if (error instanceof LateError) return false;
    throw error;
  }
}
