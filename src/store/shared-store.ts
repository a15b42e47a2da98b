// What a store adds that processes reach over a network and that may be unreachable: batches on terms, so that a sender can
// find out later what became of one without an answer, and beats, by which the store counts the instances that share it.
// Only the failover layer asks for them.

import type { StoreRequest } from "../kernel/request.ts";
import { StoreError } from "./error.ts";
import type { Layers, Store, StoreAnswer } from "./store.ts";

/** Longest `livesMs`: a row of an instance that lives longer was written by a clock that was ahead. */
export const LONGEST_LIFE_MS = 600_000;
/** Most instances that one beat removes after their end. */
export const ENDED_MEMBERS_PER_BEAT = 100;

/**
 * A store that books batches on terms and counts its instances, so that a limiter can go on while it is away. A store that
 * processes share without a network, such as SQLite, need not be one.
 */
export interface SharedStore extends Store {
  readonly layers: Layers;

  /**
   * Decides requests as `apply` does, on terms. It is given no `leftMs`: the caller ends its wait by itself, and
   * `notAfterMs` is an instant of the store's time.
   *
   * @throws TermsError `too-late`, `settled`, `other-incarnation`, `too-many-open`: nothing was booked
   * @throws StoreError as `apply`
   */
  book(requests: readonly StoreRequest[], terms: Terms): Promise<readonly StoreAnswer[]>;

  /**
   * Notes that an instance lives or leaves, in one transaction. It forgets instances whose time is over, and makes the mark
   * of the store (`MARK_KEY`) where there is none. docs/stores/your-own.md says how.
   *
   * @throws StoreError
   */
  beat(member: Member): Promise<Beat>;
}

/** Whether a store books batches on terms and counts its instances. */
export function isShared(store: Store): store is SharedStore {
  return (store as Partial<SharedStore>).book !== undefined;
}

/**
 * The parts of a store, such as those of a cluster: each may be unreachable, or lose data, while the others answer. All keys with one
 * tag are in one shard, so that a shard decides them together.
 */
export interface StoreShards {
  readonly count: number;
  /** The shard of a key, from 0. */
  of(key: string): number;
  /** A shard as a store, the same one each time. The store closes what it opened when it is closed itself. */
  at(shard: number): SharedStore;
  /** Whether beats to a shard count the instances. To others, a beat answers that this instance is the only one. */
  countsAt(shard: number): boolean;
}

/** A store of several shards. It decides a request over several of them, too, but on no terms. */
export interface DividedStore extends Store {
  readonly layers: Layers;
  readonly shards: StoreShards;
}

/** Whether a store consists of shards, which may fail one by one. */
export function isDivided(store: Store): store is DividedStore {
  return (store as Partial<DividedStore>).shards !== undefined;
}

/** On what terms a batch may be booked. */
export interface Terms {
  /** The store's time (epoch ms) until which it may be booked; then `too-late`. */
  readonly notAfterMs?: number;
  /** The incarnation that the sender knows. In another one nothing is booked: `other-incarnation`. */
  readonly incarnation?: string;
  /** The batch's number. Absent: the store keeps no receipt for it. */
  readonly receipt?: ReceiptTerms;
}

/**
 * The number of a batch. The store keeps which requests of a batch it booked. A batch that comes again under its number, and
 * does not close it, books nothing: when all of it was booked, the answers say how the buckets stand, and how it found holds and
 * grants when it was booked; else the batch is `settled`.
 */
export interface ReceiptTerms {
  readonly instance: string;
  /** From 1, unique for the instance. */
  readonly number: number;
  /** The instance has closed all numbers below this one: a batch with one of them is `settled`, also where it closes it again. */
  readonly from: number;
  /**
   * Closes the number: what was not booked yet is booked, and an `undo` takes back what was. A later batch with this number
   * that does not close it is `settled`.
   */
  readonly closes?: boolean;
}

/** An instance, among those that share limits. */
export interface Member {
  /** 1 to 64 letters, digits, `_ . : -`. Instances of one group are counted together. */
  readonly group: string;
  /** 1 to 64 letters, digits, `_ . : -`. Ranks are in the order of these names. */
  readonly instance: string;
  /** How long the store counts it without another beat, ms, at most `LONGEST_LIFE_MS`; 0: it leaves. */
  readonly livesMs: number;
  /**
   * At most 64 buckets that it saw last, read only where the store has no mark: if one of them is still there, the store has
   * lost only some of what it held (`lost: "some"`), else everything (`"all"`). Empty: `"all"` only where the store holds
   * nothing.
   */
  readonly seen: readonly string[];
}

/** What a store knows of the instances that share it. */
export interface Beat {
  /** Names the store for as long as it loses nothing: 1 to 64 letters, digits, `_` or `-`. */
  readonly incarnation: string;
  /** What the store had lost when it made its mark: `all` where nothing of what it held was left, else `some`. */
  readonly lost: "all" | "some";
  /** How many instances live: this one included, unless it leaves. */
  readonly instances: number;
  /** How many of them have names before this one's, which is its rank, from 0. Of one that leaves, nothing reads it. */
  readonly rank: number;
  /** The store's time, epoch ms. */
  readonly nowMs: number;
}

/**
 * Why a store books nothing of a batch by its terms: the batch came after its deadline; its number was closed, or a part of it was
 * refused before; the store has lost data since the sender last heard of it; or it remembers no more open batches of the instance.
 */
export type TermsRefusal = "too-late" | "settled" | "other-incarnation" | "too-many-open";

/**
 * A shared store refuses the terms of a batch. Only the failover layer, which sent it, acts on that: to callers the store is
 * `unavailable`.
 */
export class TermsError extends StoreError {
  readonly refusal: TermsRefusal;

  /** @param options `transient` is false only where a sender finds by itself that it will always be too late */
  constructor(refusal: TermsRefusal, message: string, options: { readonly transient: boolean } = { transient: true }) {
    super("unavailable", message, options);
    this.refusal = refusal;
  }

  /**
   * Why the terms of a batch were refused; `null` for other errors. It looks at the property and not at the class: another
   * installed copy of Tollgate may have made the error.
   */
  static refusalOf(error: unknown): TermsRefusal | null {
    return StoreError.isInstance(error) && "refusal" in error ? (error as TermsError).refusal : null;
  }
}
