// All algorithms: the one of a limit, of a state, and of a state's text. A new algorithm is imported and listed here.

import type { Algorithm } from "./algorithm.ts";
import { budget } from "./budget.ts";
import { concurrency } from "./concurrency.ts";
import { cooldown } from "./cooldown.ts";
import { elapsed } from "./elapsed.ts";
import { fixedWindow } from "./fixed-window.ts";
import type { LimitSpec, SpentState } from "./rules/registry.ts";
import { slidingWindow } from "./sliding-window.ts";
import { streak } from "./streak.ts";
import { tokenBucket } from "./token-bucket.ts";

// Exported again, because only this file imports the files of algorithms (test/algorithms-at-home.test.ts).
export { MAX_SEEN, VALUE_LENGTH } from "./rules/counter.ts";
export { decodeSpent, encodeSpent, type LimitSpec, type SpentState } from "./rules/registry.ts";
export { SUB_WINDOWS } from "./rules/sliding-window.ts";

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

export type AlgorithmName = keyof typeof ALGORITHMS;
/** The algorithm of some limit. It must be given only its own limits and, by `kind`, its own states. */
export type AnyAlgorithm = Algorithm<LimitSpec, SpentState>;

const ANY = ALGORITHMS as unknown as Readonly<Record<AlgorithmName, AnyAlgorithm>>;
const BUDGET = ANY.budget;
const FIXED_WINDOW = ANY["fixed-window"];
const TOKEN_BUCKET = ANY["token-bucket"];

export function algorithmOf(limit: LimitSpec): AnyAlgorithm {
  return algorithmNamed(limit.algorithm);
}

export function algorithmNamed(name: AlgorithmName): AnyAlgorithm {
  // Compared one by one, the most frequent first: faster than a look-up by name, and every step asks several times.
  if (name === "budget") return BUDGET;
  if (name === "fixed-window") return FIXED_WINDOW;
  return name === "token-bucket" ? TOKEN_BUCKET : ANY[name];
}

/** The algorithm of a limit that names none: the one that a key implies, else `budget`. */
export function impliedAlgorithm(limit: Readonly<Record<string, unknown>>): AlgorithmName {
  const names = Object.keys(ALGORITHMS) as AlgorithmName[];
  return names.find((name) => ALGORITHMS[name].policy.isImplied(limit)) ?? "budget";
}

// Algorithms that share a kind of states are one of several.
const BY_KIND = new Map<string, AnyAlgorithm>(Object.values(ANY).map((each) => [each.kind, each]));

/** The algorithm whose states are of a kind, or one of several. Other kinds are of no algorithm. */
export function algorithmOfKind(kind: SpentState["kind"]): AnyAlgorithm;
export function algorithmOfKind(kind: string): AnyAlgorithm | undefined;
export function algorithmOfKind(kind: string): AnyAlgorithm | undefined {
  // The most frequent ones first: faster than a look-up.
  if (kind === budget.kind) return BUDGET;
  return kind === tokenBucket.kind ? TOKEN_BUCKET : BY_KIND.get(kind);
}

/** A `concurrency` limit that counts the units that instances have borrowed and not used (layers/borrow). */
export function inUseLimit(quota: number): LimitSpec {
  return { algorithm: "concurrency", quota };
}
