// How often in a row the same outcome was reported: errors, or the same result. Calls are judged by it and do not change
// it.

import type { CountedVerdict } from "../decision.ts";
import { type About, ofSubject, type Subject } from "../phrases.ts";
import { idleMs } from "../policy/amounts.ts";
import { grouped } from "../words.ts";
import { defineAlgorithm } from "./define.ts";
import { type StreakLimit, streakRules, type StreakState, STREAK_FORM } from "./rules/streak.ts";

/** Bound: after `quota` equal outcomes no call passes until another one is reported, or `ttlMs` without a report. */
export const streak = defineAlgorithm<StreakLimit, StreakState>(streakRules, {
  refills: () => false,
  countsUnits: false,
  policy: {
    specOf: (limit, quota) => ({ algorithm: "streak", quota, ttlMs: idleMs(limit) }),
    unit: ({ of = "errors" }) => of,
    reports: ({ of = "errors" }) => of,
    grantFault: "a limit of something that is used, not of outcomes",
  },
  outage: { isUseKnown: false, isCountedLocally: true },
  words: {
    isReached: () => false,
    denial(_limit, about, subject) {
      const advice = about.isOpen ? otherWay(about, subject) : "Finish with what you have";
      return `${rowOf(about.verdict, ofSubject(subject))}. ${advice}.`;
    },
    warning: (_limit, about, subject) => `${rowOf(about.verdict, ofSubject(subject))}. ${otherWay(about, subject)}.`,
    detail: (_limit, { verdict }, scope) => `Blocked: ${rowOf(verdict, scope)}.`,
  },
  wire: { forms: { streak: STREAK_FORM }, numbersOf: ({ quota, ttlMs }) => [STREAK_FORM, quota, ttlMs] },
});

/** Which calls in a row made no progress, and why. */
function rowOf({ unit, quota }: CountedVerdict, of: string): string {
  const calls = quota === 1 ? `the last call${of}` : `the last ${grouped(quota)} calls${of}`;
  return unit === "errors" ? `${calls} failed` : `${calls} had the same result`;
}

/** What may make progress. */
function otherWay({ limit }: About, { text }: Subject): string {
  if (text === null) return "Do something else, or finish with what you have";
  return limit.per.includes("args")
    ? "Do not repeat it: change the arguments, use another tool, or finish with what you have"
    : "Use another tool, or finish with what you have";
}
