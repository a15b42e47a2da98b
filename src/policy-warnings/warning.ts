// A warning: what is wrong with a part of a policy, where it stands, and what to write instead.

import { formatPath } from "../kernel/policy/contradictions.ts";
import type { Keys } from "../kernel/policy/place.ts";

export const WARNING_CODES = [
  "unknown-tool",
  "unknown-group",
  "uncounted-unit",
  "unusual-dimension",
  "similar-names",
  "wrong-dimension",
  "unusual-value",
  "no-effect",
  "duplicate-limit",
] as const;

export type WarningCode = (typeof WARNING_CODES)[number];

/** A part of a policy that has no effect, or probably not the one that was meant. */
export interface PolicyWarning {
  readonly code: WarningCode;
  /** Where, as `limits[0].quotas.serach`. */
  readonly path: string;
  /** What is wrong, as a sentence. */
  readonly message: string;
  /** What to write instead, as a sentence; `null` where there is no guess. */
  readonly hint: string | null;
  /** Where it stands in a file: `policy.yaml:3:12`. */
  readonly at?: string;
  /** The keys that lead to it. */
  readonly keys: Keys;
  /** Whether the last key itself is meant, not what it leads to. */
  readonly isKey: boolean;
  /** Two names of which either may be the right one. The hint has both with their lines, where they stand in a file. */
  readonly pair?: readonly [Named, Named];
}

/** A name, and where it stands. */
export interface Named extends Pick<PolicyWarning, "keys" | "isKey"> {
  readonly name: string;
}

export type Warnings = Generator<PolicyWarning, void, undefined>;

/** A warning of the value that keys lead to. */
export function ofValue(code: WarningCode, keys: Keys, message: string, hint: string | null = null): PolicyWarning {
  return { code, path: formatPath(keys), message, hint, keys, isKey: false };
}

/** A warning of the last of some keys. */
export function ofKey(code: WarningCode, keys: Keys, message: string, hint: string | null = null): PolicyWarning {
  return { ...ofValue(code, keys, message, hint), isKey: true };
}

/** A warning of the first of two names, of which either may be the right one. */
export function ofPair(code: WarningCode, message: string, pair: readonly [Named, Named]): PolicyWarning {
  const [{ keys, isKey }] = pair;
  const hint = oneSpelling(pair, ({ keys }) => formatPath(keys));
  return { ...(isKey ? ofKey : ofValue)(code, keys, message, hint), pair };
}

/** The hint of two names: both, with where they stand. */
export function oneSpelling(pair: readonly [Named, Named], placeOf: (named: Named) => string): string {
  return `Use one spelling: ${pair.map((named) => `${quoted(named.name)} (${placeOf(named)})`).join(" or ")}.`;
}

export function quoted(name: string | number): string {
  return JSON.stringify(String(name).slice(0, 64));
}
