// How often in a row the same outcome was reported: errors, or the same result. Calls are judged by it, and do not change
// it.

import { type Algorithm, isEnd } from "./algorithm.ts";

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

/** Bound: after `quota` equal outcomes no call passes until another one is reported, or `ttlMs` without a report. */
export const streak: Algorithm<StreakLimit, StreakState> = {
  kind: "streak",
  refills: () => false,
  isFirm: false,
  capacity: (limit) => limit.quota,
  used: (_limit, state) => state?.count ?? 0,
  freeAfterMs: (limit, state, units, nowMs) => (units <= limit.quota - state.count ? 0 : state.expiresAtMs - nowMs),
  book: (_limit, state, _cost, nowMs) => state ?? { kind: "streak", outcome: "-", count: 0, expiresAtMs: nowMs },
  notAhead: (limit, state, nowMs) =>
    state.expiresAtMs > nowMs + limit.ttlMs ? { ...state, expiresAtMs: nowMs + limit.ttlMs } : state,
  needsCost: true,
  report: reported,
  encode: (state) => `k1 ${state.outcome} ${state.count}`,
  decode(text, expiresAtMs) {
    const match = /^k1 ([\w-]{1,64}) ([1-9][0-9]*)$/.exec(text);
    const count = Number(match?.[2]);
    return match !== null && Number.isSafeInteger(count) && isEnd(expiresAtMs)
      ? { kind: "streak", outcome: match[1] ?? "", count, expiresAtMs }
      : null;
  },
};

/** The state after an outcome was reported; `null` breaks the row. */
export function reported(
  limit: StreakLimit,
  state: StreakState | undefined,
  outcome: string | null,
  nowMs: number,
): StreakState | undefined {
  if (outcome === null) return undefined;
  const count = state?.outcome === outcome ? Math.min(state.count + 1, Number.MAX_SAFE_INTEGER) : 1;
  return { kind: "streak", outcome, count, expiresAtMs: nowMs + limit.ttlMs };
}
