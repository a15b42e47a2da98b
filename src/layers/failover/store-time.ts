// The store's time as far as an instance knows it: what the store last said, and what has passed here since.

/** The store's time. */
export class StoreTime {
  /** The store's time less this process's: no answer has come earlier than the store says it was made. */
  #offsetMs: number | null = null;

  /** Learns from an answer that says `storeMs`, and was asked for at `sentMs` (by `performance.now()`). */
  learn(storeMs: number, sentMs: number): void {
    const least = storeMs - performance.now();
    const most = storeMs - sentMs;
    // The store's clock was set back if it is behind the known time.
    if (this.#offsetMs === null || least > this.#offsetMs || most < this.#offsetMs) this.#offsetMs = least;
  }

  /** Epoch ms, an integer; not ahead of the store. This machine's clock before anything was learnt. */
  nowMs(): number {
    return this.#offsetMs === null ? Date.now() : Math.floor(performance.now() + this.#offsetMs);
  }
}
