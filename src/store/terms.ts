// What a store promises to senders that may lose its answers: on what terms it books, and how it knows who shares it. Only
// stores with `beat` keep them.

import type { MarkState } from "../kernel/state.ts";

/** On what terms a batch may be booked: for senders that cannot know what became of it. */
export interface Terms {
  /** The store's time (epoch ms) until which it may be booked; then `too-late`. */
  readonly notAfterMs?: number;
  /** The incarnation that the sender knows. In another one nothing is booked: `other-incarnation`. */
  readonly incarnation?: string;
  /**
   * The batch's number in its instance's row, from 1; what is below `from` is settled. The store keeps which requests of a
   * batch were booked. One that comes again books nothing: where all of it was booked it is answered with how the buckets
   * stand, else it is `too-late`. One that `closes` the number books what was not booked yet, or undoes what was; what comes
   * later without that is `too-late`.
   */
  readonly receipt?: {
    readonly instance: string;
    readonly number: number;
    readonly from: number;
    readonly closes?: boolean;
  };
}

/** An instance, among those that share limits. */
export interface Member {
  /** 1 to 64 letters, digits, `_ . : -`: those of one group are counted together. */
  readonly group: string;
  /** Likewise. Ranks are in the order of these names. */
  readonly instance: string;
  /** For how long, ms, at most 600,000; 0: it leaves. */
  readonly livesMs: number;
  /** Buckets that it saw last, at most 64: they tell a store that has lost all from one that has only lost its mark. */
  readonly seen: readonly string[];
}

/** What a store knows of those who share it. */
export interface Beat extends Pick<MarkState, "incarnation" | "lost"> {
  /** How many instances live, this one among them, and its place from 0. */
  readonly instances: number;
  readonly rank: number;
  /** The store's time, epoch ms. */
  readonly nowMs: number;
}
