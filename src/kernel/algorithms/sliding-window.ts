// Units in any window of a length, counted in ten sub-windows and the current one.

import { toMs } from "../policy/amounts.ts";
import { type Algorithm, isEnd, MAX_INSTANT_MS } from "./algorithm.ts";
import { defineAlgorithm } from "./define.ts";

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
const FORM = { code: 3, fields: ["quota", "window_ms"] };

function subWindowOf(limit: SlidingWindowLimit, atMs: number): number {
  return Math.floor(atMs / subWindowMsOf(limit));
}

function subWindowMsOf(limit: SlidingWindowLimit): number {
  return Math.ceil(limit.windowMs / SUB_WINDOWS);
}

/** When the last unit that a sub-window may hold leaves the window. */
function freeAtMs(limit: SlidingWindowLimit, subWindow: number): number {
  return (subWindow + 1) * subWindowMsOf(limit) - 1 + limit.windowMs;
}

/** The state in the sub-windows of this limit. All that another window length counted moves to its newest end. */
function fitted(limit: SlidingWindowLimit, state: SlidingWindowState): { newest: number; counts: readonly number[] } {
  const subWindowMs = subWindowMsOf(limit);
  if (state.subWindowMs === subWindowMs) return state;
  const lastMs = (state.newest + 1) * state.subWindowMs - 1;
  return { newest: Math.floor(lastMs / subWindowMs), counts: [sumOf(state.counts)] };
}

/**
 * Bound: at most `quota` units in any `windowMs`. A unit comes back at most a tenth of the window late, because a
 * sub-window counts whole until its last instant has left the window.
 */
export const slidingWindow: Algorithm<SlidingWindowLimit, SlidingWindowState> = defineAlgorithm({
  kind: "sliding-window",
  letter: "s",
  capacity: (limit) => limit.quota,
  used: usedAt,
  freeAfterMs(limit, state, units, nowMs) {
    const { newest, counts } = fitted(limit, state);
    let left = usedAt(limit, state, nowMs);
    let waitMs = 0;
    for (const [age, count] of [...counts.entries()].reverse()) {
      if (units <= limit.quota - left) break;
      const freeAt = freeAtMs(limit, newest - age);
      if (nowMs >= freeAt) continue;
      left -= count;
      waitMs = freeAt - nowMs;
    }
    return waitMs;
  },
  book(limit, state, cost, nowMs) {
    const subWindowMs = subWindowMsOf(limit);
    const old = state === undefined ? { newest: 0, counts: [] } : fitted(limit, state);
    const newest = Math.max(Math.floor(nowMs / subWindowMs), old.newest);
    const counts = [Math.min(cost, Number.MAX_SAFE_INTEGER - usedAt(limit, state, nowMs))];
    for (const [oldAge, count] of old.counts.entries()) {
      const age = newest - old.newest + oldAge;
      if (count === 0 || nowMs >= freeAtMs(limit, newest - age)) continue;
      while (counts.length <= age) counts.push(0);
      counts[age] = (counts[age] ?? 0) + count;
    }
    return { kind: "sliding-window", expiresAtMs: freeAtMs(limit, newest), subWindowMs, newest, counts };
  },
  takeBack(_limit, state, { subWindowMs, newest }, cost) {
    const age = state.newest - newest;
    const count = state.counts[age];
    // Counts of another window length stay as they are.
    if (state.subWindowMs !== subWindowMs || count === undefined) return state;
    return { ...state, counts: state.counts.with(age, Math.max(0, count - cost)) };
  },
  isInWindow: (limit, _state, atMs, nowMs) => nowMs < freeAtMs(limit, subWindowOf(limit, atMs)),
  notAhead(_limit, state, nowMs) {
    const { subWindowMs, newest, counts, expiresAtMs } = state;
    const by = newest - Math.floor(nowMs / subWindowMs);
    if (by <= 0) return state;
    // Units that were counted ahead of now count as booked now.
    const ahead = sumOf(counts.slice(0, by + 1));
    const rest = [ahead, ...counts.slice(by + 1)];
    return { ...state, newest: newest - by, counts: rest, expiresAtMs: expiresAtMs - by * subWindowMs };
  },
  encode: (state) => `s1 ${state.subWindowMs} ${state.newest} ${state.counts.join(",")}`,
  decode(text, expiresAtMs) {
    const match = /^s1 ([1-9][0-9]*) ([0-9]+) ([0-9]+(?:,[0-9]+){0,10})$/.exec(text);
    if (match === null) return null;
    const subWindowMs = Number(match[1]);
    const newest = Number(match[2]);
    const counts = (match[3] ?? "").split(",").map(Number);
    if (!isEnd(expiresAtMs) || newest > MAX_INSTANT_MS / subWindowMs - MAX_COUNTS) return null;
    if (newest * subWindowMs > expiresAtMs) return null;
    if (sumOf(counts) > Number.MAX_SAFE_INTEGER) return null;
    return { kind: "sliding-window", expiresAtMs, subWindowMs, newest, counts };
  },
  policy: {
    specOf: ({ window }, quota) => ({ algorithm: "sliding-window", quota, windowMs: toMs(window) }),
    windowMs: ({ window }) => toMs(window),
  },
  outage: {
    lifeMs: (limit) => 2 * limit.windowMs,
    bookedAtMs: (limit, seenAtMs, endsAtMs) => Math.min(seenAtMs, endsAtMs - limit.windowMs),
    sliceOf: (limit, atMs) => `sliding-window ${limit.windowMs} ${subWindowOf(limit, atMs)}`,
    stateOf(seen, { used, seenAtMs, endsAtMs }, limit) {
      const atMs = endsAtMs - seen.windowMs;
      if (seen.windowMs === limit.windowMs)
        return { ...slidingWindow.book(seen, undefined, used, atMs), expiresAtMs: endsAtMs };
      // A third length may have counted it: what is not known of its end is decided in favour of the limit.
      const expiresAtMs = Math.max(endsAtMs, seenAtMs + 2 * limit.windowMs);
      return { ...slidingWindow.book(seen, undefined, used, Math.max(atMs, seenAtMs)), expiresAtMs };
    },
  },
  wire: { forms: { sliding_window: FORM }, numbersOf: ({ quota, windowMs }) => [FORM, quota, windowMs] },
});

function sumOf(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

function usedAt(limit: SlidingWindowLimit, state: SlidingWindowState | undefined, nowMs: number): number {
  if (state === undefined) return 0;
  const { newest, counts } = fitted(limit, state);
  return counts.reduce((sum, count, age) => (nowMs < freeAtMs(limit, newest - age) ? sum + count : sum), 0);
}
