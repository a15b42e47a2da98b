// Reads the setup of a store in the background, and reports settings that may break a promise. It reads after the store's first
// answer, and again when the store is back after a failure, because it may be another server then. No call waits for it, and
// its timer keeps no process alive.

import { monotonicClock, pauseAfter, setTimer, type Timer } from "../clock.ts";
import { reasonOf } from "../kernel/reason.ts";
import { StoreError } from "../store/error.ts";
import type { LayerSettings, SetupCheck, SetupEvent, Store } from "../store/store.ts";

/** When it reads from a store that no call has asked yet. After each failure it pauses twice as long, at most `LONGEST_MS`. */
const FIRST_MS = 100;
const LONGEST_MS = 60_000;
/** The pause between two readings of a store that fails and answers in turns. */
const REST_MS = 1_000;

/** Watches the setup of a store that can report it, for a limiter that has a listener. */
export function watchSetup(store: Store, emit: LayerSettings["emit"]): SetupWatch | null {
  const readSetup = emit && store.setup?.bind(store);
  return readSetup === undefined ? null : new SetupWatch(readSetup, emit as (event: SetupEvent) => void);
}

/** Emits each of its events once, and again when it changes. */
class SetupWatch {
  readonly #readSetup: () => Promise<readonly SetupCheck[]>;
  readonly #emit: (event: SetupEvent) => void;
  /** The text that was last reported of each check, and of a setup that could not be read (`unread`). */
  readonly #reported = new Map<string, string>();
  /** Whether it reads again at the store's next answer. */
  #isDue = true;
  #isClosed = false;
  #failures = 0;
  #timer: Timer | null = null;
  #readAtMs = Number.NEGATIVE_INFINITY;
  /** Counts readings: the answer to an earlier one no longer matters. */
  #reads = 0;

  constructor(readSetup: () => Promise<readonly SetupCheck[]>, emit: (event: SetupEvent) => void) {
    this.#readSetup = readSetup;
    this.#emit = emit;
    try {
      this.#later();
    } catch {
      // In its global scope a Worker has no timers: the store's first answer begins it.
    }
  }

  answered(): void {
    if (!this.#isDue || monotonicClock.nowMs() - this.#readAtMs < REST_MS) return;
    this.#failures = 0;
    void this.#read();
  }

  /** The store has failed: when it answers again it may be another server. */
  failed(): void {
    this.#isDue = true;
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  async #read(): Promise<void> {
    if (this.#isClosed) return;
    this.#timer?.cancel();
    this.#isDue = false;
    this.#readAtMs = monotonicClock.nowMs();
    const number = ++this.#reads;
    const isOld = () => this.#isClosed || number !== this.#reads;
    try {
      const checks = await this.#readSetup();
      if (isOld()) return;
      this.#failures = 0;
      this.#reported.delete("unread");
      for (const check of checks) {
        const { name, value, problem } = check;
        if (problem === null) this.#reported.delete(name);
        else this.#report(name, `${value}: ${problem}`, { type: "store.misconfigured", check });
      }
    } catch (error) {
      if (isOld()) return;
      if (StoreError.isInstance(error) && error.transient) this.#later();
      else this.#report("unread", reasonOf(error), { type: "store.check_failed", error });
    }
  }

  /** Reads again by itself, less and less often: perhaps no call asks the store meanwhile. */
  #later(): void {
    const pauseMs = pauseAfter(this.#failures++, FIRST_MS, LONGEST_MS);
    this.#timer = setTimer(monotonicClock, pauseMs, () => void this.#read());
    this.#timer.unref?.();
  }

  #report(name: string, text: string, event: SetupEvent): void {
    if (this.#reported.get(name) === text) return;
    this.#reported.set(name, text);
    this.#emit(event);
  }
}
