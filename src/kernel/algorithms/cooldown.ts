// A pause between two calls: a call passes when its pause has gone by since the last allowed call began.

import { type About, callAgain, goOn, ofSubject, scopeOf, stop, type Subject } from "../phrases.ts";
import { durationInWords } from "../words.ts";
import { isEnd, isInstant } from "./algorithm.ts";
import { defineAlgorithm } from "./define.ts";

export interface CooldownLimit {
  readonly algorithm: "cooldown";
  /** 1 in a policy; 0 or 2^53 - 1 where an instance may admit nothing or everything while the store is unreachable. */
  readonly quota: number;
  readonly pauseMs: number;
}

/** When the last call began (epoch ms). Its own pause ends the state. */
export interface CooldownState {
  readonly kind: "cooldown";
  readonly beganMs: number;
  readonly expiresAtMs: number;
}

const FORM = { code: 9, fields: ["quota", "pause_ms"] };

/**
 * Bound: two allowed calls begin at least `pauseMs` apart, so at most `1 + floor(t / pauseMs)` calls in any `t` ms. Where
 * calls of one bucket have different pauses, the shorter of two neighbours' pauses lies between them.
 */
export const cooldown = defineAlgorithm<CooldownLimit, CooldownState>({
  kind: "cooldown",
  letter: "p",
  queues: true,
  capacity: (limit) => limit.quota,
  used: usedAt,
  freeAfterMs: (limit, state, units, nowMs) =>
    units <= limit.quota - usedAt(limit, state, nowMs) ? 0 : state.beganMs + limit.pauseMs - nowMs,
  // The cost is always 1 (`callPrice`).
  book(limit, state, _cost, nowMs) {
    // A call that is booked late does not shorten the pause of a later one.
    if (state !== undefined && state.beganMs > nowMs) return state;
    return { kind: "cooldown", beganMs: nowMs, expiresAtMs: nowMs + limit.pauseMs };
  },
  // The pause before this one is lost: it was over, or this call (`warn`, `shadow`, `record`) cut it short. So nothing is
  // left: a state that ended at 0.
  takeBack: (_limit, state, alone) => (state.beganMs === alone.beganMs ? { ...state, expiresAtMs: 0 } : state),
  notAhead(_limit, state, nowMs) {
    const aheadMs = state.beganMs - nowMs;
    return aheadMs > 0 ? { ...state, beganMs: nowMs, expiresAtMs: state.expiresAtMs - aheadMs } : state;
  },
  encode: ({ beganMs }) => `p1 ${beganMs}`,
  decode(text, expiresAtMs) {
    const match = /^p1 ([0-9]+)$/.exec(text);
    const beganMs = Number(match?.[1]);
    if (match === null || !isEnd(expiresAtMs) || !isInstant(beganMs) || beganMs > expiresAtMs) return null;
    return { kind: "cooldown", beganMs, expiresAtMs };
  },
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
  wire: { forms: { cooldown: FORM }, numbersOf: ({ quota, pauseMs }) => [FORM, quota, pauseMs] },
});

function usedAt(limit: CooldownLimit, state: CooldownState | undefined, nowMs: number): number {
  return state !== undefined && nowMs < state.beganMs + limit.pauseMs ? 1 : 0;
}

function apart({ pauseMs }: CooldownLimit, { limit }: About, subject: Subject): string {
  return `calls${ofSubject(subject)} must begin at least ${durationInWords(pauseMs, "up")} apart${scopeOf(limit.per)}`;
}
