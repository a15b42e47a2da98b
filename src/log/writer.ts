// Writes batches to a storage, one at a time. A batch that failed is sent again under its number, after longer and longer pauses, and given
// up after ten minutes. Meanwhile what follows waits in bounded memory.

import { countdown, inBackground, monotonicClock, pauseAfter, sleep, systemClock, type Timer } from "../clock.ts";
import { within } from "../deadlines.ts";
import { digest } from "../kernel/key.ts";
import { formatGot } from "../kernel/errors.ts";
import { warn } from "../limiter.ts";
import type { LogEntry } from "./entry.ts";
import { type Gathered, MAX_BATCH } from "./gathered.ts";
import type { LogBatch, LogStorage } from "./storage.ts";

/** So many entries are written at once, without waiting for others. */
const MANY = 500;
/** So long entries wait at most while something waits for them. */
const SOON_MS = 40;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 30_000;
const GIVE_UP_MS = 600_000;

export interface WriterSettings {
  readonly storage: LogStorage;
  readonly instance: string;
  readonly gathered: Gathered;
  readonly flushMs: number;
  /** Called before each batch. */
  readonly prepare: () => void;
  /** Called after each batch, with its entries. */
  readonly written: (count: number) => void;
  /** Called when the first of some batches cannot be written. */
  readonly failed: (error: unknown) => void;
  /** Called when it can be written again. */
  readonly recovered: (awayMs: number) => void;
}

export class LogWriter {
  readonly #settings: WriterSettings;
  #salt: string | null = null;
  #number = 0;
  #pending: { readonly batch: LogBatch; readonly madeMs: number } | null = null;
  #failures = 0;
  #awaySinceMs = 0;
  #timer: Timer | null = null;
  #writing: Promise<boolean> | null = null;
  readonly #awaiting = new Set<() => void>();
  #isClosed = false;

  constructor(settings: WriterSettings) {
    this.#settings = settings;
  }

  /** Something waits. */
  wake(): void {
    if (this.#isClosed || this.#writing !== null || this.#failures > 0) return;
    if (this.#settings.gathered.entryCount >= MANY) void this.#write(false);
    else this.#setTimer(this.#awaiting.size > 0 ? Math.min(SOON_MS, this.#settings.flushMs) : this.#settings.flushMs);
  }

  /** Writes what waits now; ends early when the storage fails. Calls that go on meanwhile do not keep it from ending. */
  async flush(isLast = false): Promise<void> {
    const { gathered, prepare } = this.#settings;
    await this.#writing;
    prepare();
    // One for a batch that failed before, and one for what is told of entries that were lost.
    const most = Math.ceil(gathered.entryCount / MAX_BATCH) + 2;
    for (let batches = 0; batches < most && (this.#pending !== null || !gathered.isEmpty); batches++) {
      if (!(await this.#write(isLast))) return;
    }
  }

  /** Resolves when the next batch is written, or after so many ms. Until then entries are written soon. */
  async written(withinMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#awaiting.add(resolve);
    if (this.#timer !== null && this.#failures === 0) {
      this.#timer.cancel();
      this.#timer = null;
      this.wake();
    }
    const timer = inBackground(withinMs, resolve);
    await promise;
    timer.cancel();
    this.#awaiting.delete(resolve);
  }

  /** Writes what waits, for so many ms at most, and closes the storage. */
  async close(withinMs: number): Promise<void> {
    const leftMs = countdown(withinMs);
    await within(withinMs, this.#flushAll(leftMs)).catch(() => {});
    this.#isClosed = true;
    this.#timer?.cancel();
    const { gathered, storage } = this.#settings;
    const lost = gathered.entryCount + (this.#pending?.batch.entries.length ?? 0) + gathered.takeDropped();
    if (lost > 0) warn(`The decision log (${storage.name}) was closed, and ${lost} entries are lost.`);
    await storage.close();
  }

  async #flushAll(leftMs: () => number): Promise<void> {
    for (;;) {
      await this.flush(true);
      const { gathered } = this.#settings;
      if ((this.#pending === null && gathered.isEmpty) || leftMs() === 0 || this.#isClosed) return;
      await sleep(Math.min(FIRST_PAUSE_MS, leftMs()));
    }
  }

  #setTimer(ms: number): void {
    this.#timer ??= inBackground(ms, () => {
      this.#timer = null;
      void this.#write(false);
    });
  }

  /** @returns whether it succeeded */
  #write(isLast: boolean): Promise<boolean> {
    this.#timer?.cancel();
    this.#timer = null;
    this.#writing ??= this.#writeOne(isLast).finally(() => {
      this.#writing = null;
      if (this.#isClosed) return;
      if (this.#failures > 0) this.#setTimer(pauseAfter(this.#failures - 1, FIRST_PAUSE_MS, LONGEST_PAUSE_MS));
      else if (!this.#settings.gathered.isEmpty) this.wake();
    });
    return this.#writing;
  }

  async #writeOne(isLast: boolean): Promise<boolean> {
    const { storage, prepare, written, recovered } = this.#settings;
    try {
      prepare();
      this.#salt ??= await storage.salt();
      this.#pending ??= { batch: this.#batch(this.#salt, isLast), madeMs: monotonicClock.nowMs() };
      const { batch } = this.#pending;
      await storage.write(batch);
      this.#pending = null;
      if (this.#failures > 0) recovered(Math.round(monotonicClock.nowMs() - this.#awaySinceMs));
      this.#failures = 0;
      written(batch.entries.length);
      for (const resolve of this.#awaiting) resolve();
      return true;
    } catch (error) {
      this.#failed(error);
      return false;
    }
  }

  #batch(salt: string, isLast: boolean): LogBatch {
    const { instance, gathered } = this.#settings;
    const { entries, ...counts } = gathered.take(systemClock.nowMs(), isLast);
    const salted = entries.map((entry) => withSalt(entry, salt));
    return { instance, number: ++this.#number, entries: salted, ...counts };
  }

  #failed(error: unknown): void {
    const { storage, gathered, failed } = this.#settings;
    if (this.#failures++ === 0) {
      this.#awaySinceMs = monotonicClock.nowMs();
      warn(`The decision log (${storage.name}) cannot be written: ${formatGot(error)}`);
      failed(error);
    }
    const pending = this.#pending;
    if (pending === null || monotonicClock.nowMs() - pending.madeMs < GIVE_UP_MS) return;
    gathered.drop(pending.batch.entries.length);
    this.#pending = null;
  }
}

/** Without the salt, arguments of which there are few could be guessed from their hash. */
function withSalt(entry: LogEntry, salt: string): LogEntry {
  if (entry.kind === "event" || entry.argsHash === null) return entry;
  return { ...entry, argsHash: digest([salt, entry.argsHash]) };
}
