// Time on the wall since a scope was first seen, whether or not anything was asked meanwhile.

import { type Algorithm, isEnd, isInstant } from "./algorithm.ts";

/** `quota` ms (0 to 2^53 - 1) from the first call on; a scope that was idle for `ttlMs` is first seen anew. */
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

/**
 * Bound: calls pass within `quota` ms of the first, while the scope is not idle for `ttlMs`. Denied calls and peeks do not
 * count as use of the scope.
 */
export const elapsed: Algorithm<ElapsedLimit, ElapsedState> = {
  kind: "elapsed",
  refills: () => false,
  isFirm: false,
  capacity: (limit) => limit.quota,
  used: (_limit, state, nowMs) => (state === undefined ? 0 : Math.max(0, nowMs - state.firstMs)),
  freeAfterMs: (limit, state, units, nowMs) =>
    units <= limit.quota - elapsed.used(limit, state, nowMs) ? 0 : state.expiresAtMs - nowMs,
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
  needsCost: false,
  encode: (state) => `e1 ${state.firstMs}`,
  decode(text, expiresAtMs) {
    const match = /^e1 ([0-9]+)$/.exec(text);
    const firstMs = Number(match?.[1]);
    if (match === null || !isEnd(expiresAtMs) || !isInstant(firstMs) || firstMs > expiresAtMs) return null;
    return { kind: "elapsed", firstMs, expiresAtMs };
  },
};
