// A pause between two calls: a call passes when its pause has gone by since the last allowed call began.

import { type About, callAgain, goOn, ofSubject, scopeOf, stop, type Subject } from "../phrases.ts";
import { durationInWords } from "../words.ts";
import { defineAlgorithm } from "./define.ts";
import { type CooldownLimit, cooldownRules, type CooldownState, COOLDOWN_FORM } from "./rules/cooldown.ts";

/**
 * Bound: two allowed calls begin at least `pauseMs` apart, so at most `1 + floor(t / pauseMs)` calls in any `t` ms. Where
 * calls of one bucket have different pauses, the shorter of two neighbours' pauses lies between them.
 */
export const cooldown = defineAlgorithm<CooldownLimit, CooldownState>(cooldownRules, {
  policy: {
    amountKey: "pause",
    specOf: (_limit, pauseMs) => ({ algorithm: "cooldown", quota: 1, pauseMs }),
    quotaOf: () => 1,
    unit: () => "calls",
    callPrice: 1,
    windowMs: (_limit, pauseMs) => pauseMs,
    grantFault: "a limit with a quota: a cooldown has only a pause, which reset ends",
  },
  outage: {
    endsTogether: true,
    isDivided: false,
    slowed: (limit, instances) => ({ ...limit, pauseMs: limit.pauseMs * instances }),
    lifeMs: (limit) => limit.pauseMs,
    bookedAtMs: (limit, _seenAtMs, endsAtMs) => endsAtMs - limit.pauseMs,
    // No `sliceOf`: only the last call counts, whatever its pause.
  },
  words: {
    denial(limit, about, subject) {
      const { retryAfterMs } = about.verdict;
      if (retryAfterMs === null) return `${apart(limit, about, subject)}. ${stop(about, subject)}`;
      const wait = durationInWords(retryAfterMs, "up");
      return `${apart(limit, about, subject)}. Wait ${wait} before the next call${ofSubject(subject)}, or ${goOn(about, subject)}`;
    },
    warning: (limit, about, subject) =>
      `${apart(limit, about, subject)}. This call came too early; wait before you ${callAgain(subject)}.`,
    near: (_limit, { verdict }, subject) =>
      `Wait ${durationInWords(verdict.resetAfterMs, "up")} before the next call${ofSubject(subject)}.`,
  },
  wire: { forms: { cooldown: COOLDOWN_FORM }, numbersOf: ({ quota, pauseMs }) => [COOLDOWN_FORM, quota, pauseMs] },
});

function apart({ pauseMs }: CooldownLimit, { limit }: About, subject: Subject): string {
  return `calls${ofSubject(subject)} must begin at least ${durationInWords(pauseMs, "up")} apart${scopeOf(limit.per)}`;
}
