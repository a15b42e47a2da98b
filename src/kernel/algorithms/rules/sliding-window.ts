// The rules of a sliding window: units in any window of a length, counted in ten sub-windows and the current one.

import { codeAt, find, numberOf, textOf } from "../../lua.ts";
import { isEnd, MAX_INSTANT_MS, MAX_UNITS, type Rules } from "./rules.ts";

/** `quota` units (0 to 2^53 - 1) in any `windowMs`. */
export interface SlidingWindowLimit {
  readonly algorithm: "sliding-window";
  readonly quota: number;
  readonly windowMs: number;
}

/** At most 11 counts. Each count belongs to the sub-window before that of the count in front of it. */
export interface SlidingWindowState {
  readonly kind: "sliding-window";
  readonly expiresAtMs: number;
  readonly subWindowMs: number;
  /** Number of the newest sub-window, as counted since 1970. */
  readonly newest: number;
  /** Units booked in each sub-window, the newest first. */
  readonly counts: readonly number[];
}

export const SUB_WINDOWS = 10;
const MAX_COUNTS = SUB_WINDOWS + 1;
const COMMA = 44;

export function subWindowOf(limit: SlidingWindowLimit, atMs: number): number {
  return Math.floor(atMs / subWindowMsOf(limit));
}

function subWindowMsOf(limit: SlidingWindowLimit): number {
  return Math.ceil(limit.windowMs / SUB_WINDOWS);
}

/** When the last unit that a sub-window may hold leaves the window. */
function freeAtMs(limit: SlidingWindowLimit, subWindow: number): number {
  return (subWindow + 1) * subWindowMsOf(limit) - 1 + limit.windowMs;
}

/** The newest sub-window and the counts of a state. */
type Counts = Pick<SlidingWindowState, "newest" | "counts">;

/** The state in the sub-windows of this limit. All that another window length counted moves to its newest end. */
function fitted(limit: SlidingWindowLimit, state: SlidingWindowState): Counts {
  const subWindowMs = subWindowMsOf(limit);
  if (state.subWindowMs === subWindowMs) return state;
  const lastMs = (state.newest + 1) * state.subWindowMs - 1;
  return { newest: Math.floor(lastMs / subWindowMs), counts: [sumOf(state.counts)] };
}

/** How the script gets these limits. */
export const SLIDING_WINDOW_FORM = { code: 3, fields: ["quota", "window_ms"] };

export const slidingWindowRules: Rules<SlidingWindowLimit, SlidingWindowState> = {
  kind: "sliding-window",
  letter: "s",
  isFirm: true,
  comesBack: true,
  needsCost: true,
  queues: false,
  capacity: (limit) => limit.quota,
  used: usedAt,
  freeAfterMs(limit, state, units, nowMs) {
    const { newest, counts } = fitted(limit, state);
    let left = usedAt(limit, state, nowMs);
    let waitMs = 0;
    for (let age = counts.length - 1; age >= 0; age--) {
      if (units <= limit.quota - left) break;
      const freeAt = freeAtMs(limit, newest - age);
      if (nowMs < freeAt) {
        left -= counts[age] as number;
        waitMs = freeAt - nowMs;
      }
    }
    return waitMs;
  },
  isStale: undefined,
  book(limit, state, cost, nowMs) {
    const subWindowMs = subWindowMsOf(limit);
    const current = Math.max(Math.floor(nowMs / subWindowMs), 0);
    if (state === undefined) {
      const expiresAtMs = freeAtMs(limit, current);
      return { kind: "sliding-window", expiresAtMs, subWindowMs, newest: current, counts: [cost] };
    }
    const old = fitted(limit, state);
    const newest = Math.max(current, old.newest);
    const counts = [Math.min(cost, MAX_UNITS - usedAt(limit, state, nowMs))];
    addCounts(limit, counts, newest, old, nowMs);
    return { kind: "sliding-window", expiresAtMs: freeAtMs(limit, newest), subWindowMs, newest, counts };
  },
  scratch: undefined,
  flow: undefined,
  takeBack(_limit, state, alone, cost) {
    const age = state.newest - alone.newest;
    const count = state.counts[age];
    // Counts of another window length stay as they are.
    if (state.subWindowMs !== alone.subWindowMs || count === undefined) return state;
    const counts: number[] = [];
    for (const each of state.counts) counts.push(each);
    counts[age] = Math.max(0, count - cost);
    return withCounts(state, state.newest, counts, state.expiresAtMs);
  },
  windowEndsAtMs: undefined,
  isInWindow: (limit, _state, atMs, nowMs) => nowMs < freeAtMs(limit, subWindowOf(limit, atMs)),
  report: undefined,
  hasSeen: undefined,
  withSeen: undefined,
  notAhead(_limit, state, nowMs) {
    const { subWindowMs, newest, counts } = state;
    const by = newest - Math.floor(nowMs / subWindowMs);
    if (by <= 0) return state;
    // Units that were counted ahead of now count as booked now.
    let ahead = 0;
    const rest = [0];
    for (let age = 0; age < counts.length; age++) {
      if (age <= by) ahead += counts[age] as number;
      else rest.push(counts[age] as number);
    }
    rest[0] = ahead;
    return withCounts(state, newest - by, rest, state.expiresAtMs - by * subWindowMs);
  },
  encode(state) {
    let text = `s1 ${textOf(state.subWindowMs)} ${textOf(state.newest)}`;
    for (let age = 0; age < state.counts.length; age++) {
      text = `${text}${age === 0 ? " " : ","}${textOf(state.counts[age] as number)}`;
    }
    return text;
  },
  decode(text, expiresAtMs) {
    const [head, last, length, number] = find(text, "^s1 ([1-9]%d*) (%d+) ");
    if (head === undefined || last === undefined || length === undefined || number === undefined) return null;
    const subWindowMs = numberOf(length);
    const newest = numberOf(number);
    if (!isEnd(expiresAtMs) || newest > MAX_INSTANT_MS / subWindowMs - MAX_COUNTS) return null;
    const counts = countsIn(text, last + 1);
    if (newest * subWindowMs > expiresAtMs || counts === null) return null;
    return { kind: "sliding-window", expiresAtMs, subWindowMs, newest, counts };
  },
  limitOf: (_code, quota, windowMs) => ({ algorithm: "sliding-window", quota, windowMs }),
};

function withCounts(
  state: SlidingWindowState,
  newest: number,
  counts: readonly number[],
  expiresAtMs: number,
): SlidingWindowState {
  return { kind: "sliding-window", expiresAtMs, subWindowMs: state.subWindowMs, newest, counts };
}

/** Adds the counts of a state that are in the window still to those of a newer one. */
function addCounts(limit: SlidingWindowLimit, counts: number[], newest: number, old: Counts, nowMs: number): void {
  for (let oldAge = 0; oldAge < old.counts.length; oldAge++) {
    const count = old.counts[oldAge] as number;
    const age = newest - old.newest + oldAge;
    if (count > 0 && nowMs < freeAtMs(limit, newest - age)) {
      while (counts.length <= age) counts.push(0);
      counts[age] = (counts[age] as number) + count;
    }
  }
}

/** The counts from a position of a text on; `null` where it is damaged. */
function countsIn(text: string, first: number): number[] | null {
  const counts: number[] = [];
  let sum = 0;
  for (let from = first; ; ) {
    const [start, last, digits] = find(text, "^(%d+)", from);
    if (start === undefined || last === undefined || digits === undefined || counts.length === MAX_COUNTS) return null;
    const count = numberOf(digits);
    counts.push(count);
    sum += count;
    if (last === text.length) return sum > MAX_UNITS ? null : counts;
    if (codeAt(text, last + 1) !== COMMA) return null;
    from = last + 2;
  }
}

function sumOf(counts: readonly number[]): number {
  let sum = 0;
  for (const count of counts) sum += count;
  return sum;
}

function usedAt(limit: SlidingWindowLimit, state: SlidingWindowState | undefined, nowMs: number): number {
  if (state === undefined) return 0;
  const { newest, counts } = fitted(limit, state);
  let sum = 0;
  for (let age = 0; age < counts.length; age++) {
    if (nowMs < freeAtMs(limit, newest - age)) sum += counts[age] as number;
  }
  return sum;
}
