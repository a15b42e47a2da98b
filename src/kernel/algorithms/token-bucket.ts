// A token bucket: a steady rate with a burst, as the generic cell rate algorithm (ITU-T I.371) in whole numbers.

import { toMs, unitsOf } from "../policy/amounts.ts";
import { amount, grouped, isMoney } from "../words.ts";
import { type Flow, isEnd, isLevel, type Level, MAX_LEVEL } from "./algorithm.ts";
import { defineAlgorithm } from "./define.ts";

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

// What `isExact` demands, in words.
const FAULTS = {
  quota: "a quota with 2 * burst * window / gcd(quota, window in ms) below 2^52",
  max: "a max with 2 * burst * window in ms below 2^52, so that each quota up to it is exact",
};

const FORM = { code: 4, fields: ["burst", "level_per_unit", "level_per_ms"] };

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
function drainMs({ levelPerMs }: TokenBucketLimit, level: number): number {
  return Math.ceil(level / levelPerMs);
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
    return Math.min(units * limit.levelPerUnit, levelAt(limit, levelAfter, atMs), levelAt(limit, state, atMs));
  },

  lowered(limit, state, by) {
    // Its end is of the rate that booked it, which may not be the rate now.
    if (by === 0) return state;
    const level = state.level - by;
    return { ...state, level, expiresAtMs: state.baseMs + drainMs(limit, level) };
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
export const tokenBucket = defineAlgorithm<TokenBucketLimit, TokenBucketState>({
  kind: "token-bucket",
  letter: "g",
  queues: true,
  flow,
  capacity: (limit) => limit.burst,
  used: (limit, state, nowMs) => Math.ceil(levelAt(limit, state, nowMs) / limit.levelPerUnit),
  freeAfterMs(limit, state, units, nowMs) {
    const excess = levelAt(limit, state, nowMs) - (limit.burst - units) * limit.levelPerUnit;
    if (excess <= 0) return 0;
    return Math.max(0, state.baseMs - nowMs) + drainMs(limit, excess);
  },
  book(limit, state, cost, nowMs) {
    const baseMs = Math.max(state?.baseMs ?? 0, nowMs);
    const before = levelAt(limit, state, nowMs);
    const level = before + riseOf(limit, cost, before);
    const expiresAtMs = baseMs + drainMs(limit, level);
    return { kind: "token-bucket", expiresAtMs, baseMs, level, levelPerUnit: limit.levelPerUnit };
  },
  takeBack: (limit, state, alone, cost, nowMs) =>
    flow.lowered(limit, state, flow.returnable(limit, state, alone, cost, nowMs)),
  notAhead(_limit, state, nowMs) {
    const aheadMs = state.baseMs - nowMs;
    return aheadMs > 0 ? { ...state, baseMs: nowMs, expiresAtMs: state.expiresAtMs - aheadMs } : state;
  },
  overwrite(target, source) {
    if (target.levelPerUnit !== source.levelPerUnit) return false;
    const own: { level: number; baseMs: number; expiresAtMs: number } = target;
    own.level = source.level;
    own.baseMs = source.baseMs;
    own.expiresAtMs = source.expiresAtMs;
    return true;
  },
  encode: (state) => `g1 ${state.baseMs} ${state.level} ${state.levelPerUnit}`,
  decode(text, expiresAtMs) {
    const match = /^g1 ([0-9]+) ([0-9]+) ([1-9][0-9]*)$/.exec(text);
    if (match === null) return null;
    const level = { baseMs: Number(match[1]), level: Number(match[2]), levelPerUnit: Number(match[3]) };
    if (!isLevel(level) || !isEnd(expiresAtMs) || level.baseMs > expiresAtMs) return null;
    return { kind: "token-bucket", expiresAtMs, ...level };
  },
  policy: {
    specOf: (limit, quota, burst) => specOf(quota, toMs(limit.window), unitsOf(burst ?? limit.burst ?? quota)),
    isImplied: ({ burst }) => burst !== undefined,
    windowMs: ({ window }) => toMs(window),
    // Nothing is counted in an unlimited bucket. It needs numbers, though: those of the fastest rate that is exact.
    isUnlimitedCounted: false,
    unlimitedSpec: { algorithm: "token-bucket", burst: 2 ** 51 - 1, levelPerUnit: 1, levelPerMs: 2 ** 51 - 1 },
    hasLargestQuota: true,
    quotaFault: (spec) => (isExact(spec) ? null : FAULTS.quota),
    // A quota of 1 shares no factor with the window, so its units are the largest.
    claimFault: ({ window, burst }, max) =>
      isExact(specOf(1, toMs(window), unitsOf(burst ?? max))) ? null : FAULTS.max,
  },
  outage: {
    hasRate: true,
    flowingLast(limit, state, endsAtMs) {
      // Rounded down, so that nothing flows back too early.
      const baseMs = endsAtMs - Math.floor(state.level / limit.levelPerMs);
      return baseMs <= state.baseMs ? state : { ...state, baseMs, expiresAtMs: baseMs + drainMs(limit, state.level) };
    },
    flowsFromMs: ({ baseMs }) => baseMs,
    slowed: (limit, instances) => ({ ...limit, levelPerUnit: limit.levelPerUnit * instances }),
    withCapacity: (limit, burst) => ({ ...limit, burst }),
    lifeMs: ({ burst, levelPerUnit, levelPerMs }) => Math.ceil((burst * levelPerUnit) / levelPerMs),
  },
  words: {
    burst: ({ burst }, { verdict: { unit, quota } }) =>
      burst === quota ? "" : `, at most ${isMoney(unit) ? amount(burst, unit) : grouped(burst)} at once`,
  },
  wire: {
    forms: { token_bucket: FORM },
    numbersOf: ({ burst, levelPerUnit, levelPerMs }) => [FORM, burst, levelPerUnit, levelPerMs],
    // The script's `rise_of` saturates as `riseOf` does.
    isFast: () => true,
  },
});

/** A full bucket takes half of the levels, so units that are booked past the burst have the other half before they saturate. */
function isExact({ burst, levelPerUnit }: TokenBucketLimit): boolean {
  return 2 * burst * levelPerUnit < 2 ** 52;
}

function specOf(quota: number, windowMs: number, burst: number): TokenBucketLimit {
  // Nothing may ever pass, whatever the burst. Use that is still recorded drains as slowly as a rate can, so that a quota
  // of 0 for a while forgets no use.
  if (quota === 0) return { algorithm: "token-bucket", burst: 0, levelPerUnit: windowMs, levelPerMs: 1 };
  const divisor = greatestCommonDivisor(quota, windowMs);
  return { algorithm: "token-bucket", burst, levelPerUnit: windowMs / divisor, levelPerMs: quota / divisor };
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
