// The rules of slots: units in use at one time. Nothing is ever spent: everything is held, and free when its hold ends.

import type { Rules } from "./rules.ts";

/** At most `quota` units held at once: 0 to 1,000 in a policy, more where borrowed units are counted. */
export interface ConcurrencyLimit {
  readonly algorithm: "concurrency";
  readonly quota: number;
}

/** Never a live state: a bucket has holds, or nothing. */
export interface ConcurrencyState {
  readonly kind: "concurrency";
  readonly expiresAtMs: number;
}

/** How the script gets these limits. */
export const CONCURRENCY_FORM = { code: 5, fields: ["quota"] };

export const concurrencyRules: Rules<ConcurrencyLimit, ConcurrencyState> = {
  kind: "concurrency",
  letter: "n",
  isFirm: false,
  comesBack: true,
  needsCost: true,
  queues: false,
  capacity: (limit) => limit.quota,
  used: () => 0,
  freeAfterMs: () => 0,
  isStale: undefined,
  book: (_limit, _state, _cost, nowMs) => ({ kind: "concurrency", expiresAtMs: nowMs }),
  scratch: undefined,
  flow: undefined,
  takeBack: undefined,
  windowEndsAtMs: undefined,
  isInWindow: undefined,
  report: undefined,
  hasSeen: undefined,
  withSeen: undefined,
  notAhead: (_limit, state) => state,
  encode: () => "",
  decode: () => null,
  limitOf: (_code, quota) => ({ algorithm: "concurrency", quota }),
};
