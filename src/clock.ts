// Time as a port: code that needs the time or a timer is given a clock, so that tests can say what time it is. No other file asks
// the runtime for the time or for a timer, so that a simulator can put another machine under everything (`runOn`).

import { random } from "./ids.ts";
import { MAX_TIMER_MS } from "./kernel/duration.ts";
import { checked } from "./kernel/options.ts";

/** Where the time comes from. */
export interface Clock {
  /** Milliseconds since 1970, an integer where a store decides by it. */
  nowMs(): number;

  /**
   * Calls `run` once, when `ms` of this clock have passed, and never earlier. Absent: the machine's timers do, so that what
   * waits takes real time.
   */
  setTimer?(ms: number, run: () => void): Timer;
}

/** A timer that was set. */
export interface Timer {
  /** After this `run` is not called any more. */
  cancel(): void;
  /** From now on the timer does not keep the process alive. */
  unref?(): void;
  /** From now on it does again. */
  ref?(): void;
}

/** A clock as an option. */
export const clockOption = checked<Clock>("a clock: { nowMs(), setTimer?(ms, run) }", (value) => {
  const clock = value as Clock | null;
  return typeof clock?.nowMs === "function" && ["undefined", "function"].includes(typeof clock.setTimer);
});

/** The machine that the process runs on: its clocks and timers. */
export interface Machine {
  /** Epoch ms. */
  wallMs(): number;
  /** Milliseconds since some instant, with fractions. */
  monotonicMs(): number;
  /** Calls `run` once, when so many ms have passed, or up to one earlier. */
  startTimer(ms: number, run: () => void): Required<Timer>;
  /** Calls `run` again and again. */
  startInterval(ms: number, run: () => void): Required<Timer>;
  /** Calls back in another turn of the event loop, when everything else has had its turn. */
  nextTurn(run: () => void): void;
  /** Calls back when what has arrived was read; at once where the runtime cannot say. */
  afterReads(run: () => void): void;
}

const runtime: Machine = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  startTimer(ms, run) {
    const timer = setTimeout(run, ms);
    return { cancel: () => clearTimeout(timer), ref: () => ref(timer), unref: () => unref(timer) };
  },
  startInterval(ms, run) {
    const timer = setInterval(run, ms);
    return { cancel: () => clearInterval(timer), ref: () => ref(timer), unref: () => unref(timer) };
  },
  nextTurn(run) {
    if (typeof setImmediate === "function") setImmediate(run);
    else setTimeout(run, 0);
  },
  afterReads(run) {
    if (typeof setImmediate === "function") setImmediate(run);
    else run();
  },
};

let machine = runtime;

/** Puts another machine under everything from now on; `null`: the runtime's own again. For simulators. */
export function runOn(other: Machine | null): void {
  machine = other ?? runtime;
}

/** The machine's clock. */
export const systemClock: Clock = { nowMs: () => machine.wallMs() };

/** Milliseconds since this process began, with fractions: only for distances. It never jumps. */
export const monotonicClock: Clock = { nowMs: () => machine.monotonicMs() };

/**
 * A delay as a timer takes it. A difference of two times may be negative, also of the monotonic clock where a virtual
 * machine moves: that is over now.
 */
export function delayOf(ms: number): number {
  return ms > 0 ? Math.min(ms, MAX_TIMER_MS) : 0;
}

/** Waits for so many ms, also for longer than one timer can. What is negative, or not a number, is over at once. */
export async function sleep(ms: number): Promise<void> {
  let leftMs = ms;
  do {
    const delayMs = delayOf(leftMs);
    await new Promise<void>((resolve) => machine.startTimer(delayMs, resolve));
    leftMs -= delayMs;
  } while (leftMs > 0);
}

/** Counts down `ms` of real time from now: what is left, 0 when it is over. */
export function countdown(ms: number): () => number {
  const endsAtMs = monotonicClock.nowMs() + ms;
  return () => Math.max(0, endsAtMs - monotonicClock.nowMs());
}

/**
 * How long to pause before something that failed is tried again, ms: up to `firstMs`, then up to twice as long each time, never
 * longer than `mostMs`. It is random, from half of that to all of it, so that those that failed together do not come back
 * together.
 *
 * @param failures how often it failed before
 */
export function pauseAfter(failures: number, firstMs: number, mostMs: number): number {
  return spread(Math.min(mostMs, firstMs * 2 ** failures));
}

/** A random time from half of `ms` to all of it. */
export function spread(ms: number): number {
  return ms * (0.5 + random() / 2);
}

export function setTimer(clock: Clock, ms: number, run: () => void): Timer {
  if (clock.setTimer !== undefined) return clock.setTimer(ms, run);
  // The machine's timers may fire up to 1 ms early.
  return machine.startTimer(delayOf(Math.ceil(Math.max(0, ms)) + 1), run);
}

/** Calls back when what has arrived was read; at once where the runtime cannot say. */
export function afterReads(run: () => void): void {
  machine.afterReads(run);
}

/** A timer for many instants, set to the first of them. It keeps no process alive unless it is told to. */
export class Alarm {
  readonly #clock: Clock;
  readonly #ring: (atMs: number) => void;
  #isKeeping = false;
  #set: { readonly atMs: number; readonly timer: Timer } | null = null;

  /** @param ring called with the instant for which it was set; it is not set any more then */
  constructor(clock: Clock, ring: (atMs: number) => void) {
    this.#clock = clock;
    this.#ring = ring;
  }

  /** Rings at an instant of the clock, or before, where it is set to an earlier one. */
  setBy(atMs: number): void {
    if (this.#set !== null && this.#set.atMs <= atMs) return;
    this.cancel();
    const timer = setTimer(this.#clock, atMs - this.#clock.nowMs(), () => {
      this.#set = null;
      this.#ring(atMs);
    });
    if (!this.#isKeeping) timer.unref?.();
    this.#set = { atMs, timer };
  }

  cancel(): void {
    this.#set?.timer.cancel();
    this.#set = null;
  }

  /** Whether the process stays alive until it rings. */
  keepAlive(isKeeping: boolean): void {
    this.#isKeeping = isKeeping;
    if (isKeeping) this.#set?.timer.ref?.();
    else this.#set?.timer.unref?.();
  }
}

/** Calls back once after so many ms of real time. It keeps no process alive. */
export function inBackground(ms: number, run: () => void): Timer {
  const timer = machine.startTimer(delayOf(ms), run);
  timer.unref();
  return timer;
}

/** Calls back again and again, each time after so many ms of real time. It keeps no process alive. */
export function everyInBackground(ms: number, run: () => void): Timer {
  const timer = machine.startInterval(ms, run);
  timer.unref();
  return timer;
}

/** A signal that is aborted as that of `AbortSignal.timeout`, after so many ms of real time unless it is cancelled before. */
export function timeoutSignal(ms: number): { readonly signal: AbortSignal; cancel(): void } {
  const controller = new AbortController();
  const late = () => controller.abort(new DOMException("The operation was aborted due to timeout", "TimeoutError"));
  const timer = inBackground(ms, late);
  return { signal: controller.signal, cancel: () => timer.cancel() };
}

/** Calls back in another turn of the event loop, when everything else has had its turn. */
export function inNextTurn(run: () => void): void {
  machine.nextTurn(run);
}

function ref(timer: unknown): void {
  (timer as { ref?: () => void }).ref?.();
}

/** Lets a timer keep no process alive. Timers of other runtimes than Node keep nothing alive, and are numbers. */
function unref(timer: unknown): void {
  (timer as { unref?: () => void }).unref?.();
}
