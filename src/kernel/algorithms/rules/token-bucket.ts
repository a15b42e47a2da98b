// The rules of a token bucket: a steady rate with a burst, as the generic cell rate algorithm (ITU-T I.371) in whole numbers.

import { find, numberOf, textOf } from "../../lua.ts";
import { type Flow, isEnd, isLevel, type Level, MAX_LEVEL, type Rules } from "./rules.ts";

/**
 * `quota` units a window, at most `burst` at once. With g = gcd(quota, windowMs) a unit raises the level by
 * `levelPerUnit` = windowMs / g, and each ms lowers it by `levelPerMs` = quota / g, so no fraction is ever needed.
 * `burst * levelPerUnit * 2` is below 2^52.
 */
export interface TokenBucketLimit {
  readonly algorithm: "token-bucket";
  readonly burst: number;
  readonly levelPerUnit: number;
  readonly levelPerMs: number;
}

/** The level that a bucket had when it was last booked on. */
export interface TokenBucketState extends Level {
  readonly kind: "token-bucket";
  readonly expiresAtMs: number;
}

/** By how much units raise a level: sums saturate at the largest level. */
function riseOf(limit: TokenBucketLimit, units: number, level: number): number {
  return Math.min(units, Math.floor((MAX_LEVEL - level) / limit.levelPerUnit)) * limit.levelPerUnit;
}

function levelAt(limit: TokenBucketLimit, state: Level | undefined, nowMs: number): number {
  if (state === undefined) return 0;
  // Another quota or window booked it, with units of another size: its units count, rounded up.
  const isSame = state.levelPerUnit === limit.levelPerUnit;
  const level = isSame ? state.level : riseOf(limit, Math.ceil(state.level / state.levelPerUnit), 0);
  // A booking at an earlier instant (`atMs` of a request) finds a base that is later.
  const elapsedMs = Math.max(0, nowMs - state.baseMs);
  // Compared before it is multiplied: a long time times the rate may be past 2^53.
  return elapsedMs >= drainMs(limit, level) ? 0 : level - elapsedMs * limit.levelPerMs;
}

/** How long a level takes to drain, ms. */
export function drainMs(limit: TokenBucketLimit, level: number): number {
  return Math.ceil(level / limit.levelPerMs);
}

function stateOf(baseMs: number, level: number, levelPerUnit: number, expiresAtMs: number): TokenBucketState {
  return { kind: "token-bucket", expiresAtMs, baseMs, level, levelPerUnit };
}

const flow: Flow<TokenBucketLimit, TokenBucketState> = {
  levelOf: ({ baseMs, level, levelPerUnit }) => ({ baseMs, level, levelPerUnit }),

  /**
   * What the units raised the level by, but no more than what is left of all that was booked up to them: the rest has flowed
   * back by itself.
   */
  returnable(limit, state, levelAfter, units, nowMs) {
    // Units of another size: by how much they raised this limit's level is not known.
    if (levelAfter.levelPerUnit !== limit.levelPerUnit || state.levelPerUnit !== limit.levelPerUnit) return 0;
    const atMs = Math.max(nowMs, state.baseMs);
    const left = Math.min(levelAt(limit, levelAfter, atMs), levelAt(limit, state, atMs));
    return Math.min(units * limit.levelPerUnit, left);
  },

  lowered(limit, state, by) {
    // Its end is of the rate that booked it, which may not be the rate now.
    if (by === 0) return state;
    const level = state.level - by;
    return stateOf(state.baseMs, level, state.levelPerUnit, state.baseMs + drainMs(limit, level));
  },

  notAhead(level, state, nowMs) {
    const aheadMs = state === undefined ? 0 : Math.max(0, state.baseMs - nowMs);
    const baseMs = Math.max(0, level.baseMs - aheadMs);
    const { levelPerUnit } = level;
    // It is unknown when it was booked: nothing of it is given back.
    if (baseMs > nowMs) return { baseMs: nowMs, level: 0, levelPerUnit };
    return baseMs === level.baseMs ? level : { baseMs, level: level.level, levelPerUnit };
  },
};

/** How the script gets these limits. */
export const TOKEN_BUCKET_FORM = { code: 4, fields: ["burst", "level_per_unit", "level_per_ms"] };

export const tokenBucketRules: Rules<TokenBucketLimit, TokenBucketState> = {
  kind: "token-bucket",
  letter: "g",
  isFirm: true,
  comesBack: true,
  needsCost: true,
  queues: true,
  capacity: (limit) => limit.burst,
  used: (limit, state, nowMs) => Math.ceil(levelAt(limit, state, nowMs) / limit.levelPerUnit),
  freeAfterMs(limit, state, units, nowMs) {
    const excess = levelAt(limit, state, nowMs) - (limit.burst - units) * limit.levelPerUnit;
    if (excess <= 0) return 0;
    return Math.max(0, state.baseMs - nowMs) + drainMs(limit, excess);
  },
  isStale: undefined,
  book(limit, state, cost, nowMs) {
    const baseMs = Math.max(state === undefined ? 0 : state.baseMs, nowMs);
    const before = levelAt(limit, state, nowMs);
    const level = before + riseOf(limit, cost, before);
    return stateOf(baseMs, level, limit.levelPerUnit, baseMs + drainMs(limit, level));
  },
  scratch: undefined,
  flow,
  takeBack: (limit, state, alone, cost, nowMs) =>
    flow.lowered(limit, state, flow.returnable(limit, state, alone, cost, nowMs)),
  windowEndsAtMs: undefined,
  isInWindow: undefined,
  report: undefined,
  hasSeen: undefined,
  withSeen: undefined,
  notAhead(_limit, state, nowMs) {
    const aheadMs = state.baseMs - nowMs;
    return aheadMs > 0 ? stateOf(nowMs, state.level, state.levelPerUnit, state.expiresAtMs - aheadMs) : state;
  },
  encode: (state) => `g1 ${textOf(state.baseMs)} ${textOf(state.level)} ${textOf(state.levelPerUnit)}`,
  decode(text, expiresAtMs) {
    const [head, , base, height, size] = find(text, "^g1 (%d+) (%d+) ([1-9]%d*)$");
    if (head === undefined || base === undefined || height === undefined || size === undefined) return null;
    const baseMs = numberOf(base);
    const level = numberOf(height);
    const levelPerUnit = numberOf(size);
    if (!isLevel(baseMs, level, levelPerUnit) || !isEnd(expiresAtMs) || baseMs > expiresAtMs) return null;
    return stateOf(baseMs, level, levelPerUnit, expiresAtMs);
  },
  limitOf: (_code, burst, levelPerUnit, levelPerMs) => ({ algorithm: "token-bucket", burst, levelPerUnit, levelPerMs }),
};
