// How long a process lets others go first at SQLite's lock, which has no queue: who asks at the right moment gets it, and
// a process that just had it would ask at once.

// Others are taken to be about for so long after the lock was found taken.
const CONTENDED_FOR_MS = 200;
const FIRST_PAUSE_MS = 8;
const MAX_PAUSE_MS = 20;
const MAX_RETRY_MS = 4;

// Before anyone was met, a process whose batches are large lets some time pass between its first ones: many callers that
// begin together in several processes would else be served in one of them before the others have asked at all.
const LARGE_BATCH = 32;
const BURST_AFTER_IDLE_MS = 50;
const EARLY_MS = 12;
const EARLY_PAUSE_MS = 4;

/** What one process remembers of its turns. Times are monotonic ms. */
export class Courtesy {
  #contendedUntilMs = Number.NEGATIVE_INFINITY;
  #pauseMs = 0;
  #burstMs = Number.NEGATIVE_INFINITY;
  #lastMs = Number.NEGATIVE_INFINITY;

  /** How long to wait before asking for the lock for a batch of `size` requests; 0 when nobody was met lately. */
  pauseMs(size: number, nowMs: number): number {
    const isNewBurst = nowMs - this.#lastMs > BURST_AFTER_IDLE_MS;
    if (isNewBurst) this.#burstMs = nowMs;
    if (nowMs < this.#contendedUntilMs) return this.#pauseMs;
    const isEarly = !isNewBurst && nowMs - this.#burstMs < EARLY_MS;
    return isEarly && size >= LARGE_BATCH ? EARLY_PAUSE_MS : 0;
  }

  /** The lock was taken. Returns how long to wait before asking again: `random` is from 0 to 1. */
  lost(nowMs: number, random: number): number {
    if (nowMs >= this.#contendedUntilMs) this.#pauseMs = FIRST_PAUSE_MS;
    this.#contendedUntilMs = nowMs + CONTENDED_FOR_MS;
    return 1 + random * (MAX_RETRY_MS - 1);
  }

  /** The batch was decided, `waitedMs` after the lock was first asked for: others will have to wait about as long. */
  won(nowMs: number, waitedMs: number): void {
    // The monotonic clock of a virtual machine may have run back meanwhile.
    this.#pauseMs = Math.min((this.#pauseMs + Math.max(0, waitedMs)) / 2, MAX_PAUSE_MS);
    this.#lastMs = nowMs;
  }
}
