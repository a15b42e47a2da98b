// The store contract: all that the author of a store must read, with the requests and replies in kernel/request.ts.
//
// A store keeps one state for each bucket and changes several of them in one atomic step. It never judges by itself: the
// kernel does. A store that can run TypeScript inside its transaction calls it:
//
//     begin; lock what is read; { replies, changed } = decideBatch(requests, read, its time); write changed; commit
//
// A store that keeps text writes a state as `encodeState(state)` beside `state.expiresAtMs`, and may forget it from that
// instant on. A store that cannot run the kernel (a script inside Redis) must equal `decide`, reply for reply: `storeCases`
// from `tollgate/testing` shows whether it does. What a store can add that processes share over a network: shared-store.ts.

import type { Clock } from "../clock.ts";
import type { Policy } from "../kernel/policy/parse.ts";
import type { StoreReply, StoreRequest } from "../kernel/request.ts";
import type { StoreError } from "./error.ts";

/** Where the state lives. */
export interface Store {
  /** Set when one `apply` with many requests is much cheaper than many with one. Absent: each call goes by itself. */
  readonly batching?: Batching;

  /** Set where a test gives the store its time: denials, waits and leases then follow this clock. */
  readonly clock?: Clock;

  /**
   * How long `apply` may take, ms. A limiter counts it from the call, so that the time that a request has waited to be sent
   * is part of it. Absent: `apply` has no deadline.
   */
  readonly deadlineMs?: number;

  /**
   * Decides requests in order, as if one by one, also where they name one bucket twice.
   *
   * @param leftMs what is left of `deadlineMs`; 0: nothing of it may be sent any more. Absent: all of it
   * @returns one reply for each request, in order; a `StoreError` for a request that failed by itself, as one of a
   *   damaged bucket does, which charges nothing and fails no other; a `reset` mends a damaged bucket
   * @throws StoreError when nothing of the batch was booked, or it is not known whether it was
   */
  apply(requests: readonly StoreRequest[], leftMs?: number): Promise<readonly (StoreReply | StoreError)[]>;

  /** Answers one request as `apply` would, at once where nothing has to be waited for. Absent: `apply` is asked. */
  answer?(request: StoreRequest, leftMs?: number): StoreReply | StoreError | Promise<StoreReply | StoreError>;

  /**
   * Refuses limits that it cannot keep. Absent: it keeps all.
   *
   * @throws MisuseError `unsupported-limit`
   */
  checkPolicy?(policy: Policy): void;

  /**
   * Reads how the store is set up. Absent: there is nothing to set up.
   *
   * @throws StoreError
   */
  setup?(): Promise<readonly SetupCheck[]>;

  /** Why its connection does not work now, for messages; `undefined` while it works. Absent: not known. */
  lastFault?(): Error | undefined;

  /** Frees what the store itself opened. What it was given stays open. Closing twice is fine. */
  close(): Promise<void>;
}

/** How the limiter gathers requests: what one tick asks, and what comes while enough batches are under way. */
export interface Batching {
  /** Most requests in one `apply`, 1 to 1,024. */
  readonly size: number;
  /** Most batches under way at one time, 1 to 16. A further one begins only when a whole batch waits. */
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
