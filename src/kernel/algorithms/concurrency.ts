// Units in use at one time. Nothing is ever spent: everything is held (../bucket/reservations.ts), and free when its hold ends.

import type { Algorithm, ExpiringState } from "./algorithm.ts";

/** At most `quota` units held at once: 0 to 1,000 in a policy, more where borrowed units are counted. */
export interface ConcurrencyLimit {
  readonly algorithm: "concurrency";
  readonly quota: number;
}

/** Never a live one: a bucket has holds, or nothing. */
export interface ConcurrencyState extends ExpiringState {
  readonly kind: "concurrency";
}

/**
 * Bound: at most `quota` units in live holds at any instant. A holder that goes on after its hold has expired, because it
 * did not extend it, is one more at work.
 */
export const concurrency: Algorithm<ConcurrencyLimit, ConcurrencyState> = {
  kind: "concurrency",
  refills: () => true,
  isFirm: false,
  capacity: (limit) => limit.quota,
  used: () => 0,
  freeAfterMs: () => 0,
  book: (_limit, _state, _cost, nowMs) => ({ kind: "concurrency", expiresAtMs: nowMs }),
  notAhead: (_limit, state) => state,
  needsCost: true,
  encode: () => "",
  decode: () => null,
};
