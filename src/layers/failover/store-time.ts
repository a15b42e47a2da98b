// The store's time as far as an instance knows it: what the store last said, and what has passed here since.

import { monotonicClock, systemClock } from "../../clock.ts";

export class StoreTime {
  /** The store's clock less the monotonic clock, never too large. */
  #offsetMs: number | null = null;
  /** The same by this machine's clock, when the time was first asked for: what is remembered since then needs one correction. */
  #guessedOffsetMs: number | null = null;
  /** What has to be added to a time that was read before anything was learnt, ms. */
  correctionMs = 0;
  /** How far the store may be ahead of `nowMs`, ms. */
  errorMs = 0;

  /** Learns from an answer of `storeMs`. It was made between `sentMs`, by the monotonic clock, and now: so the offset lies between. */
  learn(storeMs: number, sentMs: number): void {
    const least = storeMs - monotonicClock.nowMs();
    const most = storeMs - sentMs;
    // The store's clock was set back if it is behind the known time.
    if (this.#offsetMs !== null && least <= this.#offsetMs && most >= this.#offsetMs) return;
    if (this.#offsetMs === null) this.correctionMs = storeMs - this.nowMs();
    this.#offsetMs = least;
    this.errorMs = most - least;
  }

  get isKnown(): boolean {
    return this.#offsetMs !== null;
  }

  /** Epoch ms, an integer; not ahead of the store. Before anything was learnt it begins with this machine's clock. */
  nowMs(): number {
    return Math.floor(monotonicClock.nowMs() + (this.#offsetMs ?? this.#guessed()));
  }

  #guessed(): number {
    this.#guessedOffsetMs ??= systemClock.nowMs() - monotonicClock.nowMs();
    return this.#guessedOffsetMs;
  }
}
