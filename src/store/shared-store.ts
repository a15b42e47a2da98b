// What a store adds that processes reach over a network and that may be unreachable: batches on terms, so that a sender can
// find out later what became of one without an answer, and beats, by which the store counts the instances that share it.
// Only the failover layer (layers/failover.ts) uses it.

import type { StoreReply, StoreRequest } from "../kernel/request.ts";
import type { MarkState } from "../kernel/state.ts";
import { StoreError } from "./error.ts";
import type { Store } from "./store.ts";

/** A store that keeps delivery terms and counts its instances. */
export interface SharedStore extends Store {
  /**
   * Decides requests as `apply` does, on terms.
   *
   * @throws TermsError `too-late`, `other-incarnation`: nothing was booked
   * @throws StoreError as `apply`
   */
  book(requests: readonly StoreRequest[], terms: Terms): Promise<readonly (StoreReply | StoreError)[]>;

  /**
   * Notes that an instance is alive, and returns its rank among all of them. It needs no deadline: the caller has its own.
   *
   * @throws StoreError
   */
  beat(member: Member): Promise<Beat>;
}

/** Whether a store keeps terms and counts instances. */
export function isShared(store: Store): store is SharedStore {
  return (store as Partial<SharedStore>).book !== undefined;
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
 * The number of a batch. The store keeps which requests of a batch it booked. A batch that comes again books nothing: when
 * all of it was booked, the reply is how the buckets stand, else the batch is `too-late`.
 */
export interface ReceiptTerms {
  readonly instance: string;
  /** From 1, unique for the instance. */
  readonly number: number;
  /** The instance has settled all numbers below this one. */
  readonly from: number;
  /**
   * Settles the number: what was not booked yet is booked, and an `undo` takes back what was. A later batch with this number
   * that does not close it is `too-late`.
   */
  readonly closes?: boolean;
}

/** An instance, among those that share limits. */
export interface Member {
  /** 1 to 64 letters, digits, `_ . : -`. Instances of one group are counted together. */
  readonly group: string;
  /** 1 to 64 letters, digits, `_ . : -`. Ranks are in the order of these names. */
  readonly instance: string;
  /** How long the store counts it without another beat, ms, at most 600,000; 0: it leaves. */
  readonly livesMs: number;
  /** At most 64 buckets that it saw last: they tell a store that has lost everything from one that lost only its mark. */
  readonly seen: readonly string[];
}

/** What a store knows of the instances that share it. */
export interface Beat extends Pick<MarkState, "incarnation" | "lost"> {
  /** How many instances live, this one included. */
  readonly instances: number;
  /** The rank of this instance, from 0. */
  readonly rank: number;
  /** The store's time, epoch ms. */
  readonly nowMs: number;
}

/**
 * Why a store books nothing of a batch by its terms: the batch came after its deadline or after it was settled, or the store
 * has lost data since the sender last heard of it.
 */
export type TermsRefusal = "too-late" | "other-incarnation";

/**
 * A shared store refuses the terms of a batch. Only the failover layer, which sent it, acts on that: to callers the store is
 * `unavailable`.
 */
export class TermsError extends StoreError {
  readonly refusal: TermsRefusal;

  constructor(refusal: TermsRefusal, message: string, options: { readonly transient: boolean } = { transient: true }) {
    super("unavailable", message, options);
    this.refusal = refusal;
  }

  /** Why the terms of a batch were refused; `null` for other errors. */
  static refusalOf(error: unknown): TermsRefusal | null {
    return StoreError.isInstance(error) && "refusal" in error ? (error as TermsError).refusal : null;
  }
}
