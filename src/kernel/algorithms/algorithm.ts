// What an algorithm is: how units are used, when they come back, and what a booking writes.
// Whether a call may pass is not decided here; that is the same for every algorithm (../decide.ts).

/**
 * The last instant (epoch ms) that a state may name, its end aside, and the most that a level may be: the sum of an instant
 * and the time that a level takes to run off stays below 2^53.
 */
export const MAX_INSTANT_MS = 2 ** 52;

/** The level of a bucket at an instant (epoch ms), and the size of a unit in it. */
export interface Level {
  readonly baseMs: number;
  readonly level: number;
  readonly levelPerUnit: number;
}

/** What every bucket's state has. At `expiresAtMs` (epoch ms) the state means the same as no state at all. */
export interface ExpiringState {
  readonly expiresAtMs: number;
}

/**
 * An algorithm over integers alone: units, milliseconds, and products of them below 2^53, so that another language
 * agrees with it to the last unit. Functions are given only live states (`nowMs < expiresAtMs`) of their own kind.
 */
export interface Algorithm<Limit, State extends ExpiringState & { readonly kind: string }> {
  /** The `kind` of its states. A state of another kind is a new bucket. */
  readonly kind: State["kind"];

  /** Whether units come back while a caller waits, so that trying again is sound advice. */
  refills(limit: Limit): boolean;

  /** Whether, without holds, units come back by time alone. */
  readonly isFirm: boolean;

  /** Most units that can ever be free at once. */
  capacity(limit: Limit): number;

  /** Units that are not free at `nowMs`. More than the capacity after a quota was lowered. */
  used(limit: Limit, state: State | undefined, nowMs: number): number;

  /**
   * Milliseconds from `nowMs` until `units` (0 to the capacity) are free by this limit's own window or rate, if nothing
   * else happens; 0 if they are. The end of a state that another window or rate wrote may come before (../decide.ts).
   */
  freeAfterMs(limit: Limit, state: State, units: number, nowMs: number): number;

  /** The state after `cost` units (1 to 2^53 - 1, also more than are free) were booked at `nowMs`; sums saturate. */
  book(limit: Limit, state: State | undefined, cost: number, nowMs: number): State;

  /**
   * The state without instants that a booking at `nowMs` could not have written: only a clock that was ahead, or a longer
   * window, wrote them. What it counts ends at the latest one window of this limit after `nowMs`. The same object where
   * nothing changes.
   */
  notAhead(limit: Limit, state: State, nowMs: number): State;

  /** Whether a booking needs a cost. Without one, it begins with the call, whatever the call costs and however long it waits. */
  readonly needsCost: boolean;

  /** When the window ends that a booking falls into, and every grant with it. Absent: grants end by their own time alone. */
  windowEndsAtMs?(limit: Limit, state: State | undefined, nowMs: number): number;

  /** Whether what is booked at an earlier instant belongs to the window that the state counts. Absent: it always does. */
  isInWindow?(limit: Limit, state: State | undefined, atMs: number, nowMs: number): boolean;

  /**
   * The state after `cost` units were taken back. Absent: no units are counted, so that none are taken back, and none that a
   * store has lost are given back.
   *
   * @param alone the state that these units alone make, booked at their instant
   */
  takeBack?(limit: Limit, state: State, alone: State, cost: number, nowMs: number): State;

  /** Whether the bucket has counted a value before. Absent: values are not counted. */
  hasSeen?(state: State, value: string): boolean;

  /** The state that has counted a value. Absent: values are not counted. */
  withSeen?(state: State, value: string): State;

  /** The state after the outcome of a call was reported; `null` breaks the row. Absent: outcomes do not count. */
  report?(limit: Limit, state: State | undefined, outcome: string | null, nowMs: number): State | undefined;

  /** Absent: a hold is kept apart from what is spent, and spent at its end; a grant adds to the capacity until it ends. */
  readonly flow?: Flow<Limit, State>;

  /** A state as the text that stores keep beside its `expiresAtMs`. */
  encode(state: State): string;

  /**
   * The state that `encode` wrote, or `null` when the text is damaged: when no booking writes it, or when a booking on it
   * would not be exact.
   */
  decode(text: string, expiresAtMs: number): State | null;
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

/** Whether a number that was read is an instant which a state may name. */
export function isInstant(atMs: number): boolean {
  return Number.isInteger(atMs) && atMs >= 0 && atMs <= MAX_INSTANT_MS;
}

/** Whether a number that was read may be the end of a state. */
export function isEnd(expiresAtMs: number): boolean {
  return Number.isSafeInteger(expiresAtMs) && expiresAtMs >= 0;
}
