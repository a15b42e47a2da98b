// The options that all logs have.

import { type SettledOptions, type TableOf, whole } from "../kernel/options.ts";

/** How a decision log writes. */
export interface WriteOptions {
  /** How long entries wait at most before they are written, 10 to 60,000 ms. A process that is killed loses them. Default 250. */
  readonly flushMs?: number;
  /** Most entries that wait in memory, 100 to 1,000,000. More are dropped and counted. Default 8,192. */
  readonly maxWaiting?: number;
  /**
   * Most entries of allowed calls that are kept in a second, and again of denied ones, 1 to 1,000,000. Beyond it the log keeps a
   * sample: whole sessions, and denials. Counts stay exact. Default 1,000.
   */
  readonly maxRate?: number;
}

/** How long a decision log keeps what it has. */
export interface KeepOptions {
  /** Most entries, 100 to 1,000,000,000: the oldest are removed. Default 1,000,000. */
  readonly maxEntries?: number;
  /** How long entries and counts are kept, 60,000 to 315,360,000,000 ms. Default 604,800,000 (7 days). */
  readonly maxAgeMs?: number;
}

export const WRITE_OPTIONS = {
  flushMs: whole(10, 60_000, 250),
  maxWaiting: whole(100, 1_000_000, 8_192),
  maxRate: whole(1, 1_000_000, 1_000),
} satisfies TableOf<WriteOptions>;

export const KEEP_OPTIONS = {
  maxEntries: whole(100, 1_000_000_000, 1_000_000),
  maxAgeMs: whole(60_000, 315_360_000_000, 604_800_000),
} satisfies TableOf<KeepOptions>;

export type WriteSettings = SettledOptions<typeof WRITE_OPTIONS>;
export type KeepSettings = SettledOptions<typeof KEEP_OPTIONS>;
