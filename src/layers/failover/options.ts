// What a program says about failover, and what it is told: options and events.

import { checkOptionKeys, checkWhole, invalidOption } from "../../kernel/errors.ts";
import type { StoreError } from "../../store/error.ts";

/** How long a call may take when the options do not say it, ms. */
export const DEFAULT_DEADLINE_MS = 250;

/** Where the backlog outlives the process. */
export interface Journal {
  /** What was put and not removed, in the order in which its keys were first put. */
  entries(): Iterable<readonly [key: string, text: string]>;
  /** Changes entries, all or none: `null` removes one. What is done when this returns outlives the process. */
  write(changes: ReadonlyMap<string, string | null>): void;
  /** Called once, when the limiter was closed. */
  close(): void;
}

/** What an instance does while its store is away. */
export interface FailoverOptions {
  /**
   * How long a call may take until this instance decides it by itself, 10 to 60,000 ms. Default 250. It is counted from the
   * call: the time that it waits behind others is part of it.
   */
  readonly deadlineMs?: number | undefined;
  /**
   * How many instances share the limits at most, 1 to 10,000. Default: the most that the store has counted within the last
   * hour or two. An instance that never reached the store admits no share, unless it has this number and a journal.
   */
  readonly instances?: number | undefined;
  /**
   * Where this instance keeps what it has admitted while the store was away, so that it is booked also when the process
   * dies meanwhile: `fileJournal`. Default: in memory alone.
   */
  readonly journal?: Journal | undefined;
}

/** What was still to be done for a batch. */
export interface Unsettled {
  readonly bookings: number;
  /** Calls that were denied: the store may have booked them. */
  readonly refunds: number;
}

/** What happens to the store, as this instance sees it. src/events.ts describes the events. */
export type FailoverEvent =
  | { readonly type: "store.unreachable"; readonly error: StoreError }
  | {
      readonly type: "store.recovered";
      readonly awayMs: number;
      /** Requests that were booked afterwards, also those whose answers were lost. */
      readonly booked: number;
      /** Requests that could not be booked: of a damaged bucket, or too old to be booked just once. */
      readonly dropped: number;
      /** Buckets whose use was restored because the store had lost it. */
      readonly raised: number;
    }
  | { readonly type: "failover.lost"; readonly bookings: number }
  | ({ readonly type: "failover.refused"; readonly error: StoreError } & Unsettled)
  /** The store counts more instances than before. */
  | { readonly type: "instances"; readonly instances: number };

/** Refuses options that are wrong. Throws `invalid-option`. */
export function checkFailover(options: FailoverOptions | false): void {
  if (options === false) return;
  checkOptionKeys(options, ["deadlineMs", "instances", "journal"], "failover");
  const { deadlineMs = DEFAULT_DEADLINE_MS, instances = 1, journal } = options;
  checkWhole("failover.deadlineMs", deadlineMs, 10, 60_000);
  checkWhole("failover.instances", instances, 1, 10_000);
  const isJournal = [journal?.write, journal?.entries, journal?.close].every((member) => typeof member === "function");
  if (journal !== undefined && !isJournal) {
    throw invalidOption("failover.journal", "a journal, such as fileJournal(path)", journal);
  }
}
