// The store contract: all that the author of a store must read, with the requests and replies in kernel/request.ts.
// docs/stores/your-own.md has a complete store.
//
// A store keeps one state for each key and changes several of them in one atomic step. It never judges by itself: in its
// transaction it calls `decideBatch`. A store that cannot run TypeScript there (a script inside Redis) must equal `decide`,
// reply for reply. What a store can add that processes share over a network is in shared-store.ts.

import type { Clock } from "../clock.ts";
import type { Policy } from "../kernel/policy/parse.ts";
import type { StoreReply, StoreRequest } from "../kernel/request.ts";
import type { FailoverEvent, FailoverOptions } from "../layers/failover/options.ts";
import type { StoreError } from "./error.ts";

/** A store's answer to one request. */
export type StoreAnswer = StoreReply | StoreError;

/** Where the state lives. */
export interface Store {
  /**
   * What the limiter puts in front of the store: `networkLayers` for a store that takes time to answer. Absent: the limiter
   * asks the store itself, once for each call. A store with `batching`, `setup` or `book` needs them.
   */
  readonly layers?: Layers | undefined;

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
   * Answers one request at once, as `apply` would. It is for a store that has nothing to wait for, and that has no `layers`.
   * Absent: `apply` is asked.
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
 * until it is back, or until `least` of them wait and fewer than `underWay` batches are out. With `deadlineMs` they wait for a
 * quarter of it at most, if fewer than `underWay` batches are out.
 */
export interface Batching {
  /** Most requests in one `apply`, 1 to 1,024. */
  readonly size: number;
  /** Most batches under way at one time, 1 to 16. With 1, a batch has all that a turn of the event loop asks. */
  readonly underWay: number;
  /** So many requests go in a batch of their own while others are under way, 1 to `size`. Default 8. */
  readonly least?: number;
  /**
   * Spreads what waits over the batches that may be under way, `least` in each: while the store decides one, the process
   * prepares the next. For a store where a batch does not wait for rows that another one has locked. Default `false`: a batch
   * takes all that waits, up to `size`.
   */
  readonly spread?: boolean;
}

/** One thing about how a store is set up. */
export interface SetupCheck {
  /** Its name, such as `version` or `persistence`. */
  readonly name: string;
  readonly value: string;
  /** Which promise it may break, and what to do; `null` when it is fine. */
  readonly problem: string | null;
}

/** What is about to break a promise, or cannot be read. */
export type SetupEvent =
  | { readonly type: "store.misconfigured"; readonly check: SetupCheck }
  | { readonly type: "store.check_failed"; readonly error: unknown };

/** What a limiter and a layer ask: a store, or a layer in front of one. Policies and setup are the store's own. */
export interface Layer extends Pick<Store, "batching" | "deadlineMs" | "apply"> {
  /** Answers one request as `apply` would, at once where it can. Absent: `apply` is asked. */
  answer?(request: StoreRequest, leftMs?: number): StoreAnswer | Promise<StoreAnswer>;
  /** @param withinMs how long to go on trying to book what was admitted without the store; a store has nothing to book */
  close(withinMs?: number): Promise<void>;
}

/** Makes the layers in front of a store: `networkLayers` of `tollgate/store`. */
export type Layers = (store: Store, settings: LayerSettings) => Layered;

/** What a limiter tells the layers. */
export interface LayerSettings {
  /** The group whose instances share the limits. */
  readonly group: string;
  readonly failover: FailoverOptions | false;
  readonly denyCacheMs: number;
  /** The clock by which denials and borrowed units are kept. */
  readonly clock: Clock;
  /** Absent: nothing listens. */
  readonly emit: ((event: FailoverEvent | SetupEvent) => void) | undefined;
}

/** The layers in front of a store. */
export interface Layered {
  /** The outermost layer. */
  readonly store: Layer;
  /** How long a decision may take; `undefined`: no deadline. */
  readonly deadlineMs?: number | undefined;
  /**
   * Takes back what no call needs: once each, also where a client sends it twice, but never again after an outage, when it could take
   * back what another call has. Default: the store itself is asked.
   */
  readonly giveBack?: (requests: readonly StoreRequest[]) => Promise<readonly StoreAnswer[]>;
  /** Ends what reads the store by itself. */
  unwatch?(): void;
  /** Waits until the store counts again and has booked all calls that were admitted without it, or until the time is over. */
  recovered?(withinMs: number): Promise<unknown>;
}
