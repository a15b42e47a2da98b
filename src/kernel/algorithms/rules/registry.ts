// The rules of all algorithms: those of a limit, of a state, and of a state's text. A new algorithm's rules are listed here.

import { codeAt } from "../../lua.ts";
import { BUDGET_FORM, budgetRules } from "./budget.ts";
import { CONCURRENCY_FORM, concurrencyRules } from "./concurrency.ts";
import { COOLDOWN_FORM, cooldownRules } from "./cooldown.ts";
import { ELAPSED_FORM, elapsedRules } from "./elapsed.ts";
import { CALENDAR_FORM, EVEN_FORM, fixedWindowRules } from "./fixed-window.ts";
import type { Rules } from "./rules.ts";
import { SLIDING_WINDOW_FORM, slidingWindowRules } from "./sliding-window.ts";
import { STREAK_FORM, streakRules } from "./streak.ts";
import { TOKEN_BUCKET_FORM, tokenBucketRules } from "./token-bucket.ts";

const RULES = {
  budget: budgetRules,
  "fixed-window": fixedWindowRules,
  "token-bucket": tokenBucketRules,
  "sliding-window": slidingWindowRules,
  concurrency: concurrencyRules,
  elapsed: elapsedRules,
  streak: streakRules,
  cooldown: cooldownRules,
};

type AlgorithmName = keyof typeof RULES;
type EachRules = (typeof RULES)[AlgorithmName];

/** A limit as its algorithm takes it: a name and numbers, resolved for one call. */
export type LimitSpec = Parameters<EachRules["capacity"]>[0];

/** What was spent in one bucket, as its algorithm counts it. */
export type SpentState = ReturnType<EachRules["book"]>;

/** The rules of some limit. They must be given only their own limits and, by `kind`, their own states. */
export type AnyRules = Rules<LimitSpec, SpentState>;

const ANY = RULES as unknown as Readonly<Record<AlgorithmName, AnyRules>>;
const BUDGET = ANY.budget;
const FIXED_WINDOW = ANY["fixed-window"];
const TOKEN_BUCKET = ANY["token-bucket"];
const SLIDING_WINDOW = ANY["sliding-window"];

export function rulesOf(limit: LimitSpec): AnyRules {
  return rulesNamed(limit.algorithm);
}

/** The rules of an algorithm. In the script, each limit has its rules beside its numbers. */
export function rulesNamed(name: AlgorithmName): AnyRules {
  // Compared one by one, the most frequent first: faster than a look-up by name, and every step asks several times.
  if (name === "budget") return BUDGET;
  if (name === "fixed-window") return FIXED_WINDOW;
  return name === "token-bucket" ? TOKEN_BUCKET : ANY[name];
}

// Algorithms that share a kind of states share its letter and its text.
const BY_KIND: Readonly<Record<string, AnyRules>> = {
  counter: BUDGET,
  "token-bucket": TOKEN_BUCKET,
  "sliding-window": SLIDING_WINDOW,
  concurrency: ANY.concurrency,
  elapsed: ANY.elapsed,
  streak: ANY.streak,
  cooldown: ANY.cooldown,
};

/** The rules whose states are of a kind, or some of several. */
export function rulesOfKind(kind: SpentState["kind"]): AnyRules {
  // The most frequent one first: faster than a look-up.
  return kind === "counter" ? BUDGET : (BY_KIND[kind] as AnyRules);
}

// By the codes that limits have on the wire.
const BY_CODE: Readonly<Record<number, AnyRules>> = {
  [BUDGET_FORM.code]: BUDGET,
  [EVEN_FORM.code]: FIXED_WINDOW,
  [CALENDAR_FORM.code]: FIXED_WINDOW,
  [TOKEN_BUCKET_FORM.code]: TOKEN_BUCKET,
  [SLIDING_WINDOW_FORM.code]: SLIDING_WINDOW,
  [CONCURRENCY_FORM.code]: ANY.concurrency,
  [ELAPSED_FORM.code]: ANY.elapsed,
  [STREAK_FORM.code]: ANY.streak,
  [COOLDOWN_FORM.code]: ANY.cooldown,
};

/** The rules of a limit that came over the wire, by its code. */
export function rulesOfCode(code: number): AnyRules {
  return BY_CODE[code] as AnyRules;
}

const LETTER_C = 99;
const LETTER_E = 101;
const LETTER_G = 103;
const LETTER_K = 107;
const LETTER_N = 110;
const LETTER_P = 112;
const LETTER_S = 115;

/** The rules whose states have a letter, by its code; `null` where there are none. */
export function rulesOfLetter(code: number): AnyRules | null {
  if (code === LETTER_C) return BUDGET;
  if (code === LETTER_G) return TOKEN_BUCKET;
  if (code === LETTER_N) return ANY.concurrency;
  if (code === LETTER_S) return SLIDING_WINDOW;
  if (code === LETTER_E) return ANY.elapsed;
  if (code === LETTER_K) return ANY.streak;
  return code === LETTER_P ? ANY.cooldown : null;
}

/** A state as text: a plain integer, or `<letter><version> <numbers>`. */
export function encodeSpent(state: SpentState): string {
  return rulesOfKind(state.kind).encode(state);
}

/** The state that `encodeSpent` wrote, or `null` when the text is damaged. */
export function decodeSpent(text: string, expiresAtMs: number): SpentState | null {
  // Counters are mostly plain integers, without a letter.
  const rules = rulesOfLetter(codeAt(text, 1));
  return rules === null ? BUDGET.decode(text, expiresAtMs) : rules.decode(text, expiresAtMs);
}
