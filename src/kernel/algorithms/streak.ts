// How often in a row the same outcome was reported: errors, or the same result. Calls are judged by it and do not change
// it.

import type { CountedVerdict } from "../decision.ts";
import { type About, ofSubject, type Subject } from "../phrases.ts";
import { idleMs } from "../policy/amounts.ts";
import { grouped } from "../words.ts";
import { isEnd } from "./algorithm.ts";
import { defineAlgorithm } from "./define.ts";

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

const FORM = { code: 8, fields: ["quota", "ttl_ms"] };

/** Bound: after `quota` equal outcomes no call passes until another one is reported, or `ttlMs` without a report. */
export const streak = defineAlgorithm<StreakLimit, StreakState>({
  kind: "streak",
  letter: "k",
  refills: () => false,
  isFirm: false,
  countsUnits: false,
  capacity: (limit) => limit.quota,
  used: (_limit, state) => state?.count ?? 0,
  freeAfterMs: (limit, state, units, nowMs) => (units <= limit.quota - state.count ? 0 : state.expiresAtMs - nowMs),
  book: (_limit, state, _cost, nowMs) => state ?? { kind: "streak", outcome: "-", count: 0, expiresAtMs: nowMs },
  report(limit, state, outcome, nowMs) {
    if (outcome === null) return undefined;
    const count = state?.outcome === outcome ? Math.min(state.count + 1, Number.MAX_SAFE_INTEGER) : 1;
    return { kind: "streak", outcome, count, expiresAtMs: nowMs + limit.ttlMs };
  },
  notAhead: (limit, state, nowMs) =>
    state.expiresAtMs > nowMs + limit.ttlMs ? { ...state, expiresAtMs: nowMs + limit.ttlMs } : state,
  encode: (state) => `k1 ${state.outcome} ${state.count}`,
  decode(text, expiresAtMs) {
    const match = /^k1 ([\w-]{1,64}) ([1-9][0-9]*)$/.exec(text);
    const count = Number(match?.[2]);
    return match !== null && Number.isSafeInteger(count) && isEnd(expiresAtMs)
      ? { kind: "streak", outcome: match[1] ?? "", count, expiresAtMs }
      : null;
  },
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
  wire: { forms: { streak: FORM }, numbersOf: ({ quota, ttlMs }) => [FORM, quota, ttlMs] },
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
