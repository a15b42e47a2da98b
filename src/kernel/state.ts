// What a store keeps under one key: the state of a bucket, an answer, or what it knows of the instances that share it.

import type { Level } from "./algorithms/algorithm.ts";
import type { SpentState } from "./algorithms/registry.ts";
import type { NewHold, Replay, StepReply, StoreReply } from "./request.ts";

/** What each entry of a bucket has. */
interface EntryBase {
  /** 1 to 64 letters, digits, `_` or `-`. */
  readonly id: string;
  readonly units: number;
  /** When the entry ends, epoch ms. */
  readonly expiresAtMs: number;
  /** The longest time that the entry was given, ms: no clock that is right has it end later. Absent: an older version wrote it. */
  readonly leaseMs?: number;
}

/** Units of a call under way: until the call settles them, or until its hold expires. */
export interface Reservation extends EntryBase {
  readonly kind: "reservation";
  /** What happens to the units when nothing settles them: they are spent, or free again. */
  readonly onExpiry: "charge" | "refund";
  /** Whether that has happened: the hold is remembered for a settle that comes late. */
  readonly expired: boolean;
  /** Where the algorithm has a `flow`, so that a hold is spent when it is made: the level right after. Else `null`. */
  readonly levelAfter: Level | null;
}

/** Units on top of the capacity, until the grant ends. */
export interface Grant extends EntryBase {
  readonly kind: "grant";
  /** Whether it has ended: it is remembered so that it is not granted again. */
  readonly expired: boolean;
}

/** Units of a call that waits. They are spent at its turn, which is when the entry ends, and no other call gets them. */
export interface QueuedCall extends EntryBase {
  readonly kind: "queued";
  /** Where the algorithm has a `flow`: the hold that the entry becomes at its turn. Absent: its units are only spent. */
  readonly becomes?: Pick<NewHold, "onExpiry" | "leaseMs">;
}

/** How many of the units that are spent were given back after the store had lost them. Its own units are not counted again. */
export interface LateUsage extends EntryBase {
  readonly kind: "late";
}

export type Entry = Reservation | Grant | QueuedCall | LateUsage;

/** A bucket with entries, as stores keep it. */
export interface HeldState {
  readonly kind: "held";
  readonly expiresAtMs: number;
  /** The `kind` of the bucket's algorithm: what is spent may be nothing. */
  readonly of: SpentState["kind"];
  readonly spent: SpentState | undefined;
  /** At least one, by the end of each. */
  readonly entries: readonly Entry[];
}

export type BucketState = SpentState | HeldState;

/** The answer for a request that was booked, for ten minutes from then on. */
export interface OnceState extends Replay {
  readonly kind: "once";
  readonly expiresAtMs: number;
  readonly nowMs: number;
  readonly allowed: boolean;
  /** Of an answer that waits for its turn; else 0. */
  readonly waitMs: number;
  readonly steps: readonly StepReply[];
  /** Whether it was given again: a caller may already act on it, so it is not undone. */
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
  /**
   * A digit for each step of its booked requests that names a hold or a grant, as it found that: 0 live, 1 late, 2 unknown. None once the
   * number is closed.
   */
  readonly found: string;
  /** Whether its sender has closed the number: what comes later under its number is too late. */
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

/** What a store keeps under one key. */
export type StoredState = BucketState | OnceState | ReceiptsState | MarkState;

/** What some keys hold; `undefined` for nothing. */
export type States = readonly (StoredState | undefined)[];

/** A reply, and what the store has to write. */
export interface Outcome {
  /** `null` when a bucket has as many entries as it may. */
  readonly reply: StoreReply | null;
  /** What each key of `keysOf` holds from now on, or `null` when nothing changes. */
  readonly next: States | null;
}
