// The rules of streaks: how often in a row the same outcome was reported. Calls are judged by it and do not change it.

import { find, numberOf, textOf } from "../../lua.ts";
import { isEnd, isUnits, MAX_UNITS, type Rules } from "./rules.ts";

/** Calls pass until the same outcome was reported `quota` times in a row, and again `ttlMs` after the last report. */
export interface StreakLimit {
  readonly algorithm: "streak";
  readonly quota: number;
  readonly ttlMs: number;
}

/** The last outcome, and how often it came. */
export interface StreakState {
  readonly kind: "streak";
  /** 1 to 64 letters, digits, `_` or `-`. */
  readonly outcome: string;
  readonly count: number;
  readonly expiresAtMs: number;
}

const MAX_OUTCOME_LENGTH = 64;

/** How the script gets these limits. */
export const STREAK_FORM = { code: 8, fields: ["quota", "ttl_ms"] };

export const streakRules: Rules<StreakLimit, StreakState> = {
  kind: "streak",
  letter: "k",
  isFirm: false,
  comesBack: true,
  needsCost: true,
  queues: false,
  capacity: (limit) => limit.quota,
  used: (_limit, state) => (state === undefined ? 0 : state.count),
  freeAfterMs: (limit, state, units, nowMs) => (units <= limit.quota - state.count ? 0 : state.expiresAtMs - nowMs),
  isStale: undefined,
  book: (_limit, state, _cost, nowMs) =>
    state === undefined ? { kind: "streak", outcome: "-", count: 0, expiresAtMs: nowMs } : state,
  scratch: undefined,
  flow: undefined,
  takeBack: undefined,
  windowEndsAtMs: undefined,
  isInWindow: undefined,
  report(limit, state, outcome, nowMs) {
    if (outcome === null) return undefined;
    const isSame = state !== undefined && state.outcome === outcome;
    const count = isSame ? Math.min(state.count + 1, MAX_UNITS) : 1;
    return { kind: "streak", outcome, count, expiresAtMs: nowMs + limit.ttlMs };
  },
  hasSeen: undefined,
  withSeen: undefined,
  notAhead(limit, state, nowMs) {
    const latestMs = nowMs + limit.ttlMs;
    if (state.expiresAtMs <= latestMs) return state;
    return { kind: "streak", outcome: state.outcome, count: state.count, expiresAtMs: latestMs };
  },
  encode: (state) => `k1 ${state.outcome} ${textOf(state.count)}`,
  decode(text, expiresAtMs) {
    const [head, , outcome, digits] = find(text, "^k1 ([%w_-]+) ([1-9]%d*)$");
    if (head === undefined || outcome === undefined || digits === undefined) return null;
    const count = numberOf(digits);
    if (outcome.length > MAX_OUTCOME_LENGTH || !isUnits(count) || !isEnd(expiresAtMs)) return null;
    return { kind: "streak", outcome, count, expiresAtMs };
  },
  limitOf: (_code, quota, ttlMs) => ({ algorithm: "streak", quota, ttlMs }),
};
