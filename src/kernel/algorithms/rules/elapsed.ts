// The rules of elapsed time: time on the wall clock since a scope was first seen, whether or not it made calls meanwhile.

import { textOf } from "../../lua.ts";
import { instantIn, type Rules } from "./rules.ts";

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

/** How the script gets these limits. */
export const ELAPSED_FORM = { code: 7, fields: ["quota_ms", "ttl_ms"] };

export const elapsedRules: Rules<ElapsedLimit, ElapsedState> = {
  kind: "elapsed",
  letter: "e",
  isFirm: false,
  comesBack: false,
  needsCost: false,
  queues: false,
  capacity: (limit) => limit.quota,
  used: usedAt,
  freeAfterMs: (limit, state, units, nowMs) =>
    units <= limit.quota - usedAt(limit, state, nowMs) ? 0 : state.expiresAtMs - nowMs,
  isStale: undefined,
  book(limit, state, _cost, nowMs) {
    const endMs = Math.max(state === undefined ? 0 : state.expiresAtMs, nowMs + limit.ttlMs);
    return { kind: "elapsed", firstMs: state === undefined ? nowMs : state.firstMs, expiresAtMs: endMs };
  },
  scratch: undefined,
  flow: undefined,
  takeBack: undefined,
  windowEndsAtMs: undefined,
  isInWindow: undefined,
  report: undefined,
  hasSeen: undefined,
  withSeen: undefined,
  notAhead(limit, state, nowMs) {
    const firstMs = Math.min(state.firstMs, nowMs);
    const expiresAtMs = Math.min(state.expiresAtMs, nowMs + limit.ttlMs);
    if (firstMs === state.firstMs && expiresAtMs === state.expiresAtMs) return state;
    return { kind: "elapsed", firstMs, expiresAtMs };
  },
  encode: (state) => `e1 ${textOf(state.firstMs)}`,
  decode(text, expiresAtMs) {
    const firstMs = instantIn(text, "^e1 (%d+)$", expiresAtMs);
    return firstMs === null ? null : { kind: "elapsed", firstMs, expiresAtMs };
  },
  limitOf: (_code, quota, ttlMs) => ({ algorithm: "elapsed", quota, ttlMs }),
};

function usedAt(_limit: ElapsedLimit, state: ElapsedState | undefined, nowMs: number): number {
  return state === undefined ? 0 : Math.max(0, nowMs - state.firstMs);
}
