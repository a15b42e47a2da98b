// How long a process lets other processes go first at SQLite's lock. The lock has no queue: the process that asks at the right
// moment gets it, and a process that has just had it would ask again at once. docs/decisions/0004 has the measurements.

/** How long a process expects others at the lock after it has found it taken. */
const CONTENDED_FOR_MS = 200;
/** The first pause before a batch once the lock was taken, and the longest pause. */
const FIRST_PAUSE_MS = 8;
const MAX_PAUSE_MS = 20;
/** The longest time before a process asks again for a lock that was taken. */
const MAX_RETRY_MS = 4;

// Many callers that begin together in several processes would all be served in one of them before the others have asked at
// all. So a process pauses between the first large batches of a burst.
const LARGE_BATCH_REQUESTS = 32;
/** A burst begins with the first batch after so long. */
const BURST_AFTER_IDLE_MS = 50;
const BURST_BEGINS_FOR_MS = 12;
const BURST_PAUSE_MS = 4;

/** What one process remembers of its turns at the lock. Times are monotonic ms. */
export class Courtesy {
  #contendedUntilMs = Number.NEGATIVE_INFINITY;
  #pauseMs = 0;
  #burstMs = Number.NEGATIVE_INFINITY;
  #lastMs = Number.NEGATIVE_INFINITY;

  /** How long to wait before asking for the lock for a batch of `size` requests; 0 where no other process used it lately. */
  pauseMs(size: number, nowMs: number): number {
    const isNewBurst = nowMs - this.#lastMs > BURST_AFTER_IDLE_MS;
    if (isNewBurst) this.#burstMs = nowMs;
    if (nowMs < this.#contendedUntilMs) return this.#pauseMs;
    const isEarly = !isNewBurst && nowMs - this.#burstMs < BURST_BEGINS_FOR_MS;
    return isEarly && size >= LARGE_BATCH_REQUESTS ? BURST_PAUSE_MS : 0;
  }

  /** Notes that the lock was taken. Returns how long to wait before asking again: `random` is from 0 to 1. */
  lost(nowMs: number, random: number): number {
    if (nowMs >= this.#contendedUntilMs) this.#pauseMs = FIRST_PAUSE_MS;
    this.#contendedUntilMs = nowMs + CONTENDED_FOR_MS;
    return 1 + random * (MAX_RETRY_MS - 1);
  }

  /** Notes that a batch was decided `waitedMs` after the lock was first asked for: others will have to wait about as long. */
  won(nowMs: number, waitedMs: number): void {
    // The monotonic clock of a virtual machine may have run back meanwhile.
    this.#pauseMs = Math.min((this.#pauseMs + Math.max(0, waitedMs)) / 2, MAX_PAUSE_MS);
    this.#lastMs = nowMs;
  }
}
