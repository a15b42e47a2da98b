// The store contract: all that the author of a store must read.
//
// A store keeps one state for each bucket and changes several of them in one atomic step. It never judges by itself: the
// kernel does, and a store that can run TypeScript inside its transaction just calls it:
//
//     begin; lock what is read; { replies, changed } = decideBatch(requests, read, its time, terms); write changed; commit
//
// A store that keeps text writes a state as `encodeState(state)` beside `state.expiresAtMs`, and may forget it from that
// instant on. A store that cannot run the kernel (a script inside Redis) must equal `decide`, reply for reply: `storeCases`
// from `tollgate/testing` shows whether it does.

import type { Clock } from "../clock.ts";
import type { Policy } from "../kernel/policy/parse.ts";
import type { StoreReply, StoreRequest } from "../kernel/request.ts";
import type { StoreError } from "./error.ts";
import type { Beat, Member, Terms } from "./terms.ts";

export type { LimitSpec } from "../kernel/algorithms/registry.ts";
export { keysOf } from "../kernel/decide.ts";
export { MARK_KEY, receiptsKey } from "../kernel/receipts.ts";
export type { Degraded, GrantReply, Step, StepEvent, StepReply, StoreReply, StoreRequest } from "../kernel/request.ts";
export type { Outcome } from "../kernel/state.ts";
export type { StoredState } from "../kernel/state.ts";
export { encodeState } from "../kernel/encoding/state.ts";
export { type DecidedBatch, decideBatch, type Known } from "./batch.ts";
export { decide, decodeState } from "./check.ts";
export {
  refuseTerms,
  StoreError,
  type StoreErrorCode,
  TermsError,
  type TermsRefusal,
  tooManyHolds,
} from "./error.ts";
export type { Beat, Member, Terms } from "./terms.ts";

/** How the limiter gathers requests: what one tick asks, and what comes while enough batches are under way. */
export interface Batching {
  /** Most requests in one `apply`, 1 to 1,024. */
  readonly size: number;
  /** Most batches under way at one time, 1 to 16. A further one begins only when a whole batch waits. */
  readonly underWay: number;
}

/** Where the state lives. */
export interface Store {
  /** Set when one `apply` with many requests is much cheaper than many with one. Absent: each call goes by itself. */
  readonly batching?: Batching;

  /**
   * Set where a test says what time it is for the store: what is kept before it grows old by that, and calls wait and holds
   * of `run` are extended by it.
   */
  readonly clock?: Clock;

  /**
   * How long `apply` may take, ms. A limiter counts it from the call, so that the time that a request has waited to be sent
   * is part of it. Absent: `apply` takes as long as it takes.
   */
  readonly deadlineMs?: number;

  /**
   * Decides requests in order, as if one by one, also where they name one bucket twice.
   *
   * @param terms a store without `beat` keeps none, and refuses them (`refuseTerms`)
   * @param leftMs what is left of `deadlineMs`; 0: nothing of it may be sent any more. Absent: all of it
   * @returns one reply for each request, in order; a `StoreError` for a request that failed by itself, as one of a
   *   damaged bucket does, which charges nothing and fails no other; a `reset` mends a damaged bucket
   * @throws StoreError when nothing of the batch was booked, or it is not known whether it was
   */
  apply(
    requests: readonly StoreRequest[],
    terms?: Terms,
    leftMs?: number,
  ): Promise<readonly (StoreReply | StoreError)[]>;

  /** Answers one request as `apply` would, at once where nothing has to be waited for. Absent: `apply` is asked. */
  answer?(request: StoreRequest, leftMs?: number): StoreReply | StoreError | Promise<StoreReply | StoreError>;

  /**
   * Refuses limits that it cannot keep. Absent: it keeps all.
   *
   * @throws MisuseError `unsupported-limit`
   */
  checkPolicy?(policy: Policy): void;

  /**
   * Says that an instance lives, and learns which one of how many it is. It may take as long as it takes: who asks gives up
   * by himself. Absent: the store is never away for long.
   *
   * @throws StoreError
   */
  beat?(member: Member): Promise<Beat>;

  /**
   * Reads how the store is set up. Absent: there is nothing to set up.
   *
   * @throws StoreError
   */
  setup?(): Promise<readonly SetupCheck[]>;

  /** Why its connection does not work now, for messages; `undefined` while it works. Absent: not known. */
  lastFault?(): Error | undefined;

  /**
   * Frees what the store itself opened. What it was given stays open. Closing twice is fine.
   *
   * @param withinMs how long what was admitted without the store may still be booked; only the limiter's own layers use it
   */
  close(withinMs?: number): Promise<void>;
}

/** What a store says of one request. */
export type Found = StoreReply | StoreError;

/** Asks a store for one thing: at once where it can. A store that breaks its contract may have no answer at all. */
export function askOne(
  store: Store,
  request: StoreRequest,
  leftMs?: number,
): Found | undefined | Promise<Found | undefined> {
  if (store.answer !== undefined) return store.answer(request, leftMs);
  return store.apply([request], undefined, leftMs).then(([reply]) => reply);
}

/** One thing about how a store is set up. */
export interface SetupCheck {
  /** What it is, such as `version` or `persistence`. */
  readonly name: string;
  readonly value: string;
  /** Which promise it may break, and what to do; `null` when it is fine. */
  readonly problem: string | null;
}
