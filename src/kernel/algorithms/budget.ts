// Units for the life of a scope, such as a turn or a session, whose end nobody announces.

import type { Algorithm } from "./algorithm.ts";
import { type CounterState, counter, endedBy, withSpent } from "./counter.ts";

/** `quota` units (0 to 2^53 - 1) until the scope was idle, or alive, for `ttlMs`. */
export interface BudgetLimit {
  readonly algorithm: "budget";
  readonly quota: number;
  readonly ttlMs: number;
  /** Whether each booked charge restarts the ttl (`last`), or the first one starts it for good (`first`). */
  readonly ttlFrom: "first" | "last";
}

/**
 * Bound: a scope that lives `t` ms gets at most `quota * (1 + floor(t / ttlMs))` units. Denied calls and peeks never
 * restart the ttl.
 */
export const budget: Algorithm<BudgetLimit, CounterState> = {
  ...counter,
  refills: ({ ttlFrom }) => ttlFrom === "first",
  isFirm: true,
  book(limit, state, cost, nowMs) {
    if (state === undefined) return { kind: "counter", spent: cost, expiresAtMs: nowMs + limit.ttlMs };
    const expiresAtMs =
      limit.ttlFrom === "first" ? state.expiresAtMs : Math.max(state.expiresAtMs, nowMs + limit.ttlMs);
    return withSpent(state, cost, expiresAtMs);
  },
  isInWindow: ({ ttlFrom, ttlMs }, state, atMs) =>
    ttlFrom === "last" || state === undefined || atMs >= state.expiresAtMs - ttlMs,
  notAhead: (limit, state, nowMs) => endedBy(state, nowMs + limit.ttlMs),
};
