// The rules of a cooldown: a call passes when its pause has gone by since the last allowed call began.

import { textOf } from "../../lua.ts";
import { instantIn, type Rules } from "./rules.ts";

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

/** How the script gets these limits. */
export const COOLDOWN_FORM = { code: 9, fields: ["quota", "pause_ms"] };

export const cooldownRules: Rules<CooldownLimit, CooldownState> = {
  kind: "cooldown",
  letter: "p",
  isFirm: true,
  comesBack: true,
  needsCost: true,
  queues: true,
  capacity: (limit) => limit.quota,
  used: usedAt,
  freeAfterMs: (limit, state, units, nowMs) =>
    units <= limit.quota - usedAt(limit, state, nowMs) ? 0 : state.beganMs + limit.pauseMs - nowMs,
  isStale: undefined,
  // The cost is always 1 (`callPrice`).
  book(limit, state, _cost, nowMs) {
    // A call that is booked late does not shorten the pause of a later one.
    if (state !== undefined && state.beganMs > nowMs) return state;
    return { kind: "cooldown", beganMs: nowMs, expiresAtMs: nowMs + limit.pauseMs };
  },
  scratch: undefined,
  flow: undefined,
  // The pause before this one is lost: it was over, or this call (`warn`, `shadow`, `record`) cut it short. So nothing is
  // left: a state that ended at 0.
  takeBack: (_limit, state, alone) =>
    state.beganMs === alone.beganMs ? { kind: "cooldown", beganMs: state.beganMs, expiresAtMs: 0 } : state,
  windowEndsAtMs: undefined,
  isInWindow: undefined,
  report: undefined,
  hasSeen: undefined,
  withSeen: undefined,
  notAhead(_limit, state, nowMs) {
    const aheadMs = state.beganMs - nowMs;
    return aheadMs > 0 ? { kind: "cooldown", beganMs: nowMs, expiresAtMs: state.expiresAtMs - aheadMs } : state;
  },
  encode: (state) => `p1 ${textOf(state.beganMs)}`,
  decode(text, expiresAtMs) {
    const beganMs = instantIn(text, "^p1 (%d+)$", expiresAtMs);
    return beganMs === null ? null : { kind: "cooldown", beganMs, expiresAtMs };
  },
  limitOf: (_code, quota, pauseMs) => ({ algorithm: "cooldown", quota, pauseMs }),
};

function usedAt(limit: CooldownLimit, state: CooldownState | undefined, nowMs: number): number {
  return state !== undefined && nowMs < state.beganMs + limit.pauseMs ? 1 : 0;
}
