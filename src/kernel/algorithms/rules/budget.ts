// The rules of a budget: units until the scope was idle, or some time after its first charge.

import {
  type CounterState,
  counterFreeAfterMs,
  counterHasSeen,
  counterWithSeen,
  decodeCounter,
  encodeCounter,
  endedBy,
  firstSpent,
  SCRATCH_COUNTER,
  spentIn,
  withoutSpent,
  withoutSpentInWindow,
  withSpent,
} from "./counter.ts";
import type { Rules } from "./rules.ts";

/** `quota` units (0 to 2^53 - 1) until the scope was idle, or alive, for `ttlMs`. */
export interface BudgetLimit {
  readonly algorithm: "budget";
  readonly quota: number;
  readonly ttlMs: number;
  /** Whether each booked charge restarts the ttl (`last`), or the first one starts it for good (`first`). */
  readonly ttlFrom: "first" | "last";
}

/** How the script gets these limits. */
export const BUDGET_FORM = { code: 1, fields: ["quota", "ttl_ms", "is_from_first"] };

export const budgetRules: Rules<BudgetLimit, CounterState> = {
  kind: "counter",
  letter: "c",
  isFirm: true,
  comesBack: true,
  needsCost: true,
  queues: false,
  capacity: (limit) => limit.quota,
  used: spentIn,
  freeAfterMs: counterFreeAfterMs,
  isStale: undefined,
  book(limit, state, cost, nowMs, scratch) {
    const endMs = nowMs + limit.ttlMs;
    if (state === undefined) return firstSpent(cost, endMs, scratch);
    const expiresAtMs = limit.ttlFrom === "first" ? state.expiresAtMs : Math.max(state.expiresAtMs, endMs);
    return withSpent(state, cost, expiresAtMs, scratch);
  },
  scratch: SCRATCH_COUNTER,
  flow: undefined,
  takeBack: (limit, state, alone, cost) =>
    limit.ttlFrom === "first" ? withoutSpentInWindow(limit, state, alone, cost) : withoutSpent(state, cost),
  windowEndsAtMs: undefined,
  isInWindow(limit, state, atMs, nowMs) {
    if (limit.ttlFrom === "last" || state === undefined) return true;
    const beganMs = state.expiresAtMs - limit.ttlMs;
    // One that seems to begin now has had a longer ttl, which has been cut.
    return beganMs >= nowMs ? nowMs - atMs < limit.ttlMs : atMs >= beganMs;
  },
  report: undefined,
  hasSeen: counterHasSeen,
  withSeen: counterWithSeen,
  notAhead: (limit, state, nowMs) => endedBy(state, nowMs + limit.ttlMs),
  encode: encodeCounter,
  decode: decodeCounter,
  limitOf: (_code, quota, ttlMs, isFromFirst) => ({
    algorithm: "budget",
    quota,
    ttlMs,
    ttlFrom: isFromFirst === 1 ? "first" : "last",
  }),
};
