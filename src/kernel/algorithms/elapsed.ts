// Time on the wall clock since a scope was first seen, whether or not it made calls meanwhile.

import { type About, capital, forSubject, scopeOf, stop, type Subject } from "../phrases.ts";
import { idleMs } from "../policy/amounts.ts";
import { durationInWords } from "../words.ts";
import { defineAlgorithm } from "./define.ts";
import { type ElapsedLimit, elapsedRules, type ElapsedState, ELAPSED_FORM } from "./rules/elapsed.ts";

/**
 * Bound: calls pass within `quota` ms of the first, while the scope is not idle for `ttlMs`. Denied calls and peeks do not
 * count as use of the scope.
 */
export const elapsed = defineAlgorithm<ElapsedLimit, ElapsedState>(elapsedRules, {
  refills: () => false,
  countsUnits: false,
  policy: {
    specOf: (limit, quota) => ({ algorithm: "elapsed", quota, ttlMs: idleMs(limit) }),
    unit: () => "ms",
    noticeAt: 0.8,
  },
  outage: { isUseKnown: false },
  words: {
    isReached: () => true,
    denial: (_limit, about, subject) => `${timeIsOver(about, subject)}. ${stop(about, subject)}`,
    warning: (_limit, about, subject) => `${timeIsOver(about, subject)}. Finish with what you have.`,
    near(_limit, { limit, verdict }, subject) {
      const time = durationInWords(verdict.remaining, "down");
      const some = /^1 \S+$|^less/.test(time) ? `${time} is` : `${time} are`;
      const whole = durationInWords(verdict.quota, "up");
      return `${capital(some)} left of ${whole}${forSubject(subject)}${scopeOf(limit.per)}. Finish in that time.`;
    },
    detail: (_limit, { verdict }, scope) => `Limit reached: ${durationInWords(verdict.quota, "up")}${scope}.`,
  },
  wire: { forms: { elapsed: ELAPSED_FORM }, numbersOf: ({ quota, ttlMs }) => [ELAPSED_FORM, quota, ttlMs] },
});

function timeIsOver({ limit, verdict }: About, subject: Subject): string {
  const time = durationInWords(verdict.quota, "up");
  return `the time${forSubject(subject)}${scopeOf(limit.per)} is over (${time} from the first call)`;
}
