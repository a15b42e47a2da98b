// A journal in memory. It outlives the process that writes it; a machine that ends at once loses what it wrote last.

import type { Journal } from "../../src/limiter.ts";
import { StoreError } from "../../src/store/api.ts";

export class SimulatedJournal implements Journal {
  #entries = new Map<string, string>();
  /** How it was before each of the last writes. */
  #before: Map<string, string>[] = [];
  isFull = false;

  entries(): Iterable<readonly [string, string]> {
    return [...this.#entries];
  }

  write(changes: ReadonlyMap<string, string | null>): void {
    if (changes.size === 0) return;
    if (this.isFull) throw new StoreError("unavailable", "the journal: the disk is full", { transient: false });
    this.#before.push(new Map(this.#entries));
    if (this.#before.length > MOST_UNSYNCED) this.#before.shift();
    for (const [key, text] of changes) {
      if (text === null) this.#entries.delete(key);
      else this.#entries.set(key, text);
    }
  }

  close(): void {}

  /** Loses the last writes, as a file that was not synced. */
  lose(writes: number): void {
    const kept = this.#before.at(-Math.min(writes, this.#before.length));
    if (writes > 0 && kept !== undefined) this.#entries = kept;
    this.#before = [];
  }
}

/** Most writes that a machine loses. */
const MOST_UNSYNCED = 16;
