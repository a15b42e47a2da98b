// The contract of an algorithm's rules: how it judges, what becomes of its states, and how these are written as text. They are
// compiled for the Redis script, too. What else is to be said of an algorithm is in ../algorithm.ts.

import { find, numberOf } from "../../lua.ts";

/** The largest number of units, and the largest sum. */
export const MAX_UNITS = Number.MAX_SAFE_INTEGER;
/**
 * The largest instant (epoch ms) in a state, except its end. Twice it is 2^53, so that an instant and a duration up to it
 * always add up exactly.
 */
export const MAX_INSTANT_MS = 2 ** 52;
/** The largest level of a bucket. */
export const MAX_LEVEL = MAX_INSTANT_MS;

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
 * computes the same to the last unit. Its functions get only live states (`nowMs < expiresAtMs`) of their own kind. All rules
 * have their members in the same order: one hidden class, which the engine finds quickly.
 *
 * @noSelf In Lua, its functions do not get the object that they are called on.
 */
export interface Rules<Limit, State extends AlgorithmState> {
  /** The `kind` of its states. A state of another kind counts as a new bucket. */
  readonly kind: State["kind"];

  /** The letter of its states in the text of a bucket with entries, and at the head of its own text. */
  readonly letter: string;

  // How it judges.

  /**
   * Whether only time lifts a denial by a bucket without entries, so that the deny cache may repeat it. Not for elapsed time,
   * streaks and slots.
   */
  readonly isFirm: boolean;

  /** Whether a denied call may ever pass later. Not when a time is up. */
  readonly comesBack: boolean;

  /** Whether a charge of 0 units books nothing. False where being called is enough. */
  readonly needsCost: boolean;

  /** Whether calls can wait for their turn in a queue that the store keeps. */
  readonly queues: boolean;

  /** Units that can be free at once at most. */
  capacity(limit: Limit): number;

  /** Units that are not free at `nowMs`. More than the capacity after a quota was lowered. */
  used(limit: Limit, state: State | undefined, nowMs: number): number;

  /**
   * Milliseconds from `nowMs` until `units` (0 to the capacity) are free by this limit's own window or rate, if nothing
   * else happens; 0 if they are free. A state that another window or rate wrote may end earlier (../../bucket/free-after.ts).
   */
  freeAfterMs(limit: Limit, state: State, units: number, nowMs: number): number;

  /** Whether the limit cannot decide at `nowMs`. Absent: it always can. */
  readonly isStale: ((limit: Limit, nowMs: number) => boolean) | undefined;

  // What becomes of a state.

  /**
   * The state after `cost` units (1 to 2^53 - 1, also more than are free) were booked at `nowMs`; sums saturate.
   *
   * @param scratch a state that may be overwritten and returned: of a forecast, or `state` itself
   */
  book(limit: Limit, state: State | undefined, cost: number, nowMs: number, scratch?: State): State;

  /** What forecasts may write over, so that they make no state for each booking. Absent: they do. */
  readonly scratch: State | undefined;

  /** Absent: a hold is kept apart from what is spent, and spent at its end; a grant adds to the capacity until it ends. */
  readonly flow: Flow<Limit, State> | undefined;

  /**
   * The state after `cost` units were taken back. Absent: nothing is taken back, and use that a store has lost is not
   * raised.
   *
   * @param alone the state that these units alone make, booked at their instant
   */
  readonly takeBack: ((limit: Limit, state: State, alone: State, cost: number, nowMs: number) => State) | undefined;

  /**
   * When the window ends that a booking falls into, and every grant with it. Absent: grants end by their own time alone.
   *
   * @param endsAtMs when the bucket's state ends, where there is one
   */
  readonly windowEndsAtMs: ((limit: Limit, endsAtMs: number | undefined, nowMs: number) => number) | undefined;

  /** Whether a booking at an earlier instant belongs to the window that the state counts. Absent: it always does. */
  readonly isInWindow: ((limit: Limit, state: State | undefined, atMs: number, nowMs: number) => boolean) | undefined;

  /** The state after the outcome of a call was reported; `null` breaks the row. Absent: outcomes do not count. */
  readonly report:
    | ((limit: Limit, state: State | undefined, outcome: string | null, nowMs: number) => State | undefined)
    | undefined;

  /** Whether the bucket has counted a value before, and the state after it has. Absent: values are not counted. */
  readonly hasSeen: ((state: State, value: string) => boolean) | undefined;
  readonly withSeen: ((state: State, value: string) => State) | undefined;

  /**
   * The state without instants that a booking at `nowMs` could not have written: only a clock that was ahead, or a longer
   * window, wrote them. What it counts ends at the latest one window of this limit after `nowMs`; or its instants all move
   * back by as much as they were ahead. The same object where nothing changes.
   */
  notAhead(limit: Limit, state: State, nowMs: number): State;

  // How it is written.

  /** A state as the text that stores keep beside its `expiresAtMs`. */
  encode(state: State): string;

  /**
   * The state that `encode` wrote, or `null` when the text is damaged: when no booking writes it, or when a booking on it
   * would not be exact.
   */
  decode(text: string, expiresAtMs: number): State | null;

  /** The limit whose numbers came over the wire (`numbersOf` of ../algorithm.ts). */
  limitOf(code: number, capacity: number, first: number, second: number, third: number): Limit;
}

/**
 * How a bucket flows whose holds are spent when they are made, so that their units flow back while the calls are under way.
 * What is not needed in the end is given back by lowering the level. A grant fills the bucket at once.
 *
 * @noSelf
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

/** Whether a number that was read is an instant that a state may name. */
export function isInstant(atMs: number): boolean {
  return atMs >= 0 && atMs <= MAX_INSTANT_MS && atMs % 1 === 0;
}

/** Whether numbers that were read are a level: its numbers have the range of an instant. */
export function isLevel(baseMs: number, level: number, levelPerUnit: number): boolean {
  return isInstant(baseMs) && isInstant(level) && isInstant(levelPerUnit);
}

/** Whether a number that was read is a number of units. */
export function isUnits(units: number): boolean {
  return units >= 0 && units <= MAX_UNITS && units % 1 === 0;
}

/** Whether a number that was read may be the end of a state. */
export function isEnd(expiresAtMs: number): boolean {
  return isUnits(expiresAtMs);
}

/** The instant that is captured in the text of a state, which ends at the earliest then; `null` where there is none. */
export function instantIn(text: string, pattern: string, expiresAtMs: number): number | null {
  const [head, , digits] = find(text, pattern);
  if (head === undefined || digits === undefined) return null;
  const atMs = numberOf(digits);
  return isEnd(expiresAtMs) && isInstant(atMs) && atMs <= expiresAtMs ? atMs : null;
}
