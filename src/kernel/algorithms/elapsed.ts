// Time on the wall clock since a scope was first seen, whether or not it made calls meanwhile.

import { type About, capital, forSubject, scopeOf, stop, type Subject } from "../phrases.ts";
import { idleMs } from "../policy/amounts.ts";
import { durationInWords } from "../words.ts";
import { isEnd, isInstant } from "./algorithm.ts";
import { defineAlgorithm } from "./define.ts";

/** `quota` ms (0 to 2^53 - 1) from the first call on; a scope that was idle for `ttlMs` begins again. */
export interface ElapsedLimit {
  readonly algorithm: "elapsed";
  readonly quota: number;
  readonly ttlMs: number;
}

/** When the scope was first seen, epoch ms. */
export interface ElapsedState {
  readonly kind: "elapsed";
  readonly firstMs: number;
  readonly expiresAtMs: number;
}

const FORM = { code: 7, fields: ["quota_ms", "ttl_ms"] };

/**
 * Bound: calls pass within `quota` ms of the first, while the scope is not idle for `ttlMs`. Denied calls and peeks do not
 * count as use of the scope.
 */
export const elapsed = defineAlgorithm<ElapsedLimit, ElapsedState>({
  kind: "elapsed",
  letter: "e",
  refills: () => false,
  isFirm: false,
  comesBack: false,
  countsUnits: false,
  needsCost: false,
  capacity: (limit) => limit.quota,
  used: usedAt,
  freeAfterMs: (limit, state, units, nowMs) =>
    units <= limit.quota - usedAt(limit, state, nowMs) ? 0 : state.expiresAtMs - nowMs,
  book(limit, state, _cost, nowMs) {
    const expiresAtMs = Math.max(state?.expiresAtMs ?? 0, nowMs + limit.ttlMs);
    return { kind: "elapsed", firstMs: state?.firstMs ?? nowMs, expiresAtMs };
  },
  notAhead(limit, state, nowMs) {
    const firstMs = Math.min(state.firstMs, nowMs);
    const expiresAtMs = Math.min(state.expiresAtMs, nowMs + limit.ttlMs);
    if (firstMs === state.firstMs && expiresAtMs === state.expiresAtMs) return state;
    return { kind: "elapsed", firstMs, expiresAtMs };
  },
  encode: (state) => `e1 ${state.firstMs}`,
  decode(text, expiresAtMs) {
    const match = /^e1 ([0-9]+)$/.exec(text);
    const firstMs = Number(match?.[1]);
    if (match === null || !isEnd(expiresAtMs) || !isInstant(firstMs) || firstMs > expiresAtMs) return null;
    return { kind: "elapsed", firstMs, expiresAtMs };
  },
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
  wire: { forms: { elapsed: FORM }, numbersOf: ({ quota, ttlMs }) => [FORM, quota, ttlMs] },
});

function usedAt(_limit: ElapsedLimit, state: ElapsedState | undefined, nowMs: number): number {
  return state === undefined ? 0 : Math.max(0, nowMs - state.firstMs);
}

function timeIsOver({ limit, verdict }: About, subject: Subject): string {
  const time = durationInWords(verdict.quota, "up");
  return `the time${forSubject(subject)}${scopeOf(limit.per)} is over (${time} from the first call)`;
}
