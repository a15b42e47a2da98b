// Units for the life of a scope, such as a turn or a session. Nothing says when a scope ends: it ends when it was idle, or
// some time after its first charge.

import { idleMs, toMs } from "../policy/amounts.ts";
import { periodInWords } from "../words.ts";
import { MAX_FAST } from "./algorithm.ts";
import { overwriteCounter } from "./counter.ts";
import { defineAlgorithm } from "./define.ts";
import { type BudgetLimit, budgetRules, BUDGET_FORM } from "./rules/budget.ts";
import { type CounterState, counterOf } from "./rules/counter.ts";

export type { BudgetLimit };

/**
 * Bound: a scope that lives `t` ms gets at most `quota * (1 + floor(t / ttlMs))` units. Denied calls and peeks never
 * restart the ttl.
 */
export const budget = defineAlgorithm<BudgetLimit, CounterState>(budgetRules, {
  overwrite: overwriteCounter,
  refills: ({ ttlFrom }) => ttlFrom === "first",
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
    forms: { budget: BUDGET_FORM },
    numbersOf: ({ quota, ttlMs, ttlFrom }) => [BUDGET_FORM, quota, ttlMs, ttlFrom === "first" ? 1 : 0],
    isFast: ({ ttlMs }) => ttlMs < MAX_FAST,
  },
  asSum: ({ ttlMs, ttlFrom }) => ({ lifeMs: ttlMs, endsAfter: ttlFrom }),
  asCounter: ({ quota, ttlMs }) => ({ quota, windowStartMs: null, ttlMs, leftMs: ttlMs }),
});
