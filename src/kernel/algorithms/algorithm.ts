// What an algorithm is: how units are used, when they come back, and what a booking writes.
// Whether a call may pass is not decided here; that is the same for every algorithm (../decide.ts).

/**
 * The last instant (epoch ms) that a state may name, its end aside, and the most that a level may be: the sum of an instant
 * and the time that a level takes to run off stays below 2^53.
 */
export const MAX_INSTANT_MS = 2 ** 52;

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

  /** A state as the text that stores keep beside its `expiresAtMs`. */
  encode(state: State): string;

  /**
   * The state that `encode` wrote, or `null` when the text is damaged: when no booking writes it, or when a booking on it
   * would not be exact.
   */
  decode(text: string, expiresAtMs: number): State | null;
}

/** Whether a number that was read is an instant which a state may name. */
export function isInstant(atMs: number): boolean {
  return Number.isInteger(atMs) && atMs >= 0 && atMs <= MAX_INSTANT_MS;
}

/** Whether a number that was read may be the end of a state. */
export function isEnd(expiresAtMs: number): boolean {
  return Number.isSafeInteger(expiresAtMs) && expiresAtMs >= 0;
}
