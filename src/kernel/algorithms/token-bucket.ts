// A token bucket: a steady rate with a burst, as the generic cell rate algorithm (ITU-T I.371) in whole numbers.

import { toMs, unitsOf } from "../policy/amounts.ts";
import { amount, grouped, isMoney } from "../words.ts";
import { defineAlgorithm } from "./define.ts";
import {
  drainMs,
  type TokenBucketLimit,
  type TokenBucketState,
  tokenBucketRules,
  TOKEN_BUCKET_FORM,
} from "./rules/token-bucket.ts";

export type { TokenBucketLimit, TokenBucketState };

// What `isExact` demands, in words.
const FAULTS = {
  quota: "a quota with 2 * burst * window / gcd(quota, window in ms) below 2^52",
  max: "a max with 2 * burst * window in ms below 2^52, so that each quota up to it is exact",
};

/** Bound: at most `burst + floor(t * quota / windowMs)` units in any `t` ms. */
export const tokenBucket = defineAlgorithm<TokenBucketLimit, TokenBucketState>(tokenBucketRules, {
  overwrite(target, source) {
    if (target.levelPerUnit !== source.levelPerUnit) return false;
    const own: { level: number; baseMs: number; expiresAtMs: number } = target;
    own.level = source.level;
    own.baseMs = source.baseMs;
    own.expiresAtMs = source.expiresAtMs;
    return true;
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
    forms: { token_bucket: TOKEN_BUCKET_FORM },
    numbersOf: ({ burst, levelPerUnit, levelPerMs }) => [TOKEN_BUCKET_FORM, burst, levelPerUnit, levelPerMs],
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
