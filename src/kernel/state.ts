// What a store keeps under one key: the state of a bucket, an answer, or what it knows of the instances that share it.

import type { SpentState } from "./algorithms/registry.ts";
import type { TokenBucketLevel } from "./algorithms/token-bucket.ts";
import type { NewHold, Replay, StepReply, StoreReply } from "./request.ts";

/** Units set aside until they are settled, or until `expiresAtMs`. */
export interface Hold {
  /** 1 to 64 letters, digits, `_` or `-`. */
  readonly id: string;
  readonly units: number;
  readonly expiresAtMs: number;
  /** The longest that it was given: it ends at the latest so long after now. Absent: an older version wrote it. */
  readonly leaseMs?: number;
  /**
   * What happens to the units when nobody settles: they are spent, or free again. A grant's are there until then. Those of
   * a place are spent then, and nothing of it is remembered but the hold that it becomes. A memo is no hold: it says how
   * many of the units that are spent were given back after the store had lost them.
   */
  readonly onExpiry: "charge" | "refund" | "grant" | "place" | "memo";
  /** Of a place on a token bucket: the hold that it becomes at its turn. Absent: its units are only spent. */
  readonly becomes?: Pick<NewHold, "onExpiry" | "leaseMs">;
  /** Whether that has happened. */
  readonly expired: boolean;
  /** On a token bucket, where a hold is spent when it is made: the level right after. Else `null`. */
  readonly mark: TokenBucketLevel | null;
}

/** A bucket with holds, as stores keep it. */
export interface HeldState {
  readonly kind: "held";
  readonly expiresAtMs: number;
  /** The `kind` of the bucket's algorithm: what is spent may be nothing. */
  readonly of: SpentState["kind"];
  readonly spent: SpentState | undefined;
  /** At least one, by the end of each. */
  readonly holds: readonly Hold[];
}

/** The answer for a request that was booked, for ten minutes from then on. */
export interface OnceState extends Replay {
  readonly kind: "once";
  readonly expiresAtMs: number;
  readonly nowMs: number;
  readonly allowed: boolean;
  /** Of an answer that took a place; else 0. */
  readonly waitMs: number;
  readonly steps: readonly StepReply[];
  /** Whether it was given again: somebody may act by it, so that it is not undone. */
  readonly isTold: boolean;
}

/** What became of one batch. */
export interface Receipt {
  readonly number: number;
  /** Where a store cuts a batch in parts: which one, from 0. */
  readonly part: number;
  /** When it was first decided, epoch ms. */
  readonly atMs: number;
  /** A digit for each request: 1 booked, 0 not. */
  readonly booked: string;
  /** Whether its sender has settled what becomes of it: what comes later under its number is too late. */
  readonly closed: boolean;
}

/** What became of an instance's last batches. */
export interface ReceiptsState {
  readonly kind: "receipts";
  readonly expiresAtMs: number;
  /** Numbers below are closed. */
  readonly from: number;
  readonly receipts: readonly Receipt[];
}

/** By what a store is known again. Where it is not there any more, the store has lost what it held. */
export interface MarkState {
  readonly kind: "mark";
  readonly expiresAtMs: number;
  /** 1 to 64 letters, digits, `_` or `-`. */
  readonly incarnation: string;
  /** Of what was in the store before: whether all of it is lost for sure. */
  readonly lost: "all" | "some";
}

/** What a store keeps under one key: the state of a bucket, an answer, or what it knows of those who ask. */
export type StoredState = SpentState | HeldState | OnceState | ReceiptsState | MarkState;

/** A reply, and what the store has to write. */
export interface Outcome {
  /** `null` when a bucket has as many holds as it may. */
  readonly reply: StoreReply | null;
  /** What each key of `keysOf` holds from now on (`undefined`: nothing), or `null` when nothing changes. */
  readonly next: readonly (StoredState | undefined)[] | null;
}
