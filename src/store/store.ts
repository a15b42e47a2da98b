// The store contract: all that the author of a store must read, with the requests and replies in kernel/request.ts.
// docs/stores/your-own.md has a complete store.
//
// A store keeps one state for each key and changes several of them in one atomic step. It never judges by itself: in its
// transaction it calls `decideBatch`. A store that cannot run TypeScript there (a script inside Redis) must equal `decide`,
// reply for reply. What a store can add that processes share over a network is in shared-store.ts.

import type { Clock } from "../clock.ts";
import type { Policy } from "../kernel/policy/parse.ts";
import type { StoreReply, StoreRequest } from "../kernel/request.ts";
import type { StoreError } from "./error.ts";

/** A store's answer to one request. */
export type StoreAnswer = StoreReply | StoreError;

/** Where the state lives. */
export interface Store {
  /** Set when one `apply` with many requests is much cheaper than many with one. Absent: each call goes by itself. */
  readonly batching?: Batching | undefined;

  /**
   * The clock that a test gave the store to decide by. What the limiter itself times (kept denials, waits, borrowed units)
   * then follows it, too. Absent: the store decides by its own clock, and the limiter's timers by the machine's.
   */
  readonly clock?: Clock | undefined;

  /**
   * How long a request may take, ms. It is counted from the call, also while the request waits to be sent: `apply` is given
   * what is left of it. Absent: there is no deadline.
   */
  readonly deadlineMs?: number | undefined;

  /**
   * Decides requests in order, as if one by one, also where they name one bucket twice.
   *
   * @param leftMs what is left of `deadlineMs` for this batch. 0: it has waited too long, and has to fail at once, booking
   *   nothing. Absent: all of it is left
   * @returns one answer for each request, in order. A request that fails by itself (its bucket is damaged) has a `StoreError`
   *   in its place: it charges nothing, and the others go on. A `reset` mends a damaged bucket
   * @throws StoreError when nothing of the batch was booked, or when its answer was lost, so that this is not known
   */
  apply(requests: readonly StoreRequest[], leftMs?: number): Promise<readonly StoreAnswer[]>;

  /**
   * Answers one request at once, as `apply` would. It is for a store that has nothing to wait for: the limiter then puts no
   * layer in front of it that keeps denials or borrows units. Absent: `apply` is asked.
   *
   * @throws StoreError what `apply` rejects with
   */
  answer?(request: StoreRequest): StoreAnswer;

  /**
   * Refuses limits that it cannot keep. Absent: it keeps all.
   *
   * @throws MisuseError `unsupported-limit`
   */
  checkPolicy?(policy: Policy): void;

  /**
   * Reads how the store is set up, and changes nothing. Absent: there is nothing to set up.
   *
   * @throws StoreError
   */
  setup?(): Promise<readonly SetupCheck[]>;

  /** Why its connection does not work now, for messages; `undefined` while it works. Absent: not known. */
  lastFault?(): Error | undefined;

  /** Frees what the store itself opened. What it was given stays open. Closing twice is fine. */
  close(): Promise<void>;
}

/**
 * How the limiter gathers requests into batches. One batch takes what one tick asks. While it is out, further requests wait:
 * until it is back, or until `size` of them wait and fewer than `underWay` batches are out. With `deadlineMs` they wait for a
 * quarter of it at most, if fewer than `underWay` batches are out.
 */
export interface Batching {
  /** Most requests in one `apply`, 1 to 1,024. */
  readonly size: number;
  /** Most batches under way at one time, 1 to 16. */
  readonly underWay: number;
}

/** One thing about how a store is set up. */
export interface SetupCheck {
  /** Its name, such as `version` or `persistence`. */
  readonly name: string;
  readonly value: string;
  /** Which promise it may break, and what to do; `null` when it is fine. */
  readonly problem: string | null;
}
