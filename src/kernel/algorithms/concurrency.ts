// Units in use at one time. Nothing is ever spent: everything is held (../bucket/reservations.ts), and free when its hold ends.

import { type About, goOn, ofSubject, scopeOf } from "../phrases.ts";
import { amount, durationInWords, grouped } from "../words.ts";
import { defineAlgorithm } from "./define.ts";
import {
  type ConcurrencyLimit,
  concurrencyRules,
  type ConcurrencyState,
  CONCURRENCY_FORM,
} from "./rules/concurrency.ts";

/** The largest quota of a policy: each unit in use is a hold, and a bucket keeps no more of them. */
const MAX_IN_USE = 1_000;
const FAULTS = { quota: `at most ${MAX_IN_USE} units in use at once` };

/**
 * Bound: at most `quota` units in live holds at any instant. A holder that goes on after its hold has expired, because it
 * did not extend the hold, is at work in addition.
 */
export const concurrency = defineAlgorithm<ConcurrencyLimit, ConcurrencyState>(concurrencyRules, {
  isHeldOnly: true,
  policy: {
    specOf: (_limit, quota) => ({ algorithm: "concurrency", quota }),
    isUnlimitedCounted: false,
    hasLargestQuota: true,
    quotaFault: (_spec, units) => (units <= MAX_IN_USE ? null : FAULTS.quota),
  },
  outage: { isUseKnown: false },
  words: {
    period: () => " at once",
    retry: " at the latest",
    denial(_limit, about, subject) {
      const { limit, verdict, total } = about;
      const { unit, remaining, retryAfterMs } = verdict;
      if (remaining !== 0 || retryAfterMs === null || about.isBorrowed) return null;
      const running = `${amount(total, unit)}${ofSubject(subject)} ${total === 1 ? "is" : "are"} ${inUse(unit)}${scopeOf(limit.per)}, the maximum`;
      const wait = durationInWords(retryAfterMs, "up");
      const then = `Try again when one ${unit === "calls" ? "has finished" : "is free"}, at most ${wait} from now`;
      return `${running}. ${then}, or ${goOn(about, subject)}`;
    },
    warning: (_limit, about, subject) =>
      usedTogether(`more than ${amount(about.total, about.verdict.unit)}${ofSubject(subject)} were`, about),
    // Said in the past tense: the call may have ended when the model reads this.
    near(_limit, about, subject) {
      const { total, verdict } = about;
      const count = total - verdict.remaining;
      const some = `${grouped(count)} of at most ${amount(total, verdict.unit)}${ofSubject(subject)}`;
      return usedTogether(`${some} ${count === 1 ? "was" : "were"}`, about);
    },
  },
  wire: { forms: { concurrency: CONCURRENCY_FORM }, numbersOf: ({ quota }) => [CONCURRENCY_FORM, quota] },
});

function usedTogether(some: string, { limit, verdict: { unit } }: About): string {
  return `${some} ${inUse(unit)} at once${scopeOf(limit.per)} when this call began. Make fewer calls at the same time.`;
}

/** What units are while a call has them. */
function inUse(unit: string): string {
  return unit === "calls" ? "running" : "in use";
}
