// The contract of an algorithm: one object with all of its facts. Every other file asks the algorithm of a limit
// (registry.ts) for them. A member that may be `undefined` is absent where the fact does not exist; define.ts has the
// defaults of the others.

import type { Words } from "../phrases.ts";
import type { AlgorithmPolicy } from "../policy/algorithm-policy.ts";

/**
 * The largest instant (epoch ms) in a state, except its end. Twice it is 2^53, so that an instant and a duration up to it
 * always add up exactly.
 */
export const MAX_INSTANT_MS = 2 ** 52;
/** The largest level of a bucket. */
export const MAX_LEVEL = MAX_INSTANT_MS;
/** Numbers below it are exact on the fast path of the Redis script, however many sums a batch has. */
export const MAX_FAST = 2 ** 40;

/** The level of a bucket at an instant, and the size of a unit in it. */
export interface Level {
  /** When the level was this high, epoch ms. */
  readonly baseMs: number;
  readonly level: number;
  readonly levelPerUnit: number;
}

/** What every bucket's state has. At `expiresAtMs` (epoch ms) the state means the same as no state at all. */
export interface AlgorithmState {
  readonly kind: string;
  readonly expiresAtMs: number;
}

/**
 * An algorithm computes with integers alone: units, milliseconds, and products of them below 2^53, so that another language
 * computes the same to the last unit. Its functions get only live states (`nowMs < expiresAtMs`) of their own kind.
 */
export interface Algorithm<Limit, State extends AlgorithmState> {
  /** The `kind` of its states. A state of another kind counts as a new bucket. */
  readonly kind: State["kind"];

  // How it judges.

  /** Units that can be free at once at most. */
  capacity(limit: Limit): number;

  /** Units that are not free at `nowMs`. More than the capacity after a quota was lowered. */
  used(limit: Limit, state: State | undefined, nowMs: number): number;

  /**
   * Milliseconds from `nowMs` until `units` (0 to the capacity) are free by this limit's own window or rate, if nothing
   * else happens; 0 if they are free. A state that another window or rate wrote may end earlier (../decide.ts).
   */
  freeAfterMs(limit: Limit, state: State, units: number, nowMs: number): number;

  /** Whether the limit cannot decide at `nowMs`. Absent: it always can. */
  readonly isStale?: ((limit: Limit, nowMs: number) => boolean) | undefined;

  /** Whether waiting is sound advice. Not for a budget that ends when it is idle, elapsed time or a streak. Default: true. */
  refills(limit: Limit): boolean;

  /**
   * Whether only time lifts a denial by a bucket without entries, so that the deny cache may repeat it. Not for elapsed time,
   * streaks and slots. Default: true.
   */
  readonly isFirm: boolean;

  /** Whether a denied call may ever pass later. Not when a time is up. Default: true. */
  readonly comesBack: boolean;

  // What a call takes.

  /** Whether a limit counts units. False where time or outcomes are counted instead. Default: true. */
  readonly countsUnits: boolean;

  /** Whether a charge of 0 units books nothing. False where being called is enough. Default: true. */
  readonly needsCost: boolean;

  /** Whether units are only ever held, and free again when the hold ends. Default: false. */
  readonly isHeldOnly: boolean;

  /** Whether calls can wait for their turn in a queue that the store keeps. Default: false. */
  readonly queues: boolean;

  // What becomes of a state.

  /** The state after `cost` units (1 to 2^53 - 1, also more than are free) were booked at `nowMs`; sums saturate. */
  book(limit: Limit, state: State | undefined, cost: number, nowMs: number): State;

  /** Absent: a hold is kept apart from what is spent, and spent at its end; a grant adds to the capacity until it ends. */
  readonly flow?: Flow<Limit, State> | undefined;

  /**
   * The state after `cost` units were taken back. Absent: nothing is taken back, and use that a store has lost is not
   * raised.
   *
   * @param alone the state that these units alone make, booked at their instant
   */
  readonly takeBack?: ((limit: Limit, state: State, alone: State, cost: number, nowMs: number) => State) | undefined;

  /**
   * When the window ends that a booking falls into, and every grant with it. Absent: grants end by their own time alone.
   *
   * @param endsAtMs when the bucket's state ends, where there is one
   */
  readonly windowEndsAtMs?: ((limit: Limit, endsAtMs: number | undefined, nowMs: number) => number) | undefined;

  /** Whether a booking at an earlier instant belongs to the window that the state counts. Absent: it always does. */
  readonly isInWindow?: ((limit: Limit, state: State | undefined, atMs: number, nowMs: number) => boolean) | undefined;

  /** The state after the outcome of a call was reported; `null` breaks the row. Absent: outcomes do not count. */
  readonly report?:
    | ((limit: Limit, state: State | undefined, outcome: string | null, nowMs: number) => State | undefined)
    | undefined;

  /** Whether the bucket has counted a value before, and the state after it has. Absent: values are not counted. */
  readonly hasSeen?: ((state: State, value: string) => boolean) | undefined;
  readonly withSeen?: ((state: State, value: string) => State) | undefined;

  /**
   * The state without instants that a booking at `nowMs` could not have written: only a clock that was ahead, or a longer
   * window, wrote them. What it counts ends at the latest one window of this limit after `nowMs`; or its instants all move
   * back by as much as they were ahead. The same object where nothing changes.
   */
  notAhead(limit: Limit, state: State, nowMs: number): State;

  /**
   * Copies the numbers of one state into another that nothing else refers to, where that saves the memory store an object.
   * Returns whether it did. Absent: never.
   */
  readonly overwrite?: ((target: State, source: State) => boolean) | undefined;

  /** The letter of its states in the text of a bucket with entries, and at the head of its own text. */
  readonly letter: string;

  /** A state as the text that stores keep beside its `expiresAtMs`. */
  encode(state: State): string;

  /**
   * The state that `encode` wrote, or `null` when the text is damaged: when no booking writes it, or when a booking on it
   * would not be exact.
   */
  decode(text: string, expiresAtMs: number): State | null;

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

/**
 * How a bucket flows whose holds are spent when they are made, so that their units flow back while the calls are under way.
 * What is not needed in the end is given back by lowering the level. A grant fills the bucket at once.
 */
export interface Flow<Limit, State> {
  /** The level of a bucket that was just booked on. */
  levelOf(state: State): Level;

  /**
   * By how much the level may be lowered for units that were not needed, so that none comes back twice.
   *
   * @param levelAfter the level right after the units were booked
   */
  returnable(limit: Limit, state: State, levelAfter: Level, units: number, nowMs: number): number;

  /** The state after its level was lowered by at most what is left of it: by 0, the same state, which ends as it would. */
  lowered(limit: Limit, state: State, by: number): State;

  /** A level that a clock wrote which was ahead: it keeps its distance to the level of the bucket. */
  notAhead(level: Level, state: State | undefined, nowMs: number): Level;
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

/** Whether a number that was read is an instant that a state may name. */
export function isInstant(atMs: number): boolean {
  return Number.isInteger(atMs) && atMs >= 0 && atMs <= MAX_INSTANT_MS;
}

/** Whether numbers that were read are a level: its numbers have the range of an instant. */
export function isLevel({ baseMs, level, levelPerUnit }: Level): boolean {
  return isInstant(baseMs) && isInstant(level) && isInstant(levelPerUnit);
}

/** Whether a number that was read may be the end of a state. */
export function isEnd(expiresAtMs: number): boolean {
  return Number.isSafeInteger(expiresAtMs) && expiresAtMs >= 0;
}
