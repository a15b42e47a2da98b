// A token bucket: a steady rate with a burst, as the generic cell rate algorithm (ITU-T I.371) in whole numbers.

import { type Algorithm, type Flow, isEnd, type Level, MAX_INSTANT_MS } from "./algorithm.ts";
import { isLevel } from "./levels.ts";

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

/** What a level saturates at. */
const MAX_LEVEL = MAX_INSTANT_MS;

/** What units raise a level by that stands at `level`. */
function levelOf(limit: TokenBucketLimit, units: number, level: number): number {
  return Math.min(units, Math.floor((MAX_LEVEL - level) / limit.levelPerUnit)) * limit.levelPerUnit;
}

function levelAt(limit: TokenBucketLimit, state: Level | undefined, nowMs: number): number {
  if (state === undefined) return 0;
  const level =
    state.levelPerUnit === limit.levelPerUnit
      ? state.level
      : levelOf(limit, Math.ceil(state.level / state.levelPerUnit), 0);
  const elapsedMs = Math.max(0, nowMs - state.baseMs);
  // Compared before it is multiplied: a long time times the rate may be past 2^53.
  return elapsedMs >= Math.ceil(level / limit.levelPerMs) ? 0 : level - elapsedMs * limit.levelPerMs;
}

const flow: Flow<TokenBucketLimit, TokenBucketState> = {
  levelOf: ({ baseMs, level, levelPerUnit }) => ({ baseMs, level, levelPerUnit }),

  /**
   * What the units raised the level by, but no more than what is left of all that was booked up to them: the rest has flowed
   * back by itself.
   */
  returnable(limit, state, levelAfter, units, nowMs) {
    if (levelAfter.levelPerUnit !== limit.levelPerUnit || state.levelPerUnit !== limit.levelPerUnit) return 0;
    const atMs = Math.max(nowMs, state.baseMs);
    return Math.min(units * limit.levelPerUnit, levelAt(limit, levelAfter, atMs), levelAt(limit, state, atMs));
  },

  lowered(limit, state, by) {
    // Its end is of the rate that booked it, which may not be the rate now.
    if (by === 0) return state;
    const level = state.level - by;
    return { ...state, level, expiresAtMs: state.baseMs + Math.ceil(level / limit.levelPerMs) };
  },

  notAhead(level, state, nowMs) {
    const aheadMs = state === undefined ? 0 : Math.max(0, state.baseMs - nowMs);
    const baseMs = Math.max(0, level.baseMs - aheadMs);
    // It is unknown when it was booked: nothing of it is given back.
    if (baseMs > nowMs) return { ...level, baseMs: nowMs, level: 0 };
    return baseMs === level.baseMs ? level : { ...level, baseMs };
  },
};

/** Bound: at most `burst + floor(t * quota / windowMs)` units in any `t` ms. */
export const tokenBucket: Algorithm<TokenBucketLimit, TokenBucketState> = {
  kind: "token-bucket",
  refills: () => true,
  isFirm: true,
  capacity: (limit) => limit.burst,
  used: (limit, state, nowMs) => Math.ceil(levelAt(limit, state, nowMs) / limit.levelPerUnit),
  freeAfterMs(limit, state, units, nowMs) {
    const excess = levelAt(limit, state, nowMs) - (limit.burst - units) * limit.levelPerUnit;
    if (excess <= 0) return 0;
    return Math.max(0, state.baseMs - nowMs) + Math.ceil(excess / limit.levelPerMs);
  },
  book(limit, state, cost, nowMs) {
    const baseMs = Math.max(state?.baseMs ?? 0, nowMs);
    const before = levelAt(limit, state, nowMs);
    const level = before + levelOf(limit, cost, before);
    const expiresAtMs = baseMs + Math.ceil(level / limit.levelPerMs);
    return { kind: "token-bucket", expiresAtMs, baseMs, level, levelPerUnit: limit.levelPerUnit };
  },
  notAhead(_limit, state, nowMs) {
    const aheadMs = state.baseMs - nowMs;
    return aheadMs > 0 ? { ...state, baseMs: nowMs, expiresAtMs: state.expiresAtMs - aheadMs } : state;
  },
  needsCost: true,
  takeBack: (limit, state, alone, cost, nowMs) =>
    flow.lowered(limit, state, flow.returnable(limit, state, alone, cost, nowMs)),
  flow,
  encode: (state) => `g1 ${state.baseMs} ${state.level} ${state.levelPerUnit}`,
  decode(text, expiresAtMs) {
    const match = /^g1 ([0-9]+) ([0-9]+) ([1-9][0-9]*)$/.exec(text);
    if (match === null) return null;
    const level = { baseMs: Number(match[1]), level: Number(match[2]), levelPerUnit: Number(match[3]) };
    if (!isLevel(level) || !isEnd(expiresAtMs) || level.baseMs > expiresAtMs) return null;
    return { kind: "token-bucket", expiresAtMs, ...level };
  },
};
