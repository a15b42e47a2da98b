// The contract of an algorithm: one object with all of its facts. Every other file asks the algorithm of a limit
// (registry.ts) for them. A member that may be `undefined` is absent where the fact does not exist; define.ts has the
// defaults of the others. The rules, by which buckets are judged and booked, are in rules/.

import type { Words } from "../phrases.ts";
import type { AlgorithmPolicy } from "../policy/algorithm-policy.ts";
import type { AlgorithmState, Rules } from "./rules/rules.ts";

export {
  type AlgorithmState,
  type Flow,
  isEnd,
  isInstant,
  type Level,
  MAX_INSTANT_MS,
  MAX_LEVEL,
} from "./rules/rules.ts";

/** Numbers below it are exact on the fast path of the Redis script, however many sums a batch has. */
export const MAX_FAST = 2 ** 40;

/** An algorithm: its rules, and what else is to be said of it. */
export interface Algorithm<Limit, State extends AlgorithmState> extends Rules<Limit, State> {
  /** Whether waiting is sound advice. Not for a budget that ends when it is idle, elapsed time or a streak. Default: true. */
  refills(limit: Limit): boolean;

  /** Whether a limit counts units. False where time or outcomes are counted instead. Default: true. */
  readonly countsUnits: boolean;

  /** Whether units are only ever held, and free again when the hold ends. Default: false. */
  readonly isHeldOnly: boolean;

  /**
   * Copies the numbers of one state into another that nothing else refers to, where that saves the memory store an object.
   * Returns whether it did. Absent: never.
   */
  readonly overwrite: ((target: State, source: State) => boolean) | undefined;

  readonly policy: AlgorithmPolicy<Limit>;

  /** What an instance does while the store is unreachable. */
  readonly outage: Outage<Limit, State>;

  readonly words: Words<Limit>;

  readonly wire: Wire<Limit>;

  /**
   * How a charge adds to a state whose text is a plain number of units, so that SQL can do it; `null` where a charge does
   * anything else. Default: it does.
   */
  asSum(limit: Limit): Sum | null;

  /** How a plain counter with a time to live keeps it; `null` where it cannot. Default: it cannot. */
  asCounter(limit: Limit, nowMs: number): PlainCounter | null;
}

/** What an instance does while the store is unreachable. The booleans are for layers/failover/shares.ts. */
export interface Outage<Limit, State> {
  /** Whether use is a number that stays until a known instant, so that it can be shared out and given back. Default: true. */
  readonly isUseKnown: boolean;
  /** Whether what is left is still known: each instance counts by itself anyway. Default: false. */
  readonly isCountedLocally: boolean;
  /** Whether all units come back together, when the state ends. Default: false. */
  readonly endsTogether: boolean;
  /** Whether instances divide what is left. If not, each has all of it, at its own slower rate. Default: true. */
  readonly isDivided: boolean;
  /** Whether use drains at a rate, of which each instance has a part. Default: false. */
  readonly hasRate: boolean;
  /**
   * The state of a part of a bucket's use that flows back last, so that it is gone when all of the bucket is, at `endsAtMs`.
   * Default: the same state.
   */
  flowingLast(limit: Limit, state: State, endsAtMs: number): State;
  /** From when on units of such a state flow back. Default: 0. */
  flowsFromMs(state: State): number;
  /** The limit of one of so many instances, by its rate. Default: the same limit. */
  slowed(limit: Limit, instances: number): Limit;
  /** The limit with another capacity. Default: another `quota`. */
  withCapacity(limit: Limit, units: number): Limit;
  /** How long a booking may live, in ms. Default: 0. */
  lifeMs(limit: Limit): number;
  /** At which instant a booking ends at `endsAtMs`: one booking then stands for all that was used. Default: when it was seen. */
  bookedAtMs(limit: Limit, seenAtMs: number, endsAtMs: number): number;
  /** What tells apart bookings that do not end alike, as a text: those of one slice are added up. Default: the name. */
  sliceOf(limit: Limit, atMs: number): string;
  /** The state of a bucket that was seen under `seen`, and is judged by `limit` now. Default: one booking. */
  stateOf(seen: Limit, use: SeenUse, limit: Limit): State;
}

/** How a bucket stood when it was last seen. */
export interface SeenUse {
  readonly used: number;
  readonly seenAtMs: number;
  /** When all of it is free again. */
  readonly endsAtMs: number;
}

/** How the Redis script gets a limit. */
export interface Wire<Limit> {
  /** The forms of the limit, by their names in Lua: a number that tells them apart, and the names of the numbers that follow. */
  readonly forms: Readonly<Record<string, WireForm>>;
  /** The form of a limit, and its numbers in the order of the names. */
  numbersOf(limit: Limit): readonly [form: WireForm, ...numbers: number[]];
  /** Whether the script's fast path judges its charges: integers far from where sums saturate. Default: false. */
  isFast(limit: Limit): boolean;
}

/** One form of a limit on the wire. */
export interface WireForm {
  readonly code: number;
  /** At most four. */
  readonly fields: readonly string[];
}

/** A limit as a number of units that are added up until an instant. */
export interface Sum {
  /** How long a sum lives from the charge that begins it, ms; no sum lives longer than that from now. */
  readonly lifeMs: number;
  /** When it ends: that long after the charge that began it, or after the last one, or at the next multiple of it since 1970. */
  readonly endsAfter: "first" | "last" | "multiple";
}

/** A limit as a counter with a time to live. */
interface PlainCounter {
  readonly quota: number;
  /** When the window began that the counter's key names; `null` where the key is the bucket's. */
  readonly windowStartMs: number | null;
  readonly ttlMs: number;
  /** Most ms until its window is over. */
  readonly leftMs: number;
}
