// The store contract: all that the author of a store must read.
//
// A store keeps one state for each bucket and changes several of them in one atomic step. It never judges by itself:
// `decide` does, and a store that can run TypeScript inside its transaction just calls it:
//
//     begin; nowMs = the store's time, read once
//     for each request: states = read keysOf(request); { reply, next } = decide(request, states, nowMs); write next
//     commit
//
// A store that keeps text writes a state as `encodeState(state)` beside `state.expiresAtMs`, and may forget it from
// that instant on. A store that cannot run `decide` (a script inside Redis) must equal it, reply for reply:
// `storeCases` from `tollgate/testing` shows whether it does.

import type { StoreReply, StoreRequest } from "./kernel/decide.ts";
import { hasMarker } from "./kernel/errors.ts";
import { MAX_HOLDS } from "./kernel/holds.ts";

export type { LimitSpec } from "./kernel/algorithms/registry.ts";
export {
  decide,
  keysOf,
  type Outcome,
  type Step,
  type StepEvent,
  type StepReply,
  type StoreReply,
  type StoreRequest,
} from "./kernel/decide.ts";
export { decodeState, encodeState, type StoredState } from "./kernel/stored.ts";

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
   * Decides requests in order, as if one by one, also where they name one bucket twice.
   *
   * @returns one reply for each request, in order; a `StoreError` for a request that failed by itself, as one of a
   *   damaged bucket does, which charges nothing and fails no other; a `reset` mends a damaged bucket
   * @throws StoreError when nothing of the batch was booked, or it is not known whether it was
   */
  apply(requests: readonly StoreRequest[]): Promise<readonly (StoreReply | StoreError)[]>;

  /**
   * Reads how the store is set up. Absent: there is nothing to set up.
   *
   * @throws StoreError
   */
  setup?(): Promise<readonly SetupCheck[]>;

  /** Frees what the store itself opened. What it was given stays open. Closing twice is fine. */
  close(): Promise<void>;
}

/** One thing about how a store is set up. */
export interface SetupCheck {
  /** What it is, such as `version` or `persistence`. */
  readonly name: string;
  readonly value: string;
  /** Which promise it may break, and what to do; `null` when it is fine. */
  readonly problem: string | null;
}

/** What can go wrong in a store. */
export type StoreErrorCode =
  | "capacity" // a bounded store holds as many live buckets as it may
  | "too-many-holds" // a bucket has as many holds as it may
  | "busy" // others held the store's lock for longer than the deadline
  | "overloaded" // more calls wait for the store than the limiter lets wait
  | "damaged-bucket" // a bucket's stored text is not what any version writes
  | "wrong-type" // a key holds something else than a bucket
  | "foreign-database" // the file is no database, or another program's
  | "schema-version" // the data was written by another version of its layout
  | "too-old" // the server is of a version that cannot keep the promises
  | "unauthorized" // the server wants another password or user, or this one lacks a right
  | "read-only" // the server takes no writes: it is a replica, or cannot persist them
  | "out-of-memory" // the server has no memory left for new buckets
  | "loading" // the server has just started, and reads its data
  | "unavailable" // the store cannot be reached, opened, read or written
  | "invalid-reply" // the store answered something else than it was asked
  | "closed"; // the store was closed

const STORE_ERROR = Symbol.for("tollgate.error.store");

/** The store failed. A denial is never one of these. */
export class StoreError extends Error {
  override readonly name = "StoreError";
  readonly code: StoreErrorCode;
  /** Whether the same request may succeed later. */
  readonly transient: boolean;

  constructor(
    code: StoreErrorCode,
    message: string,
    options: { readonly transient: boolean; readonly cause?: unknown },
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.transient = options.transient;
    Object.defineProperty(this, STORE_ERROR, { value: true });
  }

  static isInstance(value: unknown): value is StoreError {
    return hasMarker(value, STORE_ERROR);
  }
}

/** What a request fails with that `decide` gave no reply. */
export function tooManyHolds(): StoreError {
  return new StoreError("too-many-holds", `a bucket has ${MAX_HOLDS} holds, as many as it may`, { transient: true });
}
