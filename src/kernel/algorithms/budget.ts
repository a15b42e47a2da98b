// Units for the life of a scope, such as a turn or a session. Nothing says when a scope ends: it ends when it was idle, or
// some time after its first charge.

import { idleMs, toMs } from "../policy/amounts.ts";
import { periodInWords } from "../words.ts";
import { MAX_FAST } from "./algorithm.ts";
import { type CounterState, counterFacts, counterOf, endedBy, withSpent } from "./counter.ts";
import { defineAlgorithm } from "./define.ts";

/** `quota` units (0 to 2^53 - 1) until the scope was idle, or alive, for `ttlMs`. */
export interface BudgetLimit {
  readonly algorithm: "budget";
  readonly quota: number;
  readonly ttlMs: number;
  /** Whether each booked charge restarts the ttl (`last`), or the first one starts it for good (`first`). */
  readonly ttlFrom: "first" | "last";
}

const FORM = { code: 1, fields: ["quota", "ttl_ms", "is_from_first"] };

/**
 * Bound: a scope that lives `t` ms gets at most `quota * (1 + floor(t / ttlMs))` units. Denied calls and peeks never
 * restart the ttl.
 */
export const budget = defineAlgorithm<BudgetLimit, CounterState>({
  ...counterFacts,
  refills: ({ ttlFrom }) => ttlFrom === "first",
  book(limit, state, cost, nowMs) {
    const endMs = nowMs + limit.ttlMs;
    if (state === undefined) return counterOf(cost, endMs);
    return withSpent(state, cost, limit.ttlFrom === "first" ? state.expiresAtMs : Math.max(state.expiresAtMs, endMs));
  },
  isInWindow({ ttlFrom, ttlMs }, state, atMs, nowMs) {
    if (ttlFrom === "last" || state === undefined) return true;
    const beganMs = state.expiresAtMs - ttlMs;
    // One that seems to begin now has had a longer ttl, which has been cut.
    return beganMs >= nowMs ? nowMs - atMs < ttlMs : atMs >= beganMs;
  },
  notAhead: (limit, state, nowMs) => endedBy(state, nowMs + limit.ttlMs),
  policy: {
    specOf({ per, resetAfter, resetAfterIdle = resetAfter === "never" ? "never" : undefined }, quota) {
      return resetAfter === undefined || resetAfter === "never"
        ? { algorithm: "budget", quota, ttlMs: idleMs({ per, resetAfterIdle }), ttlFrom: "last" }
        : { algorithm: "budget", quota, ttlMs: toMs(resetAfter), ttlFrom: "first" };
    },
    // A budget that is used up by four fifths is near its end.
    noticeAt: 0.8,
    contradictions({ resetAfter, resetAfterIdle }, demand) {
      const isOne = resetAfter === undefined || resetAfterIdle === undefined;
      demand(isOne, ["resetAfter"], "no resetAfter beside resetAfterIdle", resetAfter);
    },
  },
  outage: {
    endsTogether: true,
    lifeMs: (limit) => limit.ttlMs,
    bookedAtMs: (limit, _seenAtMs, endsAtMs) => endsAtMs - limit.ttlMs,
    sliceOf: (limit) => `budget ${limit.ttlMs} ${limit.ttlFrom}`,
    // A bucket keeps the end that an earlier policy gave it.
    stateOf: (_seen, { used, endsAtMs }) => counterOf(used, endsAtMs),
  },
  words: {
    period: ({ ttlFrom, ttlMs }) => (ttlFrom === "first" ? ` per ${periodInWords(ttlMs)}` : ""),
  },
  wire: {
    forms: { budget: FORM },
    numbersOf: ({ quota, ttlMs, ttlFrom }) => [FORM, quota, ttlMs, ttlFrom === "first" ? 1 : 0],
    isFast: ({ ttlMs }) => ttlMs < MAX_FAST,
  },
  asSum: ({ ttlMs, ttlFrom }) => ({ lifeMs: ttlMs, endsAfter: ttlFrom }),
  asCounter: ({ quota, ttlMs }) => ({ quota, windowStartMs: null, ttlMs, leftMs: ttlMs }),
});
