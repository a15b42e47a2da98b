// Which algorithm judges which limit, and which one reads which text of what is spent.

import type { Algorithm } from "./algorithm.ts";
import { type ConcurrencyLimit, type ConcurrencyState, concurrency } from "./concurrency.ts";
import type { CounterState } from "./counter.ts";
import { type ElapsedLimit, type ElapsedState, elapsed } from "./elapsed.ts";
import { type FixedWindowLimit, fixedWindow } from "./fixed-window.ts";
import { type TokenBucketLimit, type TokenBucketState, tokenBucket } from "./token-bucket.ts";
import { type BudgetLimit, budget } from "./budget.ts";
import { type SlidingWindowLimit, type SlidingWindowState, slidingWindow } from "./sliding-window.ts";
import { type StreakLimit, type StreakState, streak } from "./streak.ts";

/** A limit as an algorithm takes it: numbers alone, resolved for one call. */
export type LimitSpec =
  | BudgetLimit
  | FixedWindowLimit
  | SlidingWindowLimit
  | TokenBucketLimit
  | ConcurrencyLimit
  | ElapsedLimit
  | StreakLimit;

/** What was spent in one bucket, as its algorithm counts it. */
export type SpentState =
  | CounterState
  | SlidingWindowState
  | TokenBucketState
  | ConcurrencyState
  | ElapsedState
  | StreakState;

/** The algorithm of a limit. It must be given only its own limits and, by `kind`, its own states. */
export function algorithmOf(limit: LimitSpec): Algorithm<LimitSpec, SpentState> {
  return ofName(limit.algorithm) as Algorithm<LimitSpec, SpentState>;
}

// Compared one by one, the most frequent first: quicker than a look-up by name, and every step asks several times.
function ofName(name: LimitSpec["algorithm"]) {
  switch (name) {
    case "budget":
      return budget;
    case "fixed-window":
      return fixedWindow;
    case "token-bucket":
      return tokenBucket;
    case "sliding-window":
      return slidingWindow;
    case "concurrency":
      return concurrency;
    case "elapsed":
      return elapsed;
    case "streak":
      return streak;
  }
}

/** The letter that stands for a kind of states in the text of a bucket with entries. */
const TAGS = {
  counter: "c",
  "sliding-window": "s",
  "token-bucket": "g",
  concurrency: "n",
  elapsed: "e",
  streak: "k",
} as const satisfies Record<SpentState["kind"], string>;

export function tagOfKind(kind: SpentState["kind"]): string {
  return TAGS[kind];
}

/** The kind that a letter stands for; `undefined` for none. */
export function kindOfTag(tag: string): SpentState["kind"] | undefined {
  return (Object.keys(TAGS) as SpentState["kind"][]).find((kind) => TAGS[kind] === tag);
}

/** Whether buckets with states of a kind flow. */
export function flowsOf(kind: SpentState["kind"]): boolean {
  return kind === tokenBucket.kind;
}

/** What is spent as text: a plain integer, or `<tag><version> <numbers>`. */
export function encodeSpent(state: SpentState): string {
  switch (state.kind) {
    case "counter":
      return budget.encode(state);
    case "sliding-window":
      return slidingWindow.encode(state);
    case "token-bucket":
      return tokenBucket.encode(state);
    case "concurrency":
      return concurrency.encode(state);
    case "elapsed":
      return elapsed.encode(state);
    case "streak":
      return streak.encode(state);
  }
}

/** What `encodeSpent` wrote, or `null` when the text is damaged. */
export function decodeSpent(text: string, expiresAtMs: number): SpentState | null {
  if (text.startsWith("s")) return slidingWindow.decode(text, expiresAtMs);
  if (text.startsWith("g")) return tokenBucket.decode(text, expiresAtMs);
  if (text.startsWith("e")) return elapsed.decode(text, expiresAtMs);
  if (text.startsWith("k")) return streak.decode(text, expiresAtMs);
  return budget.decode(text, expiresAtMs);
}
