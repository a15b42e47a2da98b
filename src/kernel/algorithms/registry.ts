// All algorithms: the one of a limit, of a state, and of a state's text. A new algorithm has its file and its lines here.

import type { Algorithm } from "./algorithm.ts";
import { type ConcurrencyLimit, type ConcurrencyState, concurrency } from "./concurrency.ts";
import { type CooldownLimit, type CooldownState, cooldown } from "./cooldown.ts";
import { type CounterState, MAX_SEEN, VALUE_LENGTH } from "./counter.ts";
import { type ElapsedLimit, type ElapsedState, elapsed } from "./elapsed.ts";
import { type FixedWindowLimit, fixedWindow } from "./fixed-window.ts";
import { type TokenBucketLimit, type TokenBucketState, tokenBucket } from "./token-bucket.ts";
import { type BudgetLimit, budget } from "./budget.ts";
import { SUB_WINDOWS, type SlidingWindowLimit, type SlidingWindowState, slidingWindow } from "./sliding-window.ts";
import { type StreakLimit, type StreakState, streak } from "./streak.ts";

/** A limit as an algorithm takes it: numbers alone, resolved for one call. */
export type LimitSpec =
  | BudgetLimit
  | FixedWindowLimit
  | SlidingWindowLimit
  | TokenBucketLimit
  | ConcurrencyLimit
  | ElapsedLimit
  | StreakLimit
  | CooldownLimit;

/** What was spent in one bucket, as its algorithm counts it. */
export type SpentState =
  | CounterState
  | SlidingWindowState
  | TokenBucketState
  | ConcurrencyState
  | ElapsedState
  | StreakState
  | CooldownState;

type AnyAlgorithm = Algorithm<LimitSpec, SpentState>;

/** All algorithms, by the name that a policy gives them. */
export const ALGORITHMS = {
  budget,
  "fixed-window": fixedWindow,
  "token-bucket": tokenBucket,
  "sliding-window": slidingWindow,
  concurrency,
  elapsed,
  streak,
  cooldown,
};

/** What limits that count values are bounded by, and how a sliding window is divided: Redis is told so. */
export { MAX_SEEN, SUB_WINDOWS, VALUE_LENGTH };

export type AlgorithmName = keyof typeof ALGORITHMS;

/** The algorithm of a limit. It must be given only its own limits and, by `kind`, its own states. */
export function algorithmOf(limit: LimitSpec): AnyAlgorithm {
  return algorithmNamed(limit.algorithm);
}

/** The algorithm of a name. */
export function algorithmNamed(name: AlgorithmName): AnyAlgorithm {
  return byName(name) as unknown as AnyAlgorithm;
}

// Compared one by one, the most frequent first: faster than a look-up by name, and every step asks several times.
function byName(name: AlgorithmName) {
  switch (name) {
    case "budget":
      return budget;
    case "fixed-window":
      return fixedWindow;
    case "token-bucket":
      return tokenBucket;
    default:
      return ALGORITHMS[name];
  }
}

/** The algorithm that a limit without one has: the only one that its keys fit. */
export function impliedAlgorithm(limit: Readonly<Record<string, unknown>>): AlgorithmName {
  const names = Object.keys(ALGORITHMS) as AlgorithmName[];
  return names.find((name) => ALGORITHMS[name].policy.isImplied(limit)) ?? "budget";
}

const BY_KIND = new Map<string, AnyAlgorithm>(
  Object.values(ALGORITHMS).map((each) => [each.kind, each as unknown as AnyAlgorithm]),
);
const BY_LETTER = Object.fromEntries(Object.values(ALGORITHMS).map((each) => [each.letter, each]));

/** The algorithm whose states are of a kind, or one of several. Other kinds are of no algorithm. */
export function algorithmOfKind(kind: SpentState["kind"]): AnyAlgorithm;
export function algorithmOfKind(kind: string): AnyAlgorithm | undefined;
export function algorithmOfKind(kind: string): AnyAlgorithm | undefined {
  // The most frequent ones first: faster than a look-up.
  if (kind === budget.kind) return budget as unknown as AnyAlgorithm;
  return kind === tokenBucket.kind ? (tokenBucket as unknown as AnyAlgorithm) : BY_KIND.get(kind);
}

/** The letter that stands for a kind of states in the text of a bucket with entries. */
export function tagOfKind(kind: SpentState["kind"]): string {
  return algorithmOfKind(kind).letter;
}

/** The kind that a letter stands for; `undefined` for none. */
export function kindOfTag(tag: string): SpentState["kind"] | undefined {
  return Object.hasOwn(BY_LETTER, tag) ? BY_LETTER[tag]?.kind : undefined;
}

/** Whether buckets with states of a kind flow. */
export function flowsOf(kind: SpentState["kind"]): boolean {
  return algorithmOfKind(kind).flow !== undefined;
}

/** A state as text: a plain integer, or `<letter><version> <numbers>`. */
export function encodeSpent(state: SpentState): string {
  return algorithmOfKind(state.kind).encode(state);
}

/** The state that `encodeSpent` wrote, or `null` when the text is damaged. */
export function decodeSpent(text: string, expiresAtMs: number): SpentState | null {
  const letter = text.charAt(0);
  const algorithm = Object.hasOwn(BY_LETTER, letter) ? BY_LETTER[letter] : budget;
  return algorithm?.decode(text, expiresAtMs) ?? null;
}

/** A limit of units in use, for what the project itself counts so. */
export function inUseLimit(quota: number): LimitSpec {
  return { algorithm: "concurrency", quota };
}
