// Reads that see what was decided just now: what waits is written first, and a read may wait for an entry instead of asking again
// and again.

import { countdown, sleep } from "../clock.ts";
import { within } from "../deadlines.ts";
import type { EntryPage, LogStorage } from "../log/storage.ts";
import type { Asking } from "../service/context.ts";

/** A log that is read: what `sqliteLog` and the others return. */
export interface ReadLog {
  readonly storage: LogStorage;
  /** Writes what waits. Absent: something else writes the log. */
  flush?(): Promise<void>;
  /** Resolves when the next entries are written, or after so many ms. */
  written?(withinMs: number): Promise<void>;
}

/** Most reads that wait at once. */
export const MAX_WAITING = 100;
/** A waiting read looks so often for what other processes wrote. */
const LOOK_MS = 250;
/** A storage that does not answer keeps a read no longer than this from what was written before. */
const WRITE_MS = 500;

export class FreshReads {
  readonly storage: LogStorage;
  readonly #log: ReadLog;
  #waiting = 0;

  constructor(log: ReadLog) {
    this.storage = log.storage;
    this.#log = log;
  }

  /** Writes what was decided until now. */
  async catchUp(): Promise<void> {
    if (this.#log.flush !== undefined) await within(WRITE_MS, this.#log.flush()).catch(() => {});
  }

  /** A page of what comes after a position, as soon as it has an entry, or after so many ms. */
  async page(
    read: (after: string) => Promise<EntryPage>,
    after: string,
    waitMs: number,
    { request, context }: Asking,
  ): Promise<EntryPage> {
    if (this.#waiting >= MAX_WAITING) return read(after);
    this.#waiting++;
    try {
      const leftMs = countdown(waitMs);
      for (let place = after; ; ) {
        // Before the read, so that it misses nothing.
        const written = this.#written(Math.min(LOOK_MS, leftMs()));
        const page = await read(place);
        const isOver = leftMs() === 0 || request.signal.aborted || context.phase === "stopping";
        if (page.items.length > 0 || isOver) return page;
        place = page.nextCursor ?? page.lastPosition;
        if (page.nextCursor === null) await written;
      }
    } finally {
      this.#waiting--;
    }
  }

  #written(withinMs: number): Promise<void> {
    return this.#log.written?.(withinMs) ?? sleep(withinMs);
  }
}
