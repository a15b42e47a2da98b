// What waits to be written: entries, and what was counted since the last batch.

import type { LoggedCall } from "../limiter.ts";
import type { LogEntry } from "./entry.ts";
import { MinuteCounts, type PairCount } from "./minutes.ts";
import { NearBuckets } from "./near.ts";
import { SessionSums } from "./sessions.ts";
import { spentBy } from "./spent.ts";
import type { LogBatch, PolicySource } from "./storage.ts";
import type { Whose } from "./text.ts";
import { TopCounts } from "./tops.ts";

/** Most entries of a batch. */
export const MAX_BATCH = 2_000;

export type BatchContent = Omit<LogBatch, "instance" | "number">;

export class Gathered {
  readonly near = new NearBuckets();
  readonly #maxWaiting: number;
  readonly #minutes = new MinuteCounts();
  readonly #tops = new TopCounts();
  readonly #sessions = new SessionSums();
  #entries: LogEntry[] = [];
  #policies: PolicySource[] = [];
  #hasCounts = false;
  #droppedCount = 0;
  /** Entries that were lost, of all time. */
  droppedTotal = 0;

  constructor(maxWaiting: number) {
    this.#maxWaiting = maxWaiting;
  }

  get entryCount(): number {
    return this.#entries.length;
  }

  get isEmpty(): boolean {
    return this.#entries.length === 0 && !this.#hasCounts;
  }

  /** Entries that were to be kept and were lost, since the last time. */
  takeDropped(): number {
    const count = this.#droppedCount;
    this.#droppedCount = 0;
    return count;
  }

  /** Counts a decision, whether or not its entry is kept. */
  count(decided: LoggedCall, whose: Whose): PairCount {
    this.#hasCounts = true;
    const spent = spentBy(decided);
    this.#tops.add(decided, whose, spent);
    this.#sessions.add(decided, whose);
    return this.#minutes.add(decided, whose, spent);
  }

  /** @param pair where it is counted */
  add(entry: LogEntry, pair: PairCount | null): void {
    if (this.#entries.length >= this.#maxWaiting) {
      this.drop();
      if (pair !== null) pair.dropped++;
      return;
    }
    if (pair !== null) pair.logged++;
    this.#entries.push(entry);
  }

  /** Counts entries that are lost. */
  drop(count = 1): void {
    this.#droppedCount += count;
    this.droppedTotal += count;
  }

  addPolicy(policy: PolicySource): void {
    this.#policies.push(policy);
    this.#hasCounts = true;
  }

  /** @param isLast whether nothing follows */
  take(nowMs: number, isLast: boolean): BatchContent {
    const entries = this.#entries.slice(0, MAX_BATCH);
    this.#entries = this.#entries.slice(MAX_BATCH);
    const policies = this.#policies;
    this.#policies = [];
    this.#hasCounts = false;
    const tops = this.#tops.take(nowMs, isLast);
    return {
      entries,
      minutes: this.#minutes.take(),
      tops,
      near: this.near.take(),
      sessions: this.#sessions.take(),
      policies,
    };
  }
}
